//! The program under test: the real binary in a scratch folder on free ports, spoken to over HTTP.

use std::collections::HashMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take on a loaded machine before the test calls it broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running `optibid`; killed when dropped.
pub(crate) struct Program {
    child: Child,
    command: Command,
    pub(crate) port: u16,
    pub(crate) pgwire: u16,
    pub(crate) dir: tempfile::TempDir,
    /// The settings it was first started with.
    pub(crate) sets: Vec<String>,
    /// Another whose folder this one works in.
    pub(crate) keeps: Option<Box<Program>>,
    client: reqwest::Client,
}

/// A port that is free, and stays so until somebody listens on it: below those that the system gives to connections, and
/// each only once.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(2_971);
    loop {
        let port = 10_000 + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 22_000;
        let port = u16::try_from(port).expect("below 32,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Polls until `ready` yields something; panics with `what` when patience ends.
pub(crate) async fn eventually<R>(what: &str, mut ready: impl AsyncFnMut() -> Option<R>) -> R {
    let start = Instant::now();
    loop {
        if let Some(result) = ready().await {
            return result;
        }
        assert!(start.elapsed() < PATIENCE, "gave up waiting for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Program {
    /// Starts `optibid ARGS` and waits until it answers.
    pub(crate) async fn start(args: &[&str], sets: &[impl AsRef<str>]) -> Self {
        let mut program = Self::spawn(args, &[], sets);
        program.answers().await;
        program
    }

    /// Starts `optibid ARGS` in an environment with these variables.
    pub(crate) fn spawn(args: &[&str], variables: &[(String, String)], sets: &[impl AsRef<str>]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (port, pgwire) = (free_port(), free_port());
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_optibid"));
        command.args(args);
        let own = [
            format!("data.dir={}", dir.path().join("data").display()),
            format!("api.listen=127.0.0.1:{port}"),
            format!("sql.pgwire.listen=127.0.0.1:{pgwire}"),
        ];
        for set in own.iter().map(String::as_str).chain(sets.iter().map(AsRef::as_ref)) {
            command.args(["--set", set]);
        }
        // Nothing of the developer's own configuration may leak in.
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("OPTIBID__") || name.starts_with("ENABLE_"))
        {
            command.env_remove(name);
        }
        for name in ["KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL", "DATABASE_URL", "CLICKHOUSE_HOST"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().expect("the binary was built with the tests");
        let sets = sets.iter().map(|set| set.as_ref().to_owned()).collect();
        let client = reqwest::Client::new();
        Self { child, command, port, pgwire, dir, sets, keeps: None, client }
    }

    /// Waits until it answers with more than that it is starting.
    pub(crate) async fn answers(&mut self) {
        let (url, client) = (self.url("/api/openapi.json"), self.client.clone());
        let start = Instant::now();
        while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("optibid ended with {status}:\n{}", self.log());
            }
            assert!(start.elapsed() < PATIENCE, "optibid does not answer:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits until the program has ended by itself; its exit code.
    pub(crate) async fn ends(&mut self) -> Option<i32> {
        eventually("the program's end", async || self.child.try_wait().unwrap()).await.code()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same command again, with settings over those it had, in the same folder and on the same ports.
    pub(crate) async fn restart(&mut self, sets: &[&str]) {
        self.spawn_again(sets);
        self.answers().await;
    }

    /// The same, without waiting for it to answer.
    pub(crate) fn spawn_again(&mut self, sets: &[&str]) {
        for set in sets {
            self.command.args(["--set", set]);
        }
        self.child = self.command.spawn().unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// GET that must answer 200 with JSON.
    pub(crate) async fn get(&self, path: &str) -> serde_json::Value {
        let response = self.client.get(self.url(path)).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "GET {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("GET {path}: {error}: {text}"))
    }

    /// GET whatever the status.
    pub(crate) async fn try_get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(self.url(path)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// POST JSON with headers, whatever the status.
    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = self.client.post(self.url(path)).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Rows of a query, as text by column.
    pub(crate) async fn sql(&self, query: &str) -> Vec<HashMap<String, String>> {
        let body = serde_json::json!({ "query": query });
        let request = self.client.post(self.url("/api/sql")).header("accept", "text/csv").json(&body);
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{query}: {status} {text}");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        reader.deserialize().collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{query}: {error}: {text}"))
    }

    /// The value of the metric that `series` names with its labels, `name{label="value"}`; 0 before it is first counted.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.try_get("/metrics").await;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok());
        value.unwrap_or(0.0)
    }

    /// The T of the state it shows.
    pub(crate) async fn published_t(&self) -> u64 {
        let (_, text) = self.try_get("/readyz").await;
        let body: serde_json::Value = serde_json::from_str(&text).unwrap();
        body["t"].as_u64().unwrap_or_else(|| panic!("no t in {text}"))
    }

    /// Tick records accounted for, by all lives; 0 while it repeats what they did.
    pub(crate) async fn accounted(&self) -> u64 {
        let (_, text) = self.try_get("/health").await;
        let health: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        health["records"]["received"].as_u64().unwrap_or(0)
    }

    /// Waits until `records` tick records are accounted for.
    pub(crate) async fn received(&self, records: u64) {
        let what = format!("{records} records");
        eventually(&what, async || (self.accounted().await >= records).then_some(())).await;
    }

    /// Sends Ctrl-C and returns the exit code and how long it took.
    pub(crate) async fn interrupt(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        self.signal("INT");
        (self.ends().await, start.elapsed())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            eprintln!("--- optibid's log, its end ---\n{}", &log[log.len().saturating_sub(4_000)..]);
        }
    }
}
