//! The made-up market: the same for the same seed, with the statistics it promises, and truthful about its faults.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use model::wire::{Decoded, Decoder, Limits, Origin, TopicKind};
use model::{Names, PartitionId};
use simulator::generator::Settings;
use simulator::scenario::{Faults, Form, Prices};
use simulator::{Body, Expected, Fault, Generator, Message, Scenario, Totals};

use crate::data::{ZONES, at};

fn settings(scenario: &str, seed: u64, rate: f64) -> Settings {
    Settings {
        seed,
        start_ms: at("2025-11-18T00:00:00Z"),
        rate,
        zones: vec!["pjm".into(), "CAISO".into(), "mumbai".into(), "SA1".into()],
        scenario: Scenario::preset(scenario).unwrap(),
        stamp_published: true,
    }
}

fn stream(settings: &Settings, messages: usize) -> Vec<Message> {
    Generator::new(settings.clone(), &ZONES).unwrap().take(messages).collect()
}

#[test]
fn a_seed_is_a_stream_byte_for_byte() {
    for name in Scenario::NAMES {
        let bytes = |seed| {
            let messages = stream(&settings(name, seed, 500.0), 20_000);
            messages.iter().flat_map(|m| m.body.encode().into_iter().chain([b'\n'])).collect::<Vec<u8>>()
        };
        let first = bytes(7);
        assert!(first == bytes(7), "{name}: the same seed");
        assert!(first != bytes(8), "{name}: another seed");
    }
}

#[test]
fn messages_come_in_the_order_of_sending() {
    let messages = stream(&settings("storm", 3, 200.0), 50_000);
    assert!(messages.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
    assert!(messages.iter().zip(0..).all(|(message, n)| message.truth.sequence == n));
    let behind =
        messages.iter().filter(|m| matches!(&m.body, Body::Tick(t) if t.timestamp.millis().unwrap() < m.at_ms));
    assert!(behind.count() > 1_000, "late ticks keep their event time");
}

/// Prices of a zone's index, one a minute for two weeks, in order of event time.
fn prices(scenario: Scenario, zones: [&str; 2]) -> [Vec<f64>; 2] {
    let settings = Settings {
        zones: zones.map(str::to_owned).to_vec(),
        scenario: Scenario { bids: 0.0, notices: 0.0, hubs: 0, faults: Faults::default(), ..scenario },
        ..settings("calm", 11, 2.0 / 60.0)
    };
    let mut found = [Vec::new(), Vec::new()];
    for (n, message) in stream(&settings, 2 * 14 * 1440).into_iter().enumerate() {
        let Body::Tick(tick) = message.body else { panic!("only ticks") };
        found[n % 2].push(tick.price);
    }
    found
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - mean_a, y - mean_b)).sum::<f64>();
    sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
}

#[test]
fn prices_behave() {
    let base = Scenario::preset("busy").unwrap();
    let [pjm, mumbai] = prices(base.clone(), ["PJM", "MUMBAI"]);
    assert!((25.0..60.0).contains(&mean(&pjm)), "{}", mean(&pjm));
    assert!((3_000.0..7_500.0).contains(&mean(&mumbai)), "{}", mean(&mumbai));
    let n = pjm.len();
    let (next, hour_later) = (correlation(&pjm[..n - 1], &pjm[1..]), correlation(&pjm[..n - 60], &pjm[60..]));
    assert!(next > 0.9 && hour_later < next, "{next} {hour_later}");
    // 05:00 UTC is night in New York, 00:00 UTC its evening peak.
    let hour =
        |utc: usize| mean(&pjm.chunks(1440).flat_map(|day| day[utc * 60..utc * 60 + 60].to_vec()).collect::<Vec<_>>());
    assert!(hour(0) > 1.3 * hour(8), "{} {}", hour(0), hour(8));
    // What the zones' common factor adds, beyond the common shape of their days.
    let tied = |correlation| Scenario { prices: Prices { correlation, ..base.prices.clone() }, ..base.clone() };
    let differences = |values: &[f64]| {
        values.chunks(30).map(mean).collect::<Vec<_>>().windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>()
    };
    let of = |scenario| {
        let [a, b] = prices(scenario, ["PJM", "NYISO"]);
        correlation(&differences(&a), &differences(&b))
    };
    let (loose, tight) = (of(tied(0.0)), of(tied(0.95)));
    assert!(tight > loose + 0.2, "{loose} {tight}");
}

