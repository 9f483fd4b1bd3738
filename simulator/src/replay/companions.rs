//! What some files tell about others of the same replay, kept from the first look at them.
//!
//! | told by | needed by |
//! |---|---|
//! | OMIE order headers (`CAB`) | order steps (`DET`), interconnections of the day |
//! | OMIE units | order steps: the zone of a unit |
//! | AEMO `BIDDAYOFFER_D` | `BIDPEROFFER_D`: the prices of the bands |
//! | AEMO `DUDETAILSUMMARY` | `BIDPEROFFER_D`: the region of a unit; `DISPATCH_UNIT_SCADA`: which units are loads |
//!
//! Held for the whole replay, as load is: about 0.3 MB a day of MIBEL, 0.2 MB a day of the NEM.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;

use super::aemo::offers::DayOffers;
use super::aemo::units::Units;
use super::omie::{self, Header, Zone};
use super::{Format, Source};

/// What the files of a replay tell about each other.
#[derive(Clone, Debug, Default)]
pub struct Companions {
    pub(crate) offers: DayOffers,
    pub(crate) units: Units,
    pub(crate) omie_zones: BTreeMap<String, Zone>,
    pub(crate) headers: BTreeMap<NaiveDate, Latest<Vec<Header>>>,
    pub(crate) details: BTreeMap<NaiveDate, Latest<()>>,
}

/// What the latest version of a day's file says. Versions are counted by the end of the name: `CAB_20250621.2`.
#[derive(Clone, Debug)]
pub(crate) struct Latest<X> {
    pub(crate) file: Arc<str>,
    pub(crate) version: i64,
    pub(crate) says: X,
}

impl Companions {
    /// Takes from a file what others need. What is wrong with the file is said when it is read.
    pub fn learn(&mut self, format: Format, source: &Source) {
        match format {
            Format::AemoBids => self.offers.learn(source),
            Format::AemoUnits => self.units.learn(source),
            Format::OmieUnits => self.omie_zones.extend(omie::unit_zones(source).rows),
            Format::OmieHeaders => keep(&mut self.headers, source, || omie::headers(source).rows),
            Format::OmieDetails => keep(&mut self.details, source, || ()),
            _ => {}
        }
    }
}

fn keep<X>(days: &mut BTreeMap<NaiveDate, Latest<X>>, source: &Source, says: impl FnOnce() -> X) {
    let Some(date) = omie::date_in_name(source) else { return };
    let version = omie::version_in_name(source);
    if days.get(&date).is_none_or(|held| held.version < version) {
        days.insert(date, Latest { file: Arc::clone(&source.file), version, says: says() });
    }
}
