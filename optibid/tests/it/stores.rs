//! The real stores and what is in them, each read in its own way; and the bars that must be there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use model::wire::json::Timestamp;
use rdkafka::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use simulator::{Body, Expected, Generator, Message, Producer, Simulation, Speed, Totals, feed, producer};

use crate::program::{Program, eventually};

/// A Tuesday without a change of clocks; the market is simulated from here on at full speed.
const START: &str = "2026-03-03T09:00:00Z";

pub(crate) fn server(name: &str) -> String {
    let variable = format!("OPTIBID_TEST_{name}");
    std::env::var(&variable).unwrap_or_else(|_| panic!("{variable} is not set: run this through `make test`"))
}

/// (zone, location, market, start of the minute in UTC ms).
pub(crate) type Key = (String, String, String, i64);

/// One minute bar in every store's terms: currency per MWh and MWh.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) open: f64,
    pub(crate) high: f64,
    pub(crate) low: f64,
    pub(crate) close: f64,
    pub(crate) volume: f64,
    pub(crate) count: i64,
}

/// A tick as it stands: revision, event time, place in the stream, price, volume, withdrawn.
type Standing = (i64, i64, u64, f64, f64, bool);

/// The bars that must come out: of each id the highest revision counts, unless it withdraws.
fn recompute(messages: &[Message]) -> BTreeMap<Key, Bar> {
    let mut standing: HashMap<(String, String, String, String), Standing> = HashMap::new();
    for message in messages {
        let Body::Tick(tick) = &message.body else { continue };
        if !matches!(message.truth.expected, Expected::Applied | Expected::Corrected | Expected::Duplicate) {
            continue;
        }
        let Timestamp::Millis(event_ms) = tick.timestamp else { panic!("the generator writes milliseconds") };
        let sequence = message.truth.sequence;
        let location = tick.location.clone().unwrap_or_else(|| message.zone.to_string());
        let market = tick.market.unwrap_or(model::Market::Continuous).as_str().to_owned();
        let id = tick.id.clone().unwrap_or_else(|| format!("#{sequence}"));
        let revision = tick.revision.unwrap_or(0);
        let volume = tick.volume.unwrap_or(0.0);
        let new = (revision, event_ms, sequence, tick.price, volume, tick.cancelled);
        let entry = standing.entry((message.zone.to_string(), location, market, id)).or_insert(new);
        if revision > entry.0 {
            *entry = new;
        }
    }
    let mut minutes: BTreeMap<Key, Vec<(i64, u64, f64, f64)>> = BTreeMap::new();
    for ((zone, location, market, _), (_, event_ms, sequence, price, volume, cancelled)) in standing {
        if !cancelled {
            let start_ms = event_ms.div_euclid(60_000) * 60_000;
            minutes.entry((zone, location, market, start_ms)).or_default().push((event_ms, sequence, price, volume));
        }
    }
    minutes
        .into_iter()
        .map(|(key, mut ticks)| {
            ticks.sort_by_key(|tick| (tick.0, tick.1));
            let prices = || ticks.iter().map(|tick| tick.2);
            let bar = Bar {
                open: ticks[0].2,
                high: prices().fold(f64::MIN, f64::max),
                low: prices().fold(f64::MAX, f64::min),
                close: ticks[ticks.len() - 1].2,
                volume: ticks.iter().map(|tick| tick.3).sum(),
                count: ticks.len() as i64,
            };
            (key, bar)
        })
        .collect()
}

#[track_caller]
pub(crate) fn same(store: &str, found: &BTreeMap<Key, Bar>, expected: &BTreeMap<Key, Bar>) {
    assert_eq!(found.len(), expected.len(), "{store}: number of bars");
    for (key, want) in expected {
        let bar = found.get(key).unwrap_or_else(|| panic!("{store}: no bar {key:?}"));
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6 + b.abs() * 1e-12;
        let prices = [(bar.open, want.open), (bar.high, want.high), (bar.low, want.low), (bar.close, want.close)];
        let equal = prices.iter().all(|(a, b)| close(*a, *b)) && bar.count == want.count;
        assert!(equal && (bar.volume - want.volume).abs() < 2e-3, "{store}: {key:?} is {bar:?}, not {want:?}");
    }
}

/// The minute bars that SQL of `program` tells.
pub(crate) async fn sql_bars(program: &Program) -> BTreeMap<Key, Bar> {
    let query = "SELECT zone, location, market, CAST(arrow_cast(start_time, 'Int64') AS BIGINT) AS start_ms, open, high, \
                 low, close, volume, count FROM bars WHERE granularity = '1m'";
    program.sql(query).await.iter().map(bar_of_row).collect()
}

