//! Alert settings: how far back alerts are kept true, and the rules that stand before anybody has written one.

use model::humane::Span;
use model::{AnomalyKind, Rule, Severity};
use serde::{Deserialize, Serialize};

/// Alert settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How far behind T a bar may start and still have its alerts revised. Baselines look back as far again.
    pub window: Span,
    /// Rules in force unless the rules topic says otherwise by name. Revision 0: a record on the topic with the same
    /// name and a revision of 0 or more replaces one, `deleted` takes it away.
    pub rules: Vec<Rule>,
}

impl Default for Config {
    fn default() -> Self {
        use AnomalyKind::{FlatLine, PriceCap, PriceFloor, RobustZScore, StaleFeed, ZScore};
        use Severity::{Critical, Info, Warning};
        Self {
            window: Span::from_millis(24 * 3_600_000),
            rules: vec![
                rule("z_score", ZScore, 2_500, Warning),
                rule("robust_z_score", RobustZScore, 5_000, Warning),
                rule("price_cap", PriceCap, 0, Critical),
                rule("price_floor", PriceFloor, 0, Critical),
                rule("flat_line", FlatLine, 30_000, Info),
                rule("stale_feed", StaleFeed, 900_000, Warning),
            ],
        }
    }
}

impl Config {
    /// What is wrong with the settings, for people.
    pub fn check(&self) -> Result<(), String> {
        if self.window.millis_i64() < 60_000 {
            return Err(format!("anomalies.window: {} is shorter than a minute", self.window));
        }
        let mut names: Vec<&str> = self.rules.iter().map(|rule| rule.rule.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("anomalies.rules: {:?} stands there twice", pair[0])),
            None => Ok(()),
        }
    }
}

/// A rule for every zone and market, with a baseline of 30 bars.
fn rule(name: &str, kind: AnomalyKind, threshold_milli: i64, severity: Severity) -> Rule {
    Rule {
        rule: name.to_owned(),
        kind,
        zone: None,
        location: None,
        market: None,
        threshold_milli,
        window_bars: 30,
        severity,
        enabled: true,
        revision: 0,
        deleted: false,
    }
}
