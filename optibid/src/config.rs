//! The whole configuration: one section a crate, laid in layers, each over the one before:
//!
//! embedded `default.toml` → `--config FILE` → names that earlier clients set (`KAFKA_BOOTSTRAP_SERVERS` …)
//! → `OPTIBID__SECTION__KEY` → `--set section.key=value` and other flags.
//!
//! Unknown keys are refused with their name. Secrets print as `***`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// The documented defaults; a test holds them against the code's.
pub(crate) const DEFAULT: &str = include_str!("default.toml");

/// Everything that can be configured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where the program keeps what it keeps: embedded history, generated keys, shell history.
    pub(crate) data: Data,
    /// Zone table.
    pub(crate) zones: ZonesConfig,
    /// Source, clock, workers, logs.
    pub(crate) pipeline: pipeline::Config,
    /// Saving the state, so that a restart goes on where the last life ended.
    pub(crate) checkpoint: pipeline::checkpoint::Config,
    /// The dataflow graph.
    pub(crate) operators: operators::Config,
    /// How much the live state keeps.
    pub(crate) snapshot: model::snapshot::Limits,
    /// Stores.
    pub(crate) sinks: sinks::Config,
    /// SQL engine and Postgres wire protocol.
    pub(crate) sql: sql::Config,
    /// HTTP and WebSocket.
    pub(crate) api: api::Config,
    /// Accounts, and what they have.
    pub(crate) platform: platform::Config,
    /// The simulated market.
    pub(crate) simulation: simulator::Simulation,
}

/// Where files go.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Data {
    /// Folder for everything that is kept.
    pub(crate) dir: PathBuf,
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: "data".into() }
    }
}

/// The zone table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ZonesConfig {
    /// A TOML file that adds zones to the built-in table, or replaces some of them; empty for none.
    pub(crate) file: Option<PathBuf>,
}

impl Config {
    /// The zone table, with the user's additions.
    pub(crate) fn zone_table(&self) -> Result<model::Zones> {
        let Some(path) = self.zones.file.as_ref().filter(|path| !path.as_os_str().is_empty()) else {
            return Ok(model::Zones::built_in());
        };
        let text = std::fs::read_to_string(path).with_context(|| format!("read zone table {}", path.display()))?;
        model::Zones::extended(&text).with_context(|| format!("zone table {}", path.display()))
    }

    /// The `checkpoint` section with its folder filled in.
    pub(crate) fn checkpoints(&self) -> pipeline::checkpoint::Config {
        let mut checkpoint = self.checkpoint.clone();
        if checkpoint.root.is_empty() {
            checkpoint.root = self.data.dir.join("checkpoints").to_string_lossy().into_owned();
        }
        checkpoint
    }

    /// The `platform` section with what is left to the program filled in: the stores' own servers.
    pub(crate) fn accounts(&self) -> platform::Config {
        let mut platform = self.platform.clone();
        if platform.postgres_url.expose().is_empty() {
            platform.postgres_url = self.sinks.postgres.url.clone();
        }
        if platform.redis_url.expose().is_empty() && self.sinks.redis.enabled {
            platform.redis_url = self.sinks.redis.url.clone();
        }
        platform
    }

    /// The `sinks` section with what is left to the program filled in: history inside the data folder, the changelog on
    /// the source's own broker. An embedded broker makes topics by itself, and its transactions are none.
    pub(crate) fn sinks_with(&self, bootstrap: &str, embedded: bool) -> sinks::Config {
        let mut sinks = self.sinks.clone();
        if sinks.history.root.is_empty() {
            sinks.history.root = self.data.dir.join("history").to_string_lossy().into_owned();
        }
        if sinks.kafka.bootstrap_servers.is_empty() {
            bootstrap.clone_into(&mut sinks.kafka.bootstrap_servers);
            sinks.kafka.create_topics &= !embedded;
            sinks.kafka.transactions &= !embedded;
        }
        sinks.kafka.guarded = self.checkpoint.enabled;
        sinks
    }
}

/// `optibid config …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Print every setting as it stands, all layers applied; secrets are masked.
    Print,
    /// Check every setting and call every store and the broker.
    Check,
}

/// Runs `optibid config …`.
pub(crate) async fn command(config: &Config, command: &Command) -> Result<()> {
    match command {
        Command::Print => {
            print!("{}", toml::to_string_pretty(config)?);
            Ok(())
        }
        Command::Check => check(config).await,
    }
}