fn bar_of_row(row: &HashMap<String, String>) -> (Key, Bar) {
    let number = |column: &str| row[column].parse::<f64>().unwrap_or_else(|_| panic!("{column} of {row:?}"));
    let start_ms = row["start_ms"].parse().unwrap_or_else(|_| panic!("start_ms of {row:?}"));
    let key = (row["zone"].clone(), row["location"].clone(), row["market"].clone(), start_ms);
    let (open, high, low) = (number("open"), number("high"), number("low"));
    let (close, volume, count) = (number("close"), number("volume"), number("count") as i64);
    (key, Bar { open, high, low, close, volume, count })
}

fn csv_rows(text: &str) -> Vec<HashMap<String, String>> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().collect::<Result<_, _>>().unwrap()
}

/// ClickHouse over its HTTP interface.
pub(crate) async fn clickhouse(query: &str) -> String {
    let response = reqwest::Client::new().post(server("CLICKHOUSE")).body(query.to_owned()).send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{query}: {text}");
    text
}

async fn clickhouse_bars(database: &str) -> BTreeMap<Key, Bar> {
    let query = format!(
        "SELECT zone, location, market, toUnixTimestamp64Milli(start_time) AS start_ms, open, high, low, close, volume, \
         count FROM {database}.bars FINAL WHERE granularity = '1m' FORMAT CSVWithNames"
    );
    csv_rows(&clickhouse(&query).await).iter().map(bar_of_row).collect()
}

pub(crate) async fn postgres(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) async fn postgres_bars(client: &tokio_postgres::Client) -> BTreeMap<Key, Bar> {
    let query = "SELECT zone, location, market, (extract(epoch from start_time) * 1000)::bigint, open, high, low, close, \
                 volume, count FROM bars WHERE granularity = '1m' AND NOT removed";
    let rows = client.query(query, &[]).await.unwrap();
    rows.iter()
        .map(|row| {
            let key = (row.get(0), row.get(1), row.get(2), row.get(3));
            let (open, high, low, close) = (row.get(4), row.get(5), row.get(6), row.get(7));
            (key, Bar { open, high, low, close, volume: row.get(8), count: row.get(9) })
        })
        .collect()
}

/// Every committed message of a topic, partition by partition: partition, key, value.
pub(crate) fn messages(bootstrap: &str, topic: &str) -> Vec<(i32, String, Option<Vec<u8>>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "none")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(30)).unwrap();
    let mut assignment = rdkafka::TopicPartitionList::new();
    let mut left = HashSet::new();
    for partition in metadata.topics()[0].partitions() {
        assignment.add_partition_offset(topic, partition.id(), rdkafka::Offset::Beginning).unwrap();
        left.insert(partition.id());
    }
    consumer.assign(&assignment).unwrap();
    let mut messages = Vec::new();
    while !left.is_empty() {
        match consumer.poll(Duration::from_secs(30)).expect("more of the topic") {
            Err(KafkaError::PartitionEOF(partition)) => drop(left.remove(&partition)),
            message => {
                let message = message.unwrap();
                let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
                messages.push((message.partition(), key, message.payload().map(<[u8]>::to_vec)));
            }
        }
    }
    messages
}

/// The topic as compaction would leave it.
pub(crate) fn compacted(bootstrap: &str, topic: &str) -> BTreeMap<String, Vec<u8>> {
    let mut rows = BTreeMap::new();
    for (_, key, value) in messages(bootstrap, topic) {
        match value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        };
    }
    rows
}

fn changelog_bars(bootstrap: &str, prefix: &str) -> BTreeMap<Key, Bar> {
    compacted(bootstrap, &format!("{prefix}.changelog.bars"))
        .values()
        .filter_map(|value| {
            let row: serde_json::Value = serde_json::from_slice(value).unwrap();
            let text = |column: &str| row[column].as_str().unwrap_or_else(|| panic!("{column} of {row}")).to_owned();
            let number = |column: &str| row[column].as_f64().unwrap_or_else(|| panic!("{column} of {row}"));
            (text("granularity") == "1m").then(|| {
                let start_ms = model::time::parse_instant(&text("start_time")).unwrap();
                let (open, high, low) = (number("open"), number("high"), number("low"));
                let (close, volume, count) = (number("close"), number("volume"), number("count") as i64);
                let key = (text("zone"), text("location"), text("market"), start_ms);
                (key, Bar { open, high, low, close, volume, count })
            })
        })
        .collect()
}

