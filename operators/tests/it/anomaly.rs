//! Alerts against a plain recomputation: at every moment that matters all bars that are not frozen are judged anew,
//! by all rules, from nothing but the bars that stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use differential_dataflow::AsCollection;
use model::humane::Span;
use model::{
    Anomaly, AnomalyKind, Bar, BarKey, BarRow, Granularity, LocationId, Market, PartitionId, Rule, SeriesKey, Severity,
    T, Zones,
};
use operators::Config;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::driven::{Moment, Standing, Updates, run};

static ZONES: LazyLock<Zones> = LazyLock::new(Zones::built_in);
const START: T = 1_750_000_020_000;
const MINUTE: i64 = 60_000;
const WINDOW: i64 = 25 * MINUTE;
type Change = (BarRow, T, isize);
type RuleRecord = (Rule, PartitionId, i64);
type Script = Vec<Moment<Change, RuleRecord>>;

pub(crate) fn rule(name: &str, kind: AnomalyKind, threshold_milli: i64, window_bars: u32, revision: i64) -> Rule {
    Rule {
        rule: name.into(),
        kind,
        zone: None,
        location: None,
        market: None,
        threshold_milli,
        window_bars,
        severity: Severity::Warning,
        enabled: true,
        revision,
        deleted: false,
    }
}

fn config() -> Config {
    use AnomalyKind::{FlatLine, PriceCap, PriceFloor, RobustZScore, SpreadBreak, StaleFeed, ZScore};
    let mut config = Config::default();
    config.anomalies.window = Span::from_millis(WINDOW as u64);
    config.anomalies.rules = vec![
        rule("z", ZScore, 1_500, 6, 0),
        rule("robust", RobustZScore, 2_000, 9, 0),
        rule("cap", PriceCap, 0, 30, 0),
        rule("floor", PriceFloor, 0, 30, 0),
        rule("flat", FlatLine, 3_000, 30, 0),
        rule("stale", StaleFeed, 150_000, 30, 0),
        rule("spread", SpreadBreak, 25_000, 30, 0),
    ];
    config
}

/// The zone's index, its reference, and another zone; the market with the fewest intervals and a continuous one.
fn series() -> Vec<SeriesKey> {
    let zones = &*ZONES;
    let (pjm, nyiso) = (zones.get("PJM").unwrap(), zones.get("NYISO").unwrap());
    let key = |location, market| SeriesKey { location, market };
    vec![
        key(pjm.index(), Market::Continuous),
        key(pjm.reference(), Market::Continuous),
        key(nyiso.index(), Market::Continuous),
        key(pjm.index(), Market::RealTime5Min),
        key(pjm.reference(), Market::RealTime5Min),
    ]
}

fn bar(series: SeriesKey, start_ms: i64, prices: &[i64], last_ms: i64) -> BarRow {
    let ticks = prices.iter().zip(start_ms..).map(|(price, at)| Bar::of(at, price * 1_000_000, 1)).collect::<Vec<_>>();
    let mut bar = Bar::merge(&ticks).unwrap();
    bar.last_ms = last_ms;
    let key = BarKey { series, granularity: Granularity::M1, start_ms };
    BarRow { key, end_ms: start_ms + MINUTE, bar }
}

fn random_rule(dice: &mut ChaCha8Rng, offset: i64) -> RuleRecord {
    let mut defaults = config().anomalies.rules;
    defaults.push(rule("extra", AnomalyKind::ZScore, 1_000, 4, 0));
    let mut rule = defaults.swap_remove(dice.random_range(0..defaults.len()));
    rule.revision = dice.random_range(0..3) + offset / 3;
    rule.threshold_milli = match rule.kind {
        AnomalyKind::ZScore | AnomalyKind::RobustZScore => dice.random_range(-500..3_000),
        AnomalyKind::FlatLine => dice.random_range(1..5) * 1_000,
        AnomalyKind::StaleFeed => dice.random_range(-1..4) * 60_000,
        _ => dice.random_range(0..40_000),
    };
    rule.window_bars = dice.random_range(0..12);
    rule.severity = if dice.random_bool(0.5) { Severity::Info } else { Severity::Critical };
    rule.enabled = dice.random_bool(0.85);
    rule.deleted = dice.random_bool(0.15);
    rule.zone = match dice.random_range(0..6) {
        0 => Some("pjm".into()),
        1 => Some("atlantis".into()),
        _ => None,
    };
    rule.location = dice.random_bool(0.15).then(|| "WESTERN hub".into());
    rule.market = dice.random_bool(0.2).then_some(Market::RealTime5Min);
    if rule.rule == "extra" && dice.random_bool(0.3) {
        rule.kind = AnomalyKind::RobustZScore;
    }
    (rule, PartitionId(0), offset)
}

