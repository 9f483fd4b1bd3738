//! The units behind bids, as far as they are known: what each can deliver. Data: part of the zone table.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::money::volume_kwh;

/// A unit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// Its name in bids.
    pub id: String,
    /// What it can deliver or take, MW.
    pub capacity: f64,
}

/// Capacity by asset. Cheap to clone; what is not in it is not bounded.
#[derive(Clone, Debug, Default)]
pub struct Assets(Arc<HashMap<String, i64>>);

impl Assets {
    /// Makes the table; a later entry replaces an earlier one. `Err` says what is wrong with which.
    pub fn new(all: impl IntoIterator<Item = Asset>) -> Result<Self, String> {
        let mut assets = HashMap::new();
        for Asset { id, capacity } in all {
            let kw = volume_kwh(capacity).filter(|kw| *kw > 0);
            assets.insert(id.clone(), kw.ok_or_else(|| format!("asset {id}: capacity {capacity} MW is not above 0"))?);
        }
        Ok(Self(Arc::new(assets)))
    }

    /// Capacity of an asset, kW; `None` where it is not known.
    pub fn capacity_kw(&self, asset: &str) -> Option<i64> {
        self.0.get(asset).copied()
    }
}