pub(crate) async fn redis_connection() -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server("REDIS")).unwrap();
    // The crate's own patience is half a second: too little for a machine that runs every test at once.
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
}

/// The newest bar of each series must be the latest price.
async fn check_redis(prefix: &str, expected: &BTreeMap<Key, Bar>) {
    let mut connection = redis_connection().await;
    let mut newest: BTreeMap<(String, String, String), f64> = BTreeMap::new();
    for ((zone, location, market, _), bar) in expected {
        newest.insert((zone.clone(), location.clone(), market.clone()), bar.close);
    }
    for ((zone, location, market), close) in newest {
        let key = format!("{prefix}:price:{zone}:{location}:{market}");
        let price: Option<String> =
            redis::cmd("HGET").arg(&key).arg("price").query_async(&mut connection).await.unwrap();
        let price = price.unwrap_or_else(|| panic!("redis: no {key}")).parse::<f64>().unwrap();
        assert!((price - close).abs() < 1e-6, "redis: {key} is {price}, not {close}");
    }
}

/// The same seed twice: once to be sent, once for the recomputation.
pub(crate) fn market(zones: &model::Zones) -> Generator {
    let simulation = Simulation {
        seed: 20_260_303,
        scenario: "storm".into(),
        rate: 40.0,
        zones: ["PJM", "NYISO", "MUMBAI", "NSW1"].map(str::to_owned).to_vec(),
        ..Simulation::default()
    };
    let mut settings = simulation.settings(model::time::parse_instant(START).unwrap(), zones).unwrap();
    settings.stamp_published = true;
    Generator::new(settings, zones).unwrap()
}

/// Sends the next `records` of the market, as fast as the broker takes them.
pub(crate) async fn send(market: &mut Generator, records: u64, prefix: &str) -> Totals {
    send_to(&server("KAFKA"), market, records, prefix).await
}

/// The same, to another broker.
pub(crate) async fn send_to(broker: &str, market: &mut Generator, records: u64, prefix: &str) -> Totals {
    let producer = Producer::new(&producer::Options::new(broker, prefix)).unwrap();
    let options = feed::Options { speed: Speed::Max, ..feed::Options::default() };
    let (_keep, stop) = tokio::sync::watch::channel(false);
    feed::simulate(market, Some(records), &producer, &options, None, stop).await.unwrap().1
}

/// What becomes of the market's first `records`.
pub(crate) fn totals(zones: &model::Zones, records: u64) -> Totals {
    let (mut market, mut totals) = (market(zones), Totals::default());
    (0..records).for_each(|_| totals.add(&market.next_message()));
    totals
}

/// The bars of the market's first `records`.
pub(crate) fn expected(zones: &model::Zones, records: u64) -> BTreeMap<Key, Bar> {
    let mut market = market(zones);
    let messages: Vec<Message> = (0..records).map(|_| market.next_message()).collect();
    recompute(&messages)
}

/// One test's own part of the four servers. The addresses may be changed before [`Stores::sets`] is asked for.
pub(crate) struct Stores {
    /// Of topics and keys; the name of both databases.
    pub(crate) prefix: String,
    pub(crate) redis: String,
    pub(crate) postgres: String,
    pub(crate) clickhouse: String,
    pub(crate) changelog: String,
    /// The broker with the records.
    pub(crate) source: String,
}

impl Stores {
    /// On the servers of this run; makes the Postgres database.
    pub(crate) async fn of_the_run(name: &str) -> Self {
        let prefix = format!("{name}{}", std::process::id());
        let admin = postgres(&server("POSTGRES")).await;
        admin.batch_execute(&format!("CREATE DATABASE {prefix}")).await.unwrap();
        let postgres = server("POSTGRES").rsplit_once('/').map(|(base, _)| format!("{base}/{prefix}")).unwrap();
        let (changelog, source) = (server("KAFKA"), server("KAFKA"));
        Self { prefix, redis: server("REDIS"), postgres, clickhouse: server("CLICKHOUSE"), changelog, source }
    }

    /// The settings of a program that reads its topics here with the event clock and writes to all four.
    pub(crate) fn sets(&self, more: &[&str]) -> Vec<String> {
        let Self { prefix, redis, postgres, clickhouse, changelog, source } = self;
        let own = [
            format!("pipeline.kafka.bootstrap={source}"),
            format!("pipeline.kafka.prefix={prefix}"),
            "pipeline.clock=event".into(),
            "sinks.redis.enabled=true".into(),
            format!("sinks.redis.url={redis}"),
            format!("sinks.redis.prefix={prefix}"),
            "sinks.postgres.enabled=true".into(),
            format!("sinks.postgres.url={postgres}"),
            "sinks.clickhouse.enabled=true".into(),
            format!("sinks.clickhouse.url={clickhouse}"),
            format!("sinks.clickhouse.database={prefix}"),
            "sinks.kafka.enabled=true".into(),
            format!("sinks.kafka.bootstrap_servers={changelog}"),
            format!("sinks.kafka.prefix={prefix}"),
        ];
        own.into_iter().chain(more.iter().map(|set| (*set).to_owned())).collect()
    }