#[test]
fn prices_go_below_zero_where_they_may() {
    let below = |values: &[f64]| values.iter().filter(|price| **price < 0.0).count();
    let [pjm, mumbai] = prices(Scenario::preset("storm").unwrap(), ["PJM", "MUMBAI"]);
    assert!((100..pjm.len() / 4).contains(&below(&pjm)), "{}", below(&pjm));
    assert_eq!(below(&mumbai), 0, "India has a floor of zero");
    let cap = ZONES.get("MUMBAI").unwrap().limits_at(at("2025-11-18T00:00:00Z")).unwrap().1;
    assert!(mumbai.iter().all(|price| *price <= model::money::price(cap)));
}

/// What a plain reader, with unlimited memory, makes of the stream.
fn read_plainly(messages: &[Message]) -> (Totals, Vec<String>) {
    let decoder = Decoder { zones: ZONES.clone(), names: Arc::new(Names::default()), limits: Limits::default() };
    let mut offsets: HashMap<String, i64> = HashMap::new();
    let mut seen: HashMap<_, HashSet<i64>> = HashMap::new();
    let (mut totals, mut wrong) = (Totals::default(), Vec::new());
    let mut out = Decoded::default();
    for message in messages {
        let topic = match message.kind {
            TopicKind::Ticks => TopicKind::ticks_topic("optibid", &message.zone),
            TopicKind::Bids => "optibid.bids".to_owned(),
            _ => "optibid.notices".to_owned(),
        };
        let offset = offsets.entry(topic.clone()).or_default();
        let origin = Origin {
            partition_id: PartitionId::new(&topic, 0),
            topic: topic.into(),
            partition: 0,
            offset: *offset,
            timestamp_ms: message.at_ms,
        };
        *offset += 1;
        out.clear();
        decoder.decode(message.kind, &origin, &message.body.encode(), &mut out);
        let found = if let Some(letter) = out.dead_letters.first() {
            Expected::DeadLetter(letter.reason)
        } else if let Some(tick) = out.ticks.first() {
            let revisions = seen.entry((tick.location, tick.market, tick.id)).or_default();
            let is_first = revisions.is_empty();
            match (revisions.insert(tick.revision), is_first) {
                (true, true) => Expected::Applied,
                (true, false) => Expected::Corrected,
                (false, _) => Expected::Duplicate,
            }
        } else if out.bids.is_empty() {
            assert_eq!(out.notices.len(), 1);
            Expected::Notice
        } else {
            Expected::Bid
        };
        if found != message.truth.expected {
            wrong.push(format!("{found:?} instead of {:?}", message.truth));
        }
        let truth = simulator::Truth { expected: found, ..message.truth };
        totals.add(&Message { truth, ..message.clone() });
    }
    (totals, wrong)
}

#[test]
fn the_truth_is_what_a_plain_reader_finds() {
    for (name, seed) in [("faults", 1), ("faults", 2), ("storm", 3), ("busy", 4)] {
        let messages = stream(&settings(name, seed, 400.0), 60_000);
        let mut truth = Totals::default();
        messages.iter().for_each(|message| truth.add(message));
        let (found, wrong) = read_plainly(&messages);
        assert!(wrong.is_empty(), "{name}: {} wrong, first: {}", wrong.len(), wrong[0]);
        assert_eq!(found, truth, "{name}");
        assert_eq!(truth.ticks, truth.applied + truth.corrected + truth.duplicates + truth.refused());
    }
}