/// Random bars (open minutes that change, late ones, corrections, withdrawals, far too old ones, silences) and rules.
fn script(seed: u64) -> Script {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let series = series();
    let mut bars: BTreeMap<(SeriesKey, i64), BarRow> = BTreeMap::new();
    let (mut t, mut offset) = (START, 0);
    let mut moments = Vec::new();
    for _ in 0..330 {
        t += if dice.random_bool(0.02) { dice.random_range(60_000..4_000_000) } else { dice.random_range(1..30_000) };
        let mut changed = BTreeMap::new();
        for _ in 0..dice.random_range(0..6) {
            let series = series[dice.random_range(0..series.len())];
            let back = match dice.random_range(0..12) {
                0..7 => 0,
                7..11 => dice.random_range(-1..8),
                _ => dice.random_range(0..70),
            };
            let step = if series.market == Market::Continuous { MINUTE } else { 5 * MINUTE };
            let start = (t as i64 / step - back) * step;
            let mut price = || match dice.random_range(0..20) {
                0 => 4_000,
                1 => -1_200,
                2..12 => 20,
                _ => dice.random_range(0..60),
            };
            let prices = [price(), price()];
            let last_ms = start + dice.random_range(0..MINUTE);
            changed.insert((series, start), dice.random_bool(0.9).then(|| bar(series, start, &prices, last_ms)));
        }
        let mut first = Vec::new();
        for (key, new) in changed {
            let old = match new {
                Some(new) => bars.insert(key, new),
                None => bars.remove(&key),
            };
            first.extend(old.map(|old| (old, t, -1)));
            first.extend(new.map(|new| (new, t, 1)));
        }
        let rules = if dice.random_bool(0.06) { dice.random_range(1..3) } else { 0 };
        let second = (0..rules).map(|_| {
            offset += 1;
            random_rule(&mut dice, offset)
        });
        let second = second.collect();
        moments.push(Moment { t, first, second });
    }
    moments
}

/// The rules that stand, from every record so far.
fn standing_rules(records: &[RuleRecord]) -> Vec<Rule> {
    let defaults = config().anomalies.rules.into_iter().map(|rule| (rule, PartitionId(0), -1));
    let mut winners: BTreeMap<String, (i64, i64, Rule)> = BTreeMap::new();
    for (rule, _, offset) in defaults.chain(records.iter().cloned()) {
        let better = winners.get(&rule.rule).is_none_or(|(revision, at, _)| (*revision, *at) < (rule.revision, offset));
        if better {
            winners.insert(rule.rule.clone(), (rule.revision, offset, rule));
        }
    }
    winners.into_values().map(|(.., rule)| rule).filter(|rule| !rule.deleted && rule.enabled).collect()
}

fn applies(rule: &Rule, series: SeriesKey) -> bool {
    let zones = &*ZONES;
    let zone = zones.of(series.location).unwrap();
    let zone_fits = rule.zone.as_ref().is_none_or(|name| zones.get(name).is_some_and(|named| named.code == zone.code));
    let location_fits = rule.location.as_ref().is_none_or(|name| zone.location(name) == series.location);
    zone_fits && location_fits && rule.market.is_none_or(|only| only == series.market)
}

type Bars = BTreeMap<i64, Bar>;

/// Half away from zero, through the absolute value.
fn round(numerator: i128, denominator: i128) -> i128 {
    let (n, d) = (numerator.abs(), denominator.abs());
    (n / d + i128::from(2 * (n % d) >= d)) * numerator.signum() * denominator.signum()
}