    /// The same for one that is killed: checkpoints in the market's time, which runs fast here, and as soon as possible
    /// (a checkpoint waits for every store).
    pub(crate) fn durable_sets(&self, more: &[&str]) -> Vec<String> {
        let durable = [
            "operators.bars.correction_horizon=24h",
            "checkpoint.enabled=true",
            "checkpoint.interval=20s",
            "pipeline.event_step=2s",
            "sinks.history.roll_interval=200ms",
            "sinks.clickhouse.driver.max_delay=100ms",
        ];
        self.sets(&[&durable, more].concat())
    }

    /// Every store has written what is published by now.
    pub(crate) async fn caught_up(&self, program: &Program) {
        let t = program.published_t().await;
        eventually("all stores", async || {
            for store in SINKS {
                if program.metric(&format!("optibid_sinks_acked_t{{sink=\"{store}\"}}")).await < t as f64 {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }

    /// A connection to the test's own database, past whatever door the program takes.
    pub(crate) async fn postgres_client(&self) -> tokio_postgres::Client {
        let url = server("POSTGRES").rsplit_once('/').map(|(base, _)| format!("{base}/{}", self.prefix)).unwrap();
        postgres(&url).await
    }

    /// Each store holds exactly these minute bars.
    pub(crate) async fn hold(&self, expected: &BTreeMap<Key, Bar>) {
        same("clickhouse", &clickhouse_bars(&self.prefix).await, expected);
        same("postgres", &postgres_bars(&self.postgres_client().await).await, expected);
        same("changelog", &changelog_bars(&self.changelog, &self.prefix), expected);
        check_redis(&self.prefix, expected).await;
    }
}

/// Price, accepted purchases and number of bids by place, market and start: what auctions say, in every store's terms.
type Clearing = BTreeMap<Key, (Option<f64>, f64, i64)>;

fn clearing_of_row(row: &HashMap<String, String>) -> (Key, (Option<f64>, f64, i64)) {
    let start_ms = row["start_ms"].parse().unwrap_or_else(|_| panic!("start_ms of {row:?}"));
    let key = (row["zone"].clone(), row["location"].clone(), row["market"].clone(), start_ms);
    (key, (row["price"].parse().ok(), row["bought_mw"].parse().unwrap(), row["bids"].parse().unwrap()))
}

impl Stores {
    /// The program, ClickHouse and Postgres say the same of every auction, as soon as the last bids are in: whoever has waited
    /// for the ticks has not waited for them. And something was traded.
    pub(crate) async fn agree_on_auctions(&self, program: &Program) {
        let query = "SELECT zone, location, market, CAST(arrow_cast(start_time, 'Int64') AS BIGINT) AS start_ms, price, \
                     bought_mw, bids FROM clearing";
        let stored = format!(
            "SELECT zone, location, market, toUnixTimestamp64Milli(start_time) AS start_ms, price, bought_mw, bids \
             FROM {}.clearing FINAL FORMAT CSVWithNames",
            self.prefix
        );
        let client = self.postgres_client().await;
        let in_postgres = "SELECT zone, location, market, (extract(epoch FROM start_time) * 1000)::bigint, price, \
                           bought_mw, bids FROM auctions_current";
        let ours = eventually("auctions that are the same in ClickHouse and Postgres", async || {
            self.caught_up(program).await;
            let ours: Clearing = program.sql(query).await.iter().map(clearing_of_row).collect();
            let theirs: Clearing = csv_rows(&clickhouse(&stored).await).iter().map(clearing_of_row).collect();
            let rows = client.query(in_postgres, &[]).await.unwrap();
            let key = |row: &tokio_postgres::Row| (row.get(0), row.get(1), row.get(2), row.get(3));
            let others: Clearing = rows.iter().map(|row| (key(row), (row.get(4), row.get(5), row.get(6)))).collect();
            (ours == theirs && ours == others).then_some(ours)
        })
        .await;
        assert!(ours.values().any(|(price, ..)| price.is_some()), "nothing was traded");
        self.agree_on_bids(program, &client).await;
    }

    /// The program and Postgres hold the same bids, at the same revision and with the same status; the program and ClickHouse
    /// the same key figures of them.
    async fn agree_on_bids(&self, program: &Program, client: &tokio_postgres::Client) {
        let line = |row: &HashMap<String, String>| format!("{}|{}|{}", row["bid"], row["revision"], row["status"]);
        let query = "SELECT concat_ws('|', bid, revision, status) FROM bids_current";
        eventually("bids that are the same in Postgres", async || {
            self.caught_up(program).await;
            let ours = program.sql("SELECT bid, revision, status FROM bids").await;
            let ours: HashSet<String> = ours.iter().map(line).collect();
            let rows = client.query(query, &[]).await.unwrap();
            (ours == rows.iter().map(|row| row.get(0)).collect::<HashSet<String>>()).then_some(())
        })
        .await;
        let lost =
            "SELECT count(*) FROM bids b WHERE NOT EXISTS (SELECT FROM bid_events e WHERE (e.bid, e.t) = (b.bid, b.t))";
        assert_eq!(client.query_one(lost, &[]).await.unwrap().get::<_, i64>(0), 0, "bids without their event");
        let columns = "zone, location, market, side, organisation, live_bids, withdrawn_bids, offered_mw, awarded_mw";
        let query = format!("SELECT {columns} FROM bid_kpis");
        let stored = format!("SELECT {columns} FROM {}.bid_kpis FINAL FORMAT CSVWithNames", self.prefix);
        let sorted = |rows: &[HashMap<String, String>]| {
            let number = |row: &HashMap<String, String>, name: &str| row[name].parse::<f64>().unwrap().to_string();
            let mut lines: Vec<String> = rows
                .iter()
                .map(|row| {
                    let text = ["zone", "location", "market", "side", "organisation"].map(|name| row[name].clone());
                    let figures =
                        ["live_bids", "withdrawn_bids", "offered_mw", "awarded_mw"].map(|name| number(row, name));
                    [text.as_slice(), figures.as_slice()].concat().join("|")
                })
                .collect();
            lines.sort();
            lines
        };
        let ours = eventually("key figures of bids that are the same in ClickHouse", async || {
            self.caught_up(program).await;
            let ours = sorted(&program.sql(&query).await);
            (ours == sorted(&csv_rows(&clickhouse(&stored).await))).then_some(ours)
        })
        .await;
        assert!(!ours.is_empty(), "no key figures of bids");
    }
}

/// Rows as text, numbers as numbers: whatever form a store writes them in.
fn as_lines(rows: &[HashMap<String, String>], names: &[&str], numbers: &[&str]) -> BTreeSet<String> {
    let line = |row: &HashMap<String, String>| {
        let names: Vec<&str> = names.iter().map(|name| row[*name].as_str()).collect();
        let numbers: Vec<Option<f64>> = numbers.iter().map(|name| row[*name].parse().ok()).collect();
        format!("{names:?} {numbers:?}")
    };
    rows.iter().map(line).collect()
}

impl Stores {
    /// The program and ClickHouse say the same of every interval that is settled, and of profit and loss (which may be none,
    /// where no gate has closed).
    pub(crate) async fn agree_on_settlement(&self, program: &Program) {
        for (table, names, numbers) in [
            ("settlement", &["organisation", "asset", "bid", "zone"][..], &["day_ahead", "imbalance", "total"][..]),
            ("pnl", &["organisation", "asset", "zone"], &["day_ahead", "total", "intervals", "open_intervals"]),
        ] {
            let columns = [names, numbers].concat().join(", ");
            let start = "CAST(arrow_cast(start_time, 'Int64') AS BIGINT) AS start_ms";
            let ours = program.sql(&format!("SELECT {columns}, {start} FROM {table}")).await;
            let start = "toUnixTimestamp64Milli(start_time) AS start_ms";
            let query = format!("SELECT {columns}, {start} FROM {}.{table} FINAL FORMAT CSVWithNames", self.prefix);
            let theirs = csv_rows(&clickhouse(&query).await);
            let names = [names, &["start_ms"]].concat();
            assert_eq!(as_lines(&ours, &names, numbers), as_lines(&theirs, &names, numbers), "{table} in clickhouse");
        }
    }
}

/// The stores of the program, as health and metrics name them.
pub(crate) const SINKS: [&str; 5] = ["redis", "postgres", "clickhouse", "changelog", "history"];

/// The metric with the rows that wait for a store.
pub(crate) fn queued_rows(store: &str) -> String {
    format!("optibid_sinks_queue_rows{{sink=\"{store}\"}}")
}
