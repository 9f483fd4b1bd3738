//! A Kafka broker of a test's own, which may be killed and comes back with what it had on disk.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

/// A running (or killed) broker in a scratch folder; gone when dropped.
pub(crate) struct Broker {
    dir: tempfile::TempDir,
    port: u16,
    controller: u16,
    child: Option<Child>,
}

impl Broker {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut broker = Self { dir, port: low_port(), controller: low_port(), child: None };
        broker.revive();
        broker
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same port and folder.
    pub(crate) fn revive(&mut self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/servers/kafka.sh");
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let mut command = Command::new("bash");
        command.arg(script).arg(self.dir.path()).args([self.port.to_string(), self.controller.to_string()]);
        command.env("KAFKA_SESSION_MS", "9000");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        self.child = Some(command.spawn().unwrap());
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", self.address()).create().expect("valid settings");
        let start = Instant::now();
        while client.fetch_metadata(None, Duration::from_secs(1)).is_err() {
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(120), "Kafka does not answer:\n{}", log());
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "Kafka ended:\n{}", log());
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A free port that stays free while the broker is away: below those that outgoing connections are given.
fn low_port() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    let any = || 15_000 + (RandomState::new().hash_one(0) % 17_000) as u16;
    std::iter::repeat_with(any)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("of endless ports one is free")
}
