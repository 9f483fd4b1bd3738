//! Alert rules. Rules are data: they arrive on a compacted topic, and a changed rule re-evaluates the
//! alerts in its window.

use serde::{Deserialize, Serialize};

use crate::output::{AnomalyKind, Severity};

/// One alert rule, as it stands on the rules topic (JSON, keyed by `rule`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name, unique; the key of the topic. A rule that an organisation has set for itself is called
    /// `<organisation>/<name>`, see [`owner`].
    pub rule: String,
    /// What to look for.
    pub kind: AnomalyKind,
    /// Zone (any alias) the rule is for; all when absent.
    #[serde(default)]
    pub zone: Option<String>,
    /// Location inside the zone; all when absent.
    #[serde(default)]
    pub location: Option<String>,
    /// Market (gridstatus name); all when absent.
    #[serde(default)]
    pub market: Option<crate::market::Market>,
    /// Threshold in 10⁻³: of z; of currency per MWh (spread); bars × 1000 (flat line); seconds × 1000 (stale feed); unused by cap and floor.
    pub threshold_milli: i64,
    /// Trailing bars that make the baseline (z rules). At least 2.
    #[serde(default = "default_window")]
    pub window_bars: u32,
    /// Severity of its alerts.
    pub severity: Severity,
    /// Off without being deleted.
    #[serde(default = "default_enabled")]
    pub enabled: bool,
    /// Higher replaces lower; equal revisions: the later offset wins.
    #[serde(default)]
    pub revision: i64,
    /// Withdraws the rule and its alerts.
    #[serde(default)]
    pub deleted: bool,
}

/// The organisation whose rule this is: what stands before the first `/` of its name; `None` for a rule for everybody.
///
/// In the name, since an alert knows its rule by name and outlives it: so both say whose they are.
pub fn owner(name: &str) -> Option<&str> {
    name.split_once('/').map(|(organisation, _)| organisation)
}

fn default_window() -> u32 {
    30
}

fn default_enabled() -> bool {
    true
}