fn root(value: i128) -> i128 {
    let mut guess = (value as f64).sqrt() as i128;
    while guess * guess > value {
        guess -= 1;
    }
    while (guess + 1) * (guess + 1) <= value {
        guess += 1;
    }
    guess
}

fn middle(mut values: Vec<i128>) -> i128 {
    values.sort_unstable();
    round(values[(values.len() - 1) / 2] + values[values.len() / 2], 2)
}

/// (value, baseline, z) of one bar by one rule, if it fires.
fn judge(
    rule: &Rule,
    series: SeriesKey,
    start: i64,
    bars: &Bars,
    reference: Option<&Bars>,
    t: i64,
) -> Option<(i64, Option<i64>, Option<i64>)> {
    let bar = bars[&start];
    let zone = ZONES.of(series.location).cloned().unwrap();
    let trailing: Vec<i128> = bars.range(start - WINDOW..start).rev().map(|(_, bar)| i128::from(bar.close)).collect();
    let limit = rule.threshold_milli.max(0);
    match rule.kind {
        AnomalyKind::ZScore | AnomalyKind::RobustZScore => {
            let window = rule.window_bars.max(2) as usize;
            let closes: Vec<i128> = trailing.into_iter().take(window).collect();
            let n = closes.len() as i128;
            if closes.len() < window.min(5) {
                return None;
            }
            let (centre, spread) = if rule.kind == AnomalyKind::ZScore {
                let sum: i128 = closes.iter().sum();
                let squares: i128 = closes.iter().map(|x| (n * x - sum).pow(2)).sum();
                (round(sum, n), root(squares / (n * n * (n - 1))))
            } else {
                let centre = middle(closes.clone());
                let distances = closes.iter().map(|x| (x - centre).abs()).collect();
                (centre, round(middle(distances) * 14_826, 10_000))
            };
            if spread == 0 {
                return None;
            }
            let z = round(1000 * (i128::from(bar.close) - centre), spread) as i64;
            (z.abs() > limit).then_some((bar.close, Some(centre as i64), Some(z)))
        }
        AnomalyKind::PriceCap => {
            let (_, cap) = zone.limits_at(start)?;
            (bar.high >= cap).then_some((bar.high, Some(cap), None))
        }
        AnomalyKind::PriceFloor => {
            let (floor, _) = zone.limits_at(start)?;
            (bar.low <= floor).then_some((bar.low, Some(floor), None))
        }
        AnomalyKind::FlatLine => {
            let n = (rule.threshold_milli / 1000).max(0) as usize;
            let run = 1 + trailing.iter().take_while(|close| **close == i128::from(bar.close)).count();
            (n >= 2 && run == n && start + MINUTE <= t).then_some((bar.close, None, None))
        }
        AnomalyKind::SpreadBreak => {
            let other = reference?.get(&start)?.close;
            let value = bar.close - other;
            (value.abs() > limit * 1000).then_some((value, Some(other), None))
        }
        AnomalyKind::StaleFeed => None,
    }
}

/// Silence after the newest bar that makes a feed stale.
fn silence(rule: &Rule, series: SeriesKey) -> Option<i64> {
    let intervals = if rule.market.is_some() { 0 } else { 3 * i64::from(series.market.interval_ms()) };
    (rule.kind == AnomalyKind::StaleFeed && rule.threshold_milli > 0).then(|| rule.threshold_milli.max(intervals))
}

/// Plain state of the world: bars, rules, and the alerts that stand.
#[derive(Default)]
struct World {
    bars: BTreeMap<SeriesKey, Bars>,
    records: Vec<RuleRecord>,
    /// By (rule, series, start); stale feeds apart, since they never freeze.
    alerts: BTreeMap<(String, SeriesKey, i64), Anomaly>,
    stale: Vec<Anomaly>,
}

impl World {
    fn forget(&mut self, t: i64) {
        for bars in self.bars.values_mut() {
            let newest = bars.keys().next_back().copied();
            bars.retain(|start, _| *start >= t - 2 * WINDOW || Some(*start) == newest);
        }
    }