async fn check(config: &Config) -> Result<()> {
    config.pipeline.validate()?;
    config.checkpoint.validate(&config.operators)?;
    let zones = config.zone_table()?;
    println!("configuration: ok, {} zones", zones.iter().count());
    let mut failures = 0;
    let mut tell = |name: &str, result: std::result::Result<String, String>| match result {
        Ok(detail) => println!("{name}: ok {detail}"),
        Err(error) => {
            failures += 1;
            println!("{name}: {error}");
        }
    };
    let bootstrap = &config.pipeline.kafka.bootstrap;
    if bootstrap.is_empty() {
        tell("kafka", Ok("(embedded broker)".into()));
    } else {
        let kafka = config.pipeline.kafka.clone();
        let found = tokio::task::spawn_blocking(move || pipeline::source::kafka::check(&kafka)).await?;
        tell("kafka", found.map(|topics| format!("({topics} topics to read)")).map_err(|error| error.to_string()));
    }
    if config.checkpoint.enabled {
        let checkpoints = async { pipeline::checkpoint::list(&config.checkpoints().open()?).await }.await;
        let found = checkpoints.map(|list| format!("({} there)", list.len())).map_err(|error| error.to_string());
        tell("checkpoints", found);
    }
    let context = sinks::Context { names: Default::default(), zones };
    for (mut sink, _) in config.sinks_with(bootstrap, bootstrap.is_empty()).build(&context)? {
        let name = sink.name();
        let checked = tokio::time::timeout(std::time::Duration::from_secs(10), sink.check()).await;
        let result = checked.map_err(|_| "no answer in 10 s".to_owned()).and_then(|r| r.map_err(|e| e.to_string()));
        tell(name, result.map(|()| String::new()));
    }
    anyhow::ensure!(failures == 0, "{failures} of the services do not work");
    Ok(())
}

/// Names that clients of the earlier platform set, and where they belong now.
const EARLIER_NAMES: &[(&str, &str)] = &[
    ("KAFKA_BOOTSTRAP_SERVERS", "pipeline.kafka.bootstrap"),
    ("REDIS_URL", "sinks.redis.url"),
    ("DATABASE_URL", "sinks.postgres.url"),
    ("CLICKHOUSE_HOST", "sinks.clickhouse.url"),
    ("ENABLE_REDIS", "sinks.redis.enabled"),
    ("ENABLE_CLICKHOUSE", "sinks.clickhouse.enabled"),
    ("SIMULATION_MODE", "simulation.enabled"),
    ("SIMULATION_INTERVAL", "simulation.interval"),
];

/// Setting an address switches its store on, unless its own switch says otherwise.
const SWITCHED_ON_BY: &[(&str, &str)] = &[
    ("REDIS_URL", "sinks.redis.enabled"),
    ("DATABASE_URL", "sinks.postgres.enabled"),
    ("CLICKHOUSE_HOST", "sinks.clickhouse.enabled"),
];

/// Reads every layer. `environment` is passed in, so that tests need not change the process's own.
pub(crate) fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    sets: &[String],
) -> Result<Config> {
    let mut table: Table = toml::from_str(DEFAULT).context("read the embedded default.toml")?;
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).with_context(|| format!("read configuration {}", path.display()))?;
        let layer: Table = toml::from_str(&text).with_context(|| format!("read configuration {}", path.display()))?;
        merge(&mut table, layer);
    }
    let environment: Vec<(String, String)> = environment.into_iter().collect();
    earlier_names(&mut table, &environment)?;
    for (name, text) in &environment {
        if let Some(path) = name.strip_prefix("OPTIBID__") {
            let path = path.to_ascii_lowercase().replace("__", ".");
            set(&mut table, &path, text).with_context(|| format!("environment variable {name}"))?;
        }
    }
    for assignment in sets {
        let (path, text) = assignment.split_once('=').with_context(|| format!("--set {assignment}: want key=value"))?;
        set(&mut table, path.trim(), text.trim()).with_context(|| format!("--set {assignment}"))?;
    }
    Value::Table(table).try_into().context("configuration")
}

fn earlier_names(table: &mut Table, environment: &[(String, String)]) -> Result<()> {
    let get = |wanted: &str| environment.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.as_str());
    for (name, path) in SWITCHED_ON_BY {
        if get(name).is_some() {
            set(table, path, "true")?;
        }
    }
    for (name, path) in EARLIER_NAMES {
        if let Some(text) = get(name) {
            let text = match *name {
                "CLICKHOUSE_HOST" if !text.contains("://") => format!("http://{text}:8123"),
                "SIMULATION_INTERVAL" if text.parse::<f64>().is_ok() => format!("{text}s"),
                _ => text.to_owned(),
            };
            set(table, path, &text).with_context(|| format!("environment variable {name}"))?;
        }
    }
    // Without Kafka there is the embedded broker: that is what an empty bootstrap means.
    if get("ENABLE_KAFKA").is_some_and(is_false) {
        set(table, "pipeline.kafka.bootstrap", "")?;
    }
    Ok(())
}

