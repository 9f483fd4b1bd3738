//! Assets: plants and batteries, with the technical data of their kind.

mod kinds;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::quotas::Metric;
use super::{Editable, Filter, Instant, Kind, Needs, Resource, Sort, check};
use crate::permission::Permission;
use crate::validate::Fields;

pub use self::kinds::{AssetKind, AssetStatus, Fuel};

/// Assets, as a resource.
#[derive(Debug)]
pub struct Assets;

macro_rules! technical {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)+) => {
        /// An asset to be made. Each kind has data of its own: solar `dc_mw`, `tilt_degrees`, `azimuth_degrees`; wind
        /// `hub_height_m`, `rotor_diameter_m`; thermal `fuel`, `min_load_mw`, `ramp_mw_per_min`; storage `energy_mwh`,
        /// `charge_mw`, `discharge_mw`, `efficiency_percent`, `soc_min_percent`, `soc_max_percent`.
        #[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        #[schema(example = json!({
            "site_id": "6f1c2f0e-0f4f-4c62-9d3f-0a6b8f6f2f11", "code": "BAT-1", "name": "Battery one", "kind": "storage",
            "capacity_mw": 10.0, "energy_mwh": 20.0, "charge_mw": 10.0, "discharge_mw": 10.0, "efficiency_percent": 88.0,
            "soc_min_percent": 5.0, "soc_max_percent": 95.0
        }))]
        pub struct NewAsset {
            /// Site that it stands on.
            pub site_id: Uuid,
            /// What bids, meters and settlement call it; unique in the organisation, 1 to 64 characters.
            #[schema(min_length = 1, max_length = 64)]
            pub code: String,
            /// Name; 1 to 120 characters.
            #[schema(min_length = 1, max_length = 120)]
            pub name: String,
            /// What people should know; up to 2000 characters.
            #[serde(default)]
            #[schema(max_length = 2000)]
            pub description: String,
            /// What it is. Stays as it was made.
            pub kind: AssetKind,
            /// Whether it runs.
            #[serde(default)]
            pub status: AssetStatus,
            /// Most that it gives or takes at the grid, MW AC; more than 0, at most 100000.
            #[schema(maximum = 100_000, exclusive_minimum = 0)]
            pub capacity_mw: f64,
            /// First day of operation.
            #[serde(default)]
            pub commissioned_date: Option<NaiveDate>,
            $($(#[$doc])* #[serde(default)] pub $field: Option<$type>,)+
        }

        /// A plant or a battery. Data of other kinds is left out.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
        pub struct Asset {
            /// Id.
            pub id: Uuid,
            /// Site that it stands on.
            pub site_id: Uuid,
            /// What bids, meters and settlement call it.
            #[schema(example = "BAT-1")]
            pub code: String,
            /// Name.
            #[schema(example = "Battery one")]
            pub name: String,
            /// What people should know.
            pub description: String,
            /// What it is.
            pub kind: AssetKind,
            /// Whether it runs.
            pub status: AssetStatus,
            /// Most that it gives or takes at the grid, MW AC.
            #[schema(example = 10.0)]
            pub capacity_mw: f64,
            /// First day of operation.
            pub commissioned_date: Option<NaiveDate>,
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)+
            /// Raised by each change; the ETag.
            pub version: i64,
            /// When it was made.
            pub created_time: Instant,
            /// When it was changed last.
            pub updated_time: Instant,
        }

        const WRITABLE: &[&str] = &[
            "site_id", "code", "name", "description", "kind", "status", "capacity_mw", "commissioned_date",
            $(stringify!($field),)+
        ];
        const COLUMNS: &[&str] = &[
            "id", "site_id", "code", "name", "description", "kind", "status", "capacity_mw", "commissioned_date",
            $(stringify!($field),)+ "version", "created_time", "updated_time",
        ];
    };
}

