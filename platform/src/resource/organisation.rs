//! The organisation of whoever asks.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Editable, Instant, Needs, Resource, Sort, check};
use crate::permission::Permission;
use crate::validate::Fields;

/// Organisations, as a resource; a tenant sees its own.
#[derive(Debug)]
pub struct Organisations;

/// An organisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Organisation {
    /// Id.
    pub id: Uuid,
    /// What bids on the stream call it; never changes.
    #[schema(example = "NORTHWIND")]
    pub code: String,
    /// Name.
    #[schema(example = "Northwind Trading")]
    pub name: String,
    /// ISO 3166.
    #[schema(example = "DE")]
    pub country: Option<String>,
    /// IANA name of its time zone.
    #[schema(example = "Europe/Berlin")]
    pub timezone: String,
    /// Settings of its user interface.
    pub settings: Map<String, Value>,
    /// Since when it is suspended.
    pub suspended_time: Option<Instant>,
    /// Why.
    pub suspended_reason: Option<String>,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was made.
    pub created_time: Instant,
    /// When it was changed last.
    pub updated_time: Instant,
}

/// What an organisation says of itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Northwind Trading", "country": "DE", "timezone": "Europe/Berlin"}))]
pub struct NewOrganisation {
    /// Name; 1 to 120 characters.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
    /// ISO 3166, two capital letters.
    #[serde(default)]
    #[schema(pattern = "^[A-Z]{2}$")]
    pub country: Option<String>,
    /// IANA name of its time zone.
    #[serde(default = "utc")]
    pub timezone: String,
    /// Settings of its user interface; up to 16 KiB.
    #[serde(default)]
    pub settings: Map<String, Value>,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl Resource for Organisations {
    const WHAT: &'static str = "organisation";
    const TABLE: &'static str = "organisations";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "code",
        "name",
        "country",
        "timezone",
        "settings",
        "suspended_time",
        "suspended_reason",
        "version",
        "created_time",
        "updated_time",
    ];
    const SORTS: &'static [Sort] = &[Sort::NAME, Sort::NEWEST];
    const SEARCH: &'static [&'static str] = &["name", "code"];
    const READ: Needs = Needs::Permission(Permission::OrganisationRead);
    type Id = Uuid;
    type View = Organisation;
}

impl Editable for Organisations {
    const WRITABLE: &'static [&'static str] = &["name", "country", "timezone", "settings"];
    const OF_ORGANISATION: bool = false;
    const EXISTS: &'static str = "organisation_exists";
    const WRITE: Needs = Needs::Permission(Permission::OrganisationWrite);
    type New = NewOrganisation;

    fn check(new: &mut NewOrganisation, fields: &mut Fields) {
        check::name(fields, "name", &mut new.name);
        check::country(fields, new.country.as_deref());
        check::timezone(fields, "timezone", &new.timezone);
        check::object(fields, "settings", &new.settings, 16_384);
    }
}
