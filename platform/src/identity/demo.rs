//! What a demo begins with: an organisation with people, sites, assets, rules and a dashboard, and a password that everybody
//! knows. Made in demo mode alone, and as often as one likes: what is there already is left as it is.

use deadpool_postgres::Transaction;
use model::humane::Secret;
use serde_json::json;
use uuid::Uuid;

use super::{Now, row};
use crate::database::{Actor, DatabaseRole, begin, take_role};
use crate::permission::Role;
use crate::refusal::{Outcome, Refusal};
use crate::{Error, Platform};

/// The organisation, and its code on the stream.
pub const ORGANISATION: (&str, &str) = ("OptiBid Demo Organization", "demo");
/// Who runs it, and the platform; and the password of all of them.
pub const ADMIN: &str = "admin@optibid.io";
/// Known to everybody: hence no password that [`crate::password::check`] would take.
pub const PASSWORD: &str = "admin123";

/// Address, name, role.
const PEOPLE: [(&str, &str, Role); 4] = [
    (ADMIN, "Demo Admin", Role::Admin),
    ("trader@optibid.io", "Demo Trader", Role::Trader),
    ("analyst@optibid.io", "Demo Analyst", Role::Analyst),
    ("viewer@optibid.io", "Demo Viewer", Role::Viewer),
];

/// Name, country, latitude, longitude, time zone.
const SITES: [(&str, &str, f64, f64, &str); 3] = [
    ("Mumbai Battery Park", "IN", 19.076, 72.8777, "Asia/Kolkata"),
    ("West Texas Wind", "US", 32.45, -100.4, "America/Chicago"),
    ("Mojave Solar", "US", 35.01, -117.33, "America/Los_Angeles"),
];