technical! {
    /// Storage: energy that it can hold, MWh.
    energy_mwh: f64,
    /// Storage: most that it takes, MW.
    charge_mw: f64,
    /// Storage: most that it gives, MW.
    discharge_mw: f64,
    /// Storage: efficiency of a whole cycle, grid to grid, %.
    efficiency_percent: f64,
    /// Storage: least state of charge, %.
    soc_min_percent: f64,
    /// Storage: highest state of charge, %.
    soc_max_percent: f64,
    /// Thermal: what it burns.
    fuel: Fuel,
    /// Thermal: least load, MW.
    min_load_mw: f64,
    /// Thermal: how fast its load changes, MW per minute.
    ramp_mw_per_min: f64,
    /// Thermal: cost of a cold start, currency.
    start_cost_cold: f64,
    /// Thermal: cost of a warm start, currency.
    start_cost_warm: f64,
    /// Thermal: cost of a hot start, currency.
    start_cost_hot: f64,
    /// Thermal: variable cost, currency per MWh.
    variable_cost_per_mwh: f64,
    /// Thermal: shortest run, minutes.
    min_up_min: i32,
    /// Thermal: shortest stop, minutes.
    min_down_min: i32,
    /// Thermal: currency of the costs, ISO 4217.
    currency: String,
    /// Solar: power of the modules, MW DC.
    dc_mw: f64,
    /// Solar: tilt of the modules, degrees from level.
    tilt_degrees: f64,
    /// Solar: where the modules look, degrees from north by east.
    azimuth_degrees: f64,
    /// Wind: height of the hub, m.
    hub_height_m: f64,
    /// Wind: diameter of the rotor, m.
    rotor_diameter_m: f64,
    /// Wind: number of turbines.
    turbines: i32,
}

impl Resource for Assets {
    const WHAT: &'static str = "asset";
    const TABLE: &'static str = "assets";
    const COLUMNS: &'static [&'static str] = COLUMNS;
    const SORTS: &'static [Sort] =
        &[Sort::NAME, Sort::new("-name", Kind::Text), Sort::new("code", Kind::Text), Sort::NEWEST, Sort::OLDEST];
    const FILTERS: &'static [Filter] = &[
        Filter::new("site_id", "t.site_id = ?", Kind::Id),
        Filter::new("kind", "t.kind = ?", Kind::Word(&["solar", "wind", "thermal", "storage"])),
        Filter::new("status", "t.status = ?", Kind::Word(&["planned", "active", "maintenance", "retired"])),
        Filter::new("code", "t.code = ?", Kind::Text),
    ];
    const SEARCH: &'static [&'static str] = &["name", "code", "description"];
    const READ: Needs = Needs::Permission(Permission::AssetsRead);
    type Id = Uuid;
    type View = Asset;
}

impl Editable for Assets {
    const WRITABLE: &'static [&'static str] = WRITABLE;
    const FIXED: &'static [&'static str] = &["kind"];
    const QUOTA: Option<Metric> = Some(Metric::Assets);
    const EXISTS: &'static str = "asset_exists";
    const IN_USE: &'static str = "asset_in_use";
    const CONSTRAINTS: &'static [(&'static str, &'static str)] = &[
        ("assets_storage_data", "kind"),
        ("assets_thermal_data", "kind"),
        ("assets_solar_data", "kind"),
        ("assets_wind_data", "kind"),
        ("assets_storage_bounds", "soc_max_percent"),
        ("assets_thermal_bounds", "min_load_mw"),
    ];
    const WRITE: Needs = Needs::Permission(Permission::AssetsWrite);
    type New = NewAsset;

    fn check(new: &mut NewAsset, fields: &mut Fields) {
        let code = crate::names::line(&new.code, 1, 64);
        check::replace(fields, "code", &mut new.code, code);
        check::name(fields, "name", &mut new.name);
        check::prose(fields, "description", &mut new.description, 2_000);
        check::letters(fields, "currency", new.currency.as_deref(), 3, "a code of ISO 4217 like EUR");
        kinds::check(new, fields);
    }
}
