//! Alert rules on their way from accounts to the stream: whoever changes a rule changes a row; here every row that the
//! stream has not been told is published to the rules topic, and marked when the broker has it.
//!
//! A rule may be told twice (the mark is written after the broker's answer), never not at all; the dataflow takes the highest
//! revision. Any number of processes may do this: each takes rows that no other has locked.

use std::time::Duration;

use api::Publisher;
use model::wire::TopicKind;
use pipeline::Shutdown;
use platform::Platform;
use platform::database::{Actor, begin};
use platform::refusal::Failure;
use platform::resource::alert_rules::{published, unpublished};

/// How soon a change is seen.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a failure is waited out.
const PATIENCE: Duration = Duration::from_secs(3);
/// Rules in one transaction.
const MOST: i64 = 200;

/// Publishes until the shutdown.
pub(crate) async fn publish(platform: Platform, publisher: impl Publisher, shutdown: Shutdown) {
    let mut failing = false;
    loop {
        let pause = match some(&platform, &publisher).await {
            Ok(MOST..) => Duration::ZERO,
            Ok(_) => {
                failing = false;
                PAUSE
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(error, "alert rules cannot be told to the stream yet; trying again");
                }
                failing = true;
                PATIENCE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.stopping() => return,
        }
    }
}

/// Publishes those that wait, a transaction's worth; how many.
async fn some(platform: &Platform, publisher: &impl Publisher) -> Result<i64, String> {
    let failed = |failure: Failure| failure.to_string();
    let mut client = platform.database().client().await.map_err(|error| error.to_string())?;
    let transaction = begin(&mut client, &Actor::system()).await.map_err(|error| error.to_string())?;
    let waiting = unpublished(&transaction, MOST).await.map_err(failed)?;
    for (id, rule) in &waiting {
        let bytes = serde_json::to_vec(rule).map_err(|error| error.to_string())?;
        publisher.publish(TopicKind::Rules, None, &rule.rule, bytes).await?;
        published(&transaction, *id, rule.revision).await.map_err(failed)?;
        tracing::info!(rule = rule.rule, revision = rule.revision, deleted = rule.deleted, "alert rule published");
    }
    transaction.commit().await.map_err(|error| error.to_string())?;
    Ok(i64::try_from(waiting.len()).unwrap_or(MOST))
}