#[test]
fn faults_come_as_often_as_asked() {
    let messages = stream(&settings("faults", 5, 1000.0), 200_000);
    let mut totals = Totals::default();
    messages.iter().for_each(|message| totals.add(message));
    let every = Faults::every();
    let share = |fault| totals.faults[&fault] as f64 / totals.ticks as f64;
    for (fault, wanted) in [
        (Fault::Late, every.late),
        (Fault::Duplicate, every.duplicate),
        (Fault::Corrected, every.corrected),
        (Fault::Cancelled, every.cancelled),
        (Fault::Corrupt, every.corrupt),
        (Fault::Future, every.future),
    ] {
        assert!((share(fault) / wanted - 1.0).abs() < 0.25, "{fault:?}: {} instead of {wanted}", share(fault));
    }
    let reasons: Vec<&str> = totals.dead_letters.keys().map(|reason| reason.as_str()).collect();
    assert_eq!(reasons, ["malformed", "unknown_zone", "bad_price", "bad_volume", "bad_time", "bad_field", "future"]);
    assert!(totals.bids > 1_000 && totals.notices > 100, "{totals:?}");
}

#[test]
fn gaps_silence_everything_and_outages_one_zone() {
    let faults = Faults { gaps_per_hour: 30.0, outages_per_hour: 0.0, ..Faults::default() };
    let quiet = |faults: Faults| {
        let scenario = Scenario { faults, bids: 0.0, notices: 0.0, ..Scenario::preset("calm").unwrap() };
        let messages = stream(&Settings { scenario, ..settings("calm", 9, 40.0) }, 100_000);
        let mut last: BTreeMap<Arc<str>, i64> = BTreeMap::new();
        let mut longest: BTreeMap<Arc<str>, i64> = BTreeMap::new();
        let mut whole = 0;
        for pair in messages.windows(2) {
            whole = whole.max(pair[1].at_ms - pair[0].at_ms);
        }
        for message in &messages {
            let before = last.insert(Arc::clone(&message.zone), message.at_ms).unwrap_or(message.at_ms);
            let silence = longest.entry(Arc::clone(&message.zone)).or_default();
            *silence = (*silence).max(message.at_ms - before);
        }
        (whole, longest)
    };
    let (whole, _) = quiet(faults.clone());
    assert!(whole > 10_000, "{whole}");
    let (whole, zones) = quiet(Faults { gaps_per_hour: 0.0, outages_per_hour: 4.0, ..faults });
    assert!(whole < 1_000 && zones.values().all(|silence| *silence > 10_000), "{whole} {zones:?}");
}

#[test]
fn forms_are_as_asked() {
    let ids = |form| {
        let scenario = Scenario { form, bids: 0.0, notices: 0.0, ..Scenario::preset("calm").unwrap() };
        let messages = stream(&Settings { scenario, stamp_published: false, ..settings("calm", 1, 10.0) }, 1_000);
        let text = String::from_utf8(messages[0].body.encode()).unwrap();
        let with_id = messages.iter().filter(|m| matches!(&m.body, Body::Tick(tick) if tick.id.is_some())).count();
        (with_id, text)
    };
    let (with_id, text) = ids(Form::Minimal);
    assert_eq!(with_id, 0);
    let fields: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(fields.keys().map(String::as_str).collect::<Vec<_>>(), ["market_zone", "price", "timestamp", "volume"]);
    assert_eq!((ids(Form::Full).0, ids(Form::Mixed).0), (1_000, 500));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings("calm", 1, 10.0);
        change(&mut settings);
        Generator::new(settings, &ZONES).unwrap_err().to_string()
    };
    assert!(refused(&|s| s.rate = 0.0).contains("rate"));
    assert!(refused(&|s| s.rate = f64::NAN).contains("rate"));
    assert!(refused(&|s| s.zones = vec!["atlantis".into()]).contains("atlantis"));
    assert!(refused(&|s| s.scenario.faults.late = 1.5).contains("shares"));
    assert!(refused(&|s| s.scenario.bids = 2.0).contains("bid"));
    assert!(Scenario::preset("doom").unwrap_err().to_string().contains("calm, busy, faults, storm"));
}