    fn take_in(&mut self, moment: &Moment<Change, RuleRecord>) {
        self.forget(moment.t as i64);
        let mut changes = moment.first.clone();
        changes.sort_by_key(|(_, _, diff)| *diff);
        for (row, _, diff) in changes {
            let bars = self.bars.entry(row.key.series).or_default();
            if diff > 0 {
                bars.insert(row.key.start_ms, row.bar);
            } else {
                bars.remove(&row.key.start_ms);
            }
        }
        self.forget(moment.t as i64);
        self.records.extend(moment.second.iter().cloned());
    }

    fn recompute(&mut self, t: i64) {
        let rules = standing_rules(&self.records);
        self.alerts.retain(|(_, _, start), _| *start < t - WINDOW);
        self.stale.clear();
        for (series, bars) in &self.bars {
            let reference: LocationId = ZONES.of(series.location).unwrap().reference();
            let other =
                self.bars.get(&SeriesKey { location: reference, ..*series }).filter(|_| reference != series.location);
            for rule in rules.iter().filter(|rule| applies(rule, *series)) {
                let alert = |start_ms, value, baseline, z_milli| Anomaly {
                    id: Anomaly::stable_id(&rule.rule, rule.kind, *series, start_ms),
                    rule: rule.rule.clone(),
                    kind: rule.kind,
                    severity: rule.severity,
                    series: *series,
                    start_ms,
                    value,
                    baseline,
                    z_milli,
                    threshold_milli: rule.threshold_milli,
                };
                for start in bars.range(t - WINDOW..).map(|(start, _)| *start) {
                    if let Some((value, baseline, z)) = judge(rule, *series, start, bars, other, t) {
                        self.alerts.insert((rule.rule.clone(), *series, start), alert(start, value, baseline, z));
                    }
                }
                let silent = silence(rule, *series).zip(bars.last_key_value());
                if let Some((silence, (start, bar))) = silent
                    && bar.last_ms + silence <= t
                {
                    self.stale.push(alert(*start, silence, None, None));
                }
            }
        }
    }

    fn standing(&self) -> BTreeSet<Anomaly> {
        self.alerts.values().chain(&self.stale).cloned().collect()
    }
}

/// Every T at which something may change though nothing comes in.
fn quiet_moments(script: &Script) -> BTreeSet<T> {
    let mut moments = BTreeSet::new();
    let records = script.iter().flat_map(|moment| &moment.second).map(|(rule, ..)| rule.clone());
    let rules: Vec<Rule> = records.chain(config().anomalies.rules).collect();
    for (row, ..) in script.iter().flat_map(|moment| &moment.first) {
        moments.insert((row.key.start_ms + MINUTE) as T);
        let silences = rules.iter().filter_map(|rule| silence(rule, row.key.series));
        moments.extend(silences.map(|silence| (row.bar.last_ms + silence) as T));
    }
    moments
}

fn alerts(workers: usize, seed: u64, script: &Script, end: T) -> Updates<Anomaly> {
    run(workers, seed, script, end, |bars, rules| {
        let config = config();
        let (rules, _) = operators::rules::live_rules(&config.anomalies.rules, rules, None);
        operators::anomaly::anomalies(&config, &ZONES, bars.as_collection(), rules)
    })
}

#[test]
fn alerts_equal_the_oracle_on_any_number_of_workers() {
    for seed in 0..5 {
        let script = script(seed);
        let end = script.last().unwrap().t + 30 * MINUTE as T;
        let updates = alerts(1, seed, &script, end);
        for workers in [2, 4] {
            assert_eq!(alerts(workers, seed + 50, &script, end), updates, "seed {seed}, {workers} workers");
        }
        let mut moments = quiet_moments(&script);
        moments.extend(script.iter().map(|moment| moment.t));
        let (mut world, mut standing) = (World::default(), Standing::new(&updates));
        let (mut script, mut kinds) = (script.iter().peekable(), BTreeSet::new());
        for t in moments.into_iter().filter(|t| (START..end).contains(t)) {
            if let Some(moment) = script.next_if(|moment| moment.t == t) {
                world.take_in(moment);
            }
            world.recompute(t as i64);
            let expected = world.standing();
            kinds.extend(expected.iter().map(|alert| alert.kind));
            assert_eq!(standing.at(t), &expected, "seed {seed} at {t}");
        }
        assert!(script.next().is_none());
        assert_eq!(kinds.len(), 7, "the script must raise every kind: {kinds:?}");
        let withdrawn = updates.iter().filter(|(_, _, diff)| *diff < 0).count();
        assert!(withdrawn > 50, "the script must withdraw alerts: {withdrawn}");
    }
}