fn is_false(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "false" | "0" | "no" | "off")
}

fn merge(base: &mut Table, layer: Table) {
    for (key, value) in layer {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(layer)) => merge(base, layer),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Sets `a.b.c` to `text`, read as the type that stands there already, else as TOML, else as text.
fn set(table: &mut Table, path: &str, text: &str) -> Result<()> {
    let Some((section, rest)) = path.split_once('.') else {
        let value = parse_like(table.get(path), text).with_context(|| format!("value of {path}"))?;
        table.insert(path.to_owned(), value);
        return Ok(());
    };
    match table.entry(section).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(inner) => set(inner, rest, text),
        _ => bail!("{section} is a value, not a section"),
    }
}

fn parse_like(now: Option<&Value>, text: &str) -> Result<Value> {
    let parsed = || toml::from_str::<Table>(&format!("v = {text}")).ok().and_then(|mut table| table.remove("v"));
    Ok(match now {
        Some(Value::String(_)) => Value::String(text.to_owned()),
        Some(Value::Boolean(_)) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Value::Boolean(true),
            _ if is_false(text) => Value::Boolean(false),
            _ => bail!("{text:?} is neither true nor false"),
        },
        Some(Value::Array(_)) => {
            let list = || text.split(',').map(|item| Value::String(item.trim().to_owned())).collect();
            parsed().filter(Value::is_array).unwrap_or_else(|| Value::Array(list()))
        }
        Some(Value::Float(_)) => Value::Float(text.parse()?),
        _ => parsed().unwrap_or_else(|| Value::String(text.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(environment: &[(&str, &str)], sets: &[&str]) -> Result<Config> {
        let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        load(None, environment, &sets.iter().map(|set| (*set).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn default_toml_is_complete_and_says_what_the_code_does() {
        let documented: Table = toml::from_str(DEFAULT).unwrap();
        let coded = Table::try_from(Config::default()).unwrap();
        assert_eq!(keys("", &documented), keys("", &coded));
        // Secrets print masked, so the two are compared as they print.
        let read: Config = Value::Table(documented).try_into().unwrap();
        assert_eq!(Table::try_from(read).unwrap(), coded);
    }

    fn keys(path: &str, table: &Table) -> Vec<String> {
        let key = |name: &String, value: &Value| match value {
            Value::Table(inner) if !inner.is_empty() => keys(&format!("{path}{name}."), inner),
            _ => vec![format!("{path}{name}")],
        };
        table.iter().flat_map(|(name, value)| key(name, value)).collect()
    }

    #[test]
    fn later_layers_win() {
        let config = with(
            &[("SIMULATION_INTERVAL", "5"), ("OPTIBID__SIMULATION__INTERVAL", "2s"), ("PATH", "/bin")],
            &["data.dir=/somewhere"],
        )
        .unwrap();
        assert_eq!(config.simulation.interval.millis(), 2_000);
        assert_eq!(config.data.dir, PathBuf::from("/somewhere"));
    }

    #[test]
    fn earlier_names_still_work() {
        let config = with(&[("REDIS_URL", "redis://h:1/0"), ("CLICKHOUSE_HOST", "ch")], &[]).unwrap();
        assert!(config.sinks.redis.enabled && config.sinks.clickhouse.enabled && !config.sinks.postgres.enabled);
        assert_eq!(config.sinks.clickhouse.url, "http://ch:8123");
        let config = with(&[("REDIS_URL", "redis://h:1/0"), ("ENABLE_REDIS", "false")], &[]).unwrap();
        assert!(!config.sinks.redis.enabled);
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let error = format!("{:#}", with(&[], &["pipeline.wrokers=2"]).unwrap_err());
        assert!(error.contains("wrokers"), "{error}");
        assert!(with(&[("OPTIBID__NO__SUCH", "1")], &[]).is_err());
    }

    #[test]
    fn secrets_are_masked() {
        let config = with(&[("DATABASE_URL", "postgres://u:hunter2@h/db")], &[]).unwrap();
        assert!(!toml::to_string(&config).unwrap().contains("hunter2"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn a_printed_configuration_is_read_back_only_without_its_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optibid.toml");
        let reads_back = |config: &Config| {
            std::fs::write(&path, toml::to_string_pretty(config).unwrap()).unwrap();
            load(Some(&path), [], &[])
        };
        let mut plain = with(&[], &[]).unwrap();
        plain.sinks.redis.url = Default::default();
        plain.sinks.postgres.url = Default::default();
        assert!(reads_back(&plain).unwrap().api.admin_key.expose().is_empty(), "no secret stays none");
        let error = format!("{:#}", reads_back(&with(&[], &["api.admin_key=k"]).unwrap()).unwrap_err());
        assert!(error.contains("config print"), "{error}");
    }
}
