//! `docs/tour.md` works as it stands: its blocks, one after the other, as one script against a demo with accounts.

use std::process::{Command, Stdio};

use crate::tenants::with_accounts;

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_is_as_it_is_written() {
    let program = with_accounts("tour").await;
    let text = include_str!("../../../docs/tour.md");
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let script = format!("set -euo pipefail\n{}", blocks.collect::<Vec<_>>().join("\n"));
    assert!(script.lines().count() > 40, "the tour has its steps");
    let mut bash = Command::new("timeout");
    bash.args(["100", "bash", "-c", &script]).env("B", program.url(""));
    bash.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = tokio::task::spawn_blocking(move || bash.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{}\n{out}\n{err}", ended.status);
}