/// What is said of one rule, in order: (T, start of the bar relative to the first, value, ±1).
fn life(updates: &Updates<Anomaly>, name: &str, first: i64) -> Vec<(T, i64, i64, isize)> {
    let of = updates.iter().filter(|(_, alert, _)| alert.rule == name);
    of.map(|(t, alert, diff)| (*t, (alert.start_ms - first) / MINUTE, alert.value / 1_000_000, *diff)).collect()
}

/// Six quiet minutes, then a spike that grows, is corrected, comes back and is withdrawn with its bar.
#[test]
fn an_alert_is_raised_revised_and_withdrawn_with_its_bar() {
    let series = series()[2];
    let first = START as i64 / MINUTE * MINUTE;
    let mut script: Script = Vec::new();
    let mut say = |t: T, old: Option<BarRow>, new: Option<BarRow>| {
        let first = old.map(|old| (old, t, -1)).into_iter().chain(new.map(|new| (new, t, 1))).collect();
        script.push(Moment { t, first, second: Vec::new() });
    };
    for i in 0..6 {
        let start = first + i * MINUTE;
        say(start as T + 1, None, Some(bar(series, start, &[30 + i % 3], start + 1)));
    }
    let start = first + 6 * MINUTE;
    let spike = |price| Some(bar(series, start, &[price], start + 1));
    let t = start as T;
    say(t + 10, None, spike(90));
    say(t + 20, spike(90), spike(95));
    say(t + 30, spike(95), spike(31));
    say(t + 40, spike(31), spike(80));
    say(t + 50, spike(80), None);
    let updates = alerts(2, 1, &script, t + 60);
    let expected = [
        (t + 10, 6, 90, 1),
        (t + 20, 6, 90, -1),
        (t + 20, 6, 95, 1),
        (t + 30, 6, 95, -1),
        (t + 40, 6, 80, 1),
        (t + 50, 6, 80, -1),
    ];
    assert_eq!(life(&updates, "z", first), expected);
    let ids: BTreeSet<u64> =
        updates.iter().filter(|(_, alert, _)| alert.rule == "z").map(|(_, alert, _)| alert.id).collect();
    assert_eq!(ids.len(), 1, "one alert through all its life");
}

/// A feed falls silent: the alert comes at exactly last tick + threshold though no record says so, and goes with the
/// next tick. A bar that leaves the window keeps its alert.
#[test]
fn silence_is_noticed_by_time_alone_and_old_alerts_are_frozen() {
    let series = series()[2];
    let first = START as i64 / MINUTE * MINUTE;
    let last = first + 20_000;
    let at_cap = bar(series, first, &[90_000], last);
    let back = first + 3 * WINDOW;
    let script: Script = vec![
        Moment { t: first as T + 30_000, first: vec![(at_cap, first as T + 30_000, 1)], second: Vec::new() },
        Moment { t: back as T, first: vec![(bar(series, back, &[30], back), back as T, 1)], second: Vec::new() },
        // Far too late: the bar is frozen, and so is its alert.
        Moment { t: back as T + 5, first: vec![(at_cap, back as T + 5, -1)], second: Vec::new() },
    ];
    let updates = alerts(4, 7, &script, back as T + 1000);
    let stale: Vec<_> = updates.iter().filter(|(_, alert, _)| alert.rule == "stale").collect();
    assert_eq!(stale.len(), 2, "{stale:?}");
    assert_eq!((stale[0].0, stale[0].2), (last as T + 150_000, 1));
    assert_eq!((stale[0].1.value, stale[0].1.start_ms), (150_000, first));
    assert_eq!((stale[1].0, stale[1].2), (back as T, -1));
    assert_eq!(life(&updates, "cap", first), [(first as T + 30_000, 0, 90_000, 1)]);
}
