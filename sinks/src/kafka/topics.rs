//! The topics of the changelog: their names, what is kept in them, and making them.
//!
//! | topic (under the prefix) | kept |
//! |---|---|
//! | `changelog.<table>`, `.names`, `.rules`, `.moments` | the newest message of each key |
//! | `changelog.withdrawn` | the same, for `recent_retention` |
//! | `changelog.ticks`, `.notices` | for `recent_retention`; ticks in `tick_bytes` at most |
//! | `deadletters` | for `dead_letter_retention` |

use std::time::Duration;

use model::table::Table;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::Config;
use crate::Error;

/// What a topic holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Rows of a table as they stand.
    Table(Table),
    /// Names behind the rows' locations.
    Names,
    /// Rules as they stand.
    Rules,
    /// Alerts that were withdrawn, as they last stood.
    Withdrawn,
    /// Tick records, several a message.
    Ticks,
    /// Notices.
    Notices,
    /// What says that a run is whole.
    Moments,
    /// Refused records.
    DeadLetters,
}

/// Tables with a changelog.
pub(super) const TABLES: [Table; 10] = [
    Table::Bars,
    Table::Kpis,
    Table::Anomalies,
    Table::Correlations,
    Table::Bids,
    Table::Clearing,
    Table::Awards,
    Table::Settlement,
    Table::Pnl,
    Table::BidKpis,
];

impl Kind {
    /// Every kind.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        use Kind::{DeadLetters, Moments, Names, Notices, Rules, Ticks, Withdrawn};
        let others = [Names, Rules, Withdrawn, Ticks, Notices, Moments, DeadLetters];
        TABLES.into_iter().map(Self::Table).chain(others)
    }

    /// The topic's name.
    pub(super) fn topic(self, prefix: &str) -> String {
        let name = match self {
            Self::Table(table) => table.name(),
            Self::Names => "names",
            Self::Rules => "rules",
            Self::Withdrawn => "withdrawn",
            Self::Ticks => "ticks",
            Self::Notices => "notices",
            Self::Moments => "moments",
            Self::DeadLetters => return format!("{prefix}.deadletters"),
        };
        format!("{prefix}.changelog.{name}")
    }

    /// The one partition that messages go to where their order counts; else the key decides.
    pub(super) fn partition(self) -> Option<i32> {
        matches!(self, Self::Ticks | Self::Notices | Self::Moments).then_some(0)
    }

    fn settings(self, config: &Config) -> Vec<(&'static str, String)> {
        let recent = || ("retention.ms", config.recent_retention.millis().to_string());
        let delete = || ("cleanup.policy", "delete".to_owned());
        // A replica that starts reads what compaction has not reached yet: small segments are compacted soon.
        let compact = |policy: &str| {
            vec![
                ("cleanup.policy", policy.to_owned()),
                ("segment.bytes", (64 << 20).to_string()),
                ("min.cleanable.dirty.ratio", "0.2".to_owned()),
            ]
        };
        match self {
            Self::Table(_) | Self::Names | Self::Rules | Self::Moments => compact("compact"),
            Self::Withdrawn => [compact("compact,delete"), vec![recent()]].concat(),
            Self::Notices => vec![delete(), recent()],
            Self::Ticks => vec![
                delete(),
                recent(),
                ("retention.bytes", config.tick_bytes.to_string()),
                ("segment.bytes", (config.tick_bytes / 4).clamp(1 << 20, 1 << 30).to_string()),
            ],
            Self::DeadLetters => vec![("retention.ms", config.dead_letter_retention.millis().to_string())],
        }
    }
}

/// What every client of the changelog's broker is told.
pub(super) fn client(config: &Config) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", &config.bootstrap_servers).set("client.id", "optibid-changelog");
    settings.extend(config.properties.clone());
    settings
}

/// Name, partitions and settings of a topic.
type Described = (String, i32, Vec<(&'static str, String)>);

/// Makes the topics that are missing.
pub(super) async fn create(config: &Config) -> Result<(), Error> {
    let admin: AdminClient<DefaultClientContext> = client(config).create()?;
    let described: Vec<Described> = Kind::all()
        .map(|kind| {
            let one = matches!(kind, Kind::Names | Kind::Rules) || kind.partition().is_some();
            (kind.topic(&config.prefix), if one { 1 } else { config.partitions }, kind.settings(config))
        })
        .collect();
    let topics: Vec<NewTopic<'_>> = described
        .iter()
        .map(|(name, partitions, settings)| {
            let topic = NewTopic::new(name, *partitions, TopicReplication::Fixed(config.replication));
            settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    for result in admin.create_topics(&topics, &options).await? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                tracing::warn!(topic, %code, "topic was not made");
                return Err(KafkaError::AdminOp(code).into());
            }
        }
    }
    Ok(())
}
