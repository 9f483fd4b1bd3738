//! Sites: the places of an organisation, with assets on them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::quotas::Metric;
use super::{Editable, Filter, Instant, Kind, Needs, Resource, Sort, check};
use crate::permission::Permission;
use crate::validate::Fields;

/// Sites, as a resource.
#[derive(Debug)]
pub struct Sites;

/// A place with assets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Site {
    /// Id.
    pub id: Uuid,
    /// Name, unique in the organisation.
    #[schema(example = "Solar park north")]
    pub name: String,
    /// What people should know.
    pub description: String,
    /// Street, town.
    pub address: Option<String>,
    /// ISO 3166.
    #[schema(example = "IN")]
    pub country: Option<String>,
    /// Degrees north, WGS 84.
    #[schema(example = 19.076)]
    pub latitude: f64,
    /// Degrees east, WGS 84.
    #[schema(example = 72.8777)]
    pub longitude: f64,
    /// IANA name of its time zone.
    #[schema(example = "Asia/Kolkata")]
    pub timezone: String,
    /// Market zone that its power is sold in.
    #[schema(example = "IEX-W2")]
    pub zone: Option<String>,
    /// Hub or node inside the zone.
    pub location: Option<String>,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was made.
    pub created_time: Instant,
    /// When it was changed last.
    pub updated_time: Instant,
}

/// A site to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Solar park north", "latitude": 19.076, "longitude": 72.8777, "timezone": "Asia/Kolkata", "country": "IN"}))]
pub struct NewSite {
    /// Name, unique in the organisation; 1 to 120 characters.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
    /// What people should know; up to 2000 characters.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: String,
    /// Street, town; up to 500 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500)]
    pub address: Option<String>,
    /// ISO 3166, two capital letters.
    #[serde(default)]
    #[schema(pattern = "^[A-Z]{2}$", example = "IN")]
    pub country: Option<String>,
    /// Degrees north, WGS 84.
    #[schema(minimum = -90, maximum = 90)]
    pub latitude: f64,
    /// Degrees east, WGS 84.
    #[schema(minimum = -180, maximum = 180)]
    pub longitude: f64,
    /// IANA name of its time zone.
    #[schema(example = "Asia/Kolkata")]
    pub timezone: String,
    /// Market zone that its power is sold in.
    #[serde(default)]
    pub zone: Option<String>,
    /// Hub or node inside the zone; up to 200 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    pub location: Option<String>,
}

impl Resource for Sites {
    const WHAT: &'static str = "site";
    const TABLE: &'static str = "sites";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "description",
        "address",
        "country",
        "latitude",
        "longitude",
        "timezone",
        "zone",
        "location",
        "version",
        "created_time",
        "updated_time",
    ];
    const SORTS: &'static [Sort] = &[Sort::NAME, Sort::new("-name", Kind::Text), Sort::NEWEST, Sort::OLDEST];
    const FILTERS: &'static [Filter] =
        &[Filter::new("zone", "t.zone = ?", Kind::Text), Filter::new("country", "t.country = ?", Kind::Text)];
    const SEARCH: &'static [&'static str] = &["name", "description", "address"];
    const READ: Needs = Needs::Permission(Permission::SitesRead);
    type Id = Uuid;
    type View = Site;
}

impl Editable for Sites {
    const WRITABLE: &'static [&'static str] =
        &["name", "description", "address", "country", "latitude", "longitude", "timezone", "zone", "location"];
    const QUOTA: Option<Metric> = Some(Metric::Sites);
    const EXISTS: &'static str = "site_exists";
    const IN_USE: &'static str = "site_in_use";
    const WRITE: Needs = Needs::Permission(Permission::SitesWrite);
    type New = NewSite;

    fn check(new: &mut NewSite, fields: &mut Fields) {
        check::name(fields, "name", &mut new.name);
        check::prose(fields, "description", &mut new.description, 2_000);
        check::line(fields, "address", &mut new.address, 500);
        check::country(fields, new.country.as_deref());
        fields.number("latitude", new.latitude, -90.0..=90.0);
        fields.number("longitude", new.longitude, -180.0..=180.0);
        check::timezone(fields, "timezone", &new.timezone);
        check::line(fields, "zone", &mut new.zone, 64);
        check::line(fields, "location", &mut new.location, 200);
    }
}