/// What there is on the sites: the name of the site, and columns of the asset.
fn assets() -> [(&'static str, serde_json::Value); 4] {
    [
        (
            "Mumbai Battery Park",
            json!({"code": "BATT-1", "name": "Battery 1", "kind": "storage", "capacity_mw": 50.0, "energy_mwh": 200.0,
                "charge_mw": 50.0, "discharge_mw": 50.0, "efficiency_percent": 88.0, "soc_min_percent": 10.0,
                "soc_max_percent": 95.0}),
        ),
        (
            "Mumbai Battery Park",
            json!({"code": "GAS-1", "name": "Peaker", "kind": "thermal", "capacity_mw": 100.0, "fuel": "gas", "min_load_mw": 40.0,
                "ramp_mw_per_min": 8.0, "start_cost_cold": 12000.0, "variable_cost_per_mwh": 65.0, "currency": "INR"}),
        ),
        (
            "West Texas Wind",
            json!({"code": "WIND-1", "name": "Wind farm", "kind": "wind", "capacity_mw": 150.0, "hub_height_m": 105.0,
                "rotor_diameter_m": 140.0, "turbines": 42}),
        ),
        (
            "Mojave Solar",
            json!({"code": "SOLAR-1", "name": "Solar field", "kind": "solar", "capacity_mw": 80.0, "dc_mw": 100.0,
                "tilt_degrees": 25.0, "azimuth_degrees": 180.0}),
        ),
    ]
}

/// Name, kind, threshold in thousandths, severity.
const RULES: [(&str, &str, i64, &str); 2] =
    [("Price spike", "z_score", 3_000, "warning"), ("Price over the cap", "price_cap", 250_000, "critical")];

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeded {
    /// The organisation.
    pub organisation: Uuid,
    /// Whether it was made now.
    pub is_new: bool,
}

impl Platform {
    /// Makes what a demo begins with. Refused unless `demo`.
    pub async fn seed_demo(&self, demo: bool, now: Now) -> Outcome<Seeded> {
        if !demo {
            return Err(Refusal::Forbidden("demo mode: its password is known to everybody".into()).into());
        }
        let hash = self.hash_password(&Secret::new(PASSWORD)).await?;
        let mut client = self.0.database.client().await?;
        let system = Actor::system();
        let transaction = begin(&mut client, &system.with_role(DatabaseRole::Identity)).await?;
        // Two instances that start at once.
        row::all(&transaction, "SELECT pg_advisory_xact_lock(hashtext('optibid demo'))", &[]).await?;
        let sql = "SELECT id FROM organisations WHERE code = $1";
        if let Some(found) = row::find(&transaction, sql, &[&ORGANISATION.1]).await? {
            return Ok(Seeded { organisation: found.try_get(0)?, is_new: false });
        }
        let organisation = Uuid::new_v4();
        let sql =
            "INSERT INTO organisations (id, code, name, country, timezone) VALUES ($1, $2, $3, 'IN', 'Asia/Kolkata')";
        row::run(&transaction, sql, &[&organisation, &ORGANISATION.1, &ORGANISATION.0]).await?;
        let admin = people(&transaction, organisation, &hash, now).await?;
        take_role(&transaction, DatabaseRole::System).await?;
        row::run(&transaction, "UPDATE users SET is_operator = true WHERE id = $1", &[&admin]).await?;
        take_role(&transaction, DatabaseRole::Tenant).await?;
        let sql = "SELECT set_config('optibid.organisation', $1, true), set_config('optibid.user', $2, true)";
        row::all(&transaction, sql, &[&organisation.to_string(), &admin.to_string()]).await?;
        things(&transaction, organisation, admin).await?;
        transaction.commit().await?;
        tracing::warn!(login = ADMIN, "the demo's accounts were made: their password is known to everybody");
        Ok(Seeded { organisation, is_new: true })
    }
}

/// The people; the admin's id.
async fn people(transaction: &Transaction<'_>, organisation: Uuid, hash: &Secret, now: Now) -> Result<Uuid, Error> {
    let mut admin = Uuid::nil();
    for (email, name, role) in PEOPLE {
        // Somebody may have registered with it before.
        let sql = "INSERT INTO users (email, email_verified_time, full_name, password_hash, password_changed_time) \
            VALUES ($1, $2, $3, $4, $2) ON CONFLICT (email) DO UPDATE SET password_hash = excluded.password_hash, \
            email_verified_time = excluded.email_verified_time RETURNING id";
        let made = row::all(transaction, sql, &[&email, &now, &name, &hash.expose()]).await?;
        let id: Uuid = made.first().map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
        let sql = "INSERT INTO memberships (organisation_id, user_id, role) VALUES ($1, $2, $3)";
        row::run(transaction, sql, &[&organisation, &id, &role.as_str()]).await?;
        if role == Role::Admin {
            admin = id;
        }
    }
    Ok(admin)
}

/// Sites, assets, rules and a dashboard.
async fn things(transaction: &Transaction<'_>, organisation: Uuid, admin: Uuid) -> Result<(), Error> {
    for (name, country, latitude, longitude, timezone) in SITES {
        let sql = "INSERT INTO sites (organisation_id, name, country, latitude, longitude, timezone) VALUES \
            ($1, $2, $3, $4, $5, $6)";
        row::run(transaction, sql, &[&organisation, &name, &country, &latitude, &longitude, &timezone]).await?;
    }
    for (site, mut asset) in assets() {
        let site = row::all(transaction, "SELECT id::text FROM sites WHERE name = $1", &[&site]).await?;
        let site: Option<String> = site.first().map(|row| row.try_get(0)).transpose()?;
        (asset["organisation_id"], asset["site_id"]) = (json!(organisation), json!(site));
        let columns: Vec<&str> =
            asset.as_object().into_iter().flat_map(|asset| asset.keys().map(String::as_str)).collect();
        let columns = columns.join(", ");
        let sql =
            format!("INSERT INTO assets ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::assets, $1)");
        row::run(transaction, &sql, &[&asset]).await?;
    }
    for (name, kind, threshold_milli, severity) in RULES {
        let sql = "INSERT INTO alert_rules (organisation_id, name, kind, threshold_milli, severity) VALUES ($1, \
            $2, $3, $4, $5)";
        row::run(transaction, sql, &[&organisation, &name, &kind, &threshold_milli, &severity]).await?;
    }
    let sql = "INSERT INTO dashboards (organisation_id, owner_id, name, shared) VALUES ($1, $2, 'Overview', \
        true) RETURNING id";
    let made = row::all(transaction, sql, &[&organisation, &admin]).await?;
    let dashboard: Option<Uuid> = made.first().map(|row| row.try_get(0)).transpose()?;
    for (x, kind, title) in [(0, "latest_prices", "Latest prices"), (12, "alerts", "Alerts")] {
        let sql = "INSERT INTO widgets (organisation_id, dashboard_id, kind, title, grid_x, grid_y, grid_width, \
            grid_height) \
            VALUES ($1, $2, $3, $4, $5, 0, 12, 6)";
        row::run(transaction, sql, &[&organisation, &dashboard, &kind, &title, &x]).await?;
    }
    Ok(())
}
