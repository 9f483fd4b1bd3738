//! What each kind of asset needs, what it may have, and within which bounds: the same as the checks of the table, in words.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::NewAsset;
use crate::validate::{Fields, Problem};

/// What an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssetKind {
    /// Photovoltaic.
    Solar,
    /// Wind turbines.
    Wind,
    /// Burns something, or splits it.
    Thermal,
    /// A battery, or anything that takes power and gives it back.
    Storage,
}

/// Whether an asset runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssetStatus {
    /// Not yet built.
    Planned,
    /// Runs.
    #[default]
    Active,
    /// Stands still for a while.
    Maintenance,
    /// Stands still for good.
    Retired,
}

/// What a thermal plant burns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is what it says")]
pub enum Fuel {
    Gas,
    Coal,
    Oil,
    Biomass,
    Nuclear,
    Hydrogen,
    Geothermal,
    Other,
}

/// A kind with the fields it needs and those it may have.
type Needs = (AssetKind, &'static str, &'static [&'static str], &'static [&'static str]);

const KINDS: [Needs; 4] = [
    (AssetKind::Solar, "solar", &["dc_mw", "tilt_degrees", "azimuth_degrees"], &[]),
    (AssetKind::Wind, "wind", &["hub_height_m", "rotor_diameter_m"], &["turbines"]),
    (
        AssetKind::Thermal,
        "thermal",
        &["fuel", "min_load_mw", "ramp_mw_per_min"],
        &[
            "start_cost_cold",
            "start_cost_warm",
            "start_cost_hot",
            "variable_cost_per_mwh",
            "min_up_min",
            "min_down_min",
            "currency",
        ],
    ),
    (
        AssetKind::Storage,
        "storage",
        &["energy_mwh", "charge_mw", "discharge_mw", "efficiency_percent", "soc_min_percent", "soc_max_percent"],
        &[],
    ),
];

const MW: f64 = 100_000.0;

/// Least and most of each number.
const BOUNDS: [(&str, Least, f64); 21] = [
    ("capacity_mw", Least::Above(0.0), MW),
    ("energy_mwh", Least::Above(0.0), 10_000_000.0),
    ("charge_mw", Least::Above(0.0), MW),
    ("discharge_mw", Least::Above(0.0), MW),
    ("efficiency_percent", Least::Above(0.0), 100.0),
    ("soc_min_percent", Least::From(0.0), 100.0),
    ("soc_max_percent", Least::From(0.0), 100.0),
    ("min_load_mw", Least::From(0.0), MW),
    ("ramp_mw_per_min", Least::Above(0.0), MW),
    ("start_cost_cold", Least::From(0.0), 1e9),
    ("start_cost_warm", Least::From(0.0), 1e9),
    ("start_cost_hot", Least::From(0.0), 1e9),
    ("variable_cost_per_mwh", Least::From(0.0), 1e6),
    ("min_up_min", Least::From(0.0), 100_000.0),
    ("min_down_min", Least::From(0.0), 100_000.0),
    ("dc_mw", Least::Above(0.0), MW),
    ("tilt_degrees", Least::From(0.0), 90.0),
    // Below 360 by the smallest step that a double has there.
    ("azimuth_degrees", Least::From(0.0), 360.0_f64.next_down()),
    ("hub_height_m", Least::From(1.0), 500.0),
    ("rotor_diameter_m", Least::From(1.0), 500.0),
    ("turbines", Least::From(1.0), 10_000.0),
];

#[derive(Clone, Copy)]
enum Least {
    From(f64),
    Above(f64),
}

/// What the table would refuse, in words.
pub(super) fn check(new: &NewAsset, fields: &mut Fields) {
    let row = serde_json::to_value(new).unwrap_or_default();
    let has = |field: &str| row.get(field).is_some_and(|value| !value.is_null());
    for (kind, name, needed, possible) in KINDS {
        if kind == new.kind {
            for field in needed.iter().filter(|field| !has(field)) {
                let message = format!("is missing: {name} assets need {}", needed.join(", "));
                fields.add([Problem::new("required", message).of(*field)]);
            }
            continue;
        }
        for field in needed.iter().chain(possible).filter(|field| has(field)) {
            fields.add([Problem::new("not_of_kind", format!("is for {name} assets only")).of(*field)]);
        }
    }
    for (field, least, most) in BOUNDS {
        bound(fields, field, row.get(field).and_then(Value::as_f64), least, most);
    }
    if let Some(day) = new.commissioned_date
        && !(NaiveDate::from_ymd_opt(1900, 1, 1)..=NaiveDate::from_ymd_opt(2100, 1, 1)).contains(&Some(day))
    {
        let range = "1900-01-01..2100-01-01";
        let problem = Problem::allowed("out_of_range", "must be from 1900-01-01 to 2100-01-01", range);
        fields.add([problem.of("commissioned_date")]);
    }
    relations(new, fields);
}

fn bound(fields: &mut Fields, field: &str, value: Option<f64>, least: Least, most: f64) {
    let Some(value) = value else { return };
    let (good, words, from) = match least {
        Least::From(from) => (value >= from, "from", from),
        Least::Above(from) => (value > from, "more than", from),
    };
    if !good || value > most {
        let message = format!("must be {words} {from} and at most {most}");
        fields.add([Problem::allowed("out_of_range", message, format!("{from}..{most}")).of(field)]);
    }
}

/// What holds between two fields.
fn relations(new: &NewAsset, fields: &mut Fields) {
    let mut most = |field: &str, value: Option<f64>| {
        if value.is_some_and(|value| value > new.capacity_mw) {
            fields.add([Problem::new("above_capacity", "must not be more than capacity_mw").of(field)]);
        }
    };
    most("charge_mw", new.charge_mw);
    most("discharge_mw", new.discharge_mw);
    most("min_load_mw", new.min_load_mw);
    if let (Some(least), Some(highest)) = (new.soc_min_percent, new.soc_max_percent)
        && least >= highest
    {
        fields.add([Problem::new("out_of_order", "must be more than soc_min_percent").of("soc_max_percent")]);
    }
    let costs = [new.start_cost_cold, new.start_cost_warm, new.start_cost_hot, new.variable_cost_per_mwh];
    if new.currency.is_none() && costs.iter().any(Option::is_some) {
        fields.add([Problem::new("required", "is missing: the costs are in it").of("currency")]);
    }
}
