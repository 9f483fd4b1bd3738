//! `zones`: the zone table, one row a zone.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, ListBuilder, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use model::Zone;
use model::money::price;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::snapshot_table::{Definition, text};

/// The table.
pub(super) const TABLE: Definition = Definition { name: "zones", private: Privacy::Public, schema, rows };

fn schema() -> Schema {
    let number = |name: &str, nullable| Field::new(name, DataType::Float64, nullable);
    let names = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    Schema::new(vec![
        text("zone", false),
        text("name", false),
        Field::new("aliases", names, false),
        text("timezone", false),
        text("currency", false),
        text("market", false),
        text("operator", true),
        text("country", false),
        text("region", true),
        number("latitude", false),
        number("longitude", false),
        text("headline", true),
        text("reference", true),
        number("price_floor", true),
        number("price_cap", true),
    ])
}

fn rows(view: &View, _: &Wanted, schema: SchemaRef) -> Result<RecordBatch, ArrowError> {
    let zones: Vec<&Zone> = view.zones.iter().map(Arc::as_ref).collect();
    let now = view.now_ms();
    let mut aliases = ListBuilder::new(StringBuilder::new());
    for zone in &zones {
        aliases.append_value(zone.aliases.iter().map(Some));
    }
    let column = |value: fn(&Zone) -> Option<String>| -> ArrayRef {
        Arc::new(zones.iter().map(|zone| value(zone)).collect::<StringArray>())
    };
    let limit = |pick: fn((i64, i64)) -> i64| -> ArrayRef {
        let limits = zones.iter().map(|zone| zone.limits_at(now).map(|limits| price(pick(limits))));
        Arc::new(limits.collect::<Float64Array>())
    };
    let number = |value: fn(&Zone) -> f64| -> ArrayRef {
        Arc::new(zones.iter().map(|zone| Some(value(zone))).collect::<Float64Array>())
    };
    RecordBatch::try_new(
        schema,
        vec![
            column(|zone| Some(zone.code.clone())),
            column(|zone| Some(zone.name.clone())),
            Arc::new(aliases.finish()),
            column(|zone| Some(zone.timezone.name().to_owned())),
            column(|zone| Some(zone.currency.as_str().to_owned())),
            column(|zone| Some(zone.market.as_str().to_owned())),
            column(|zone| zone.operator.clone()),
            column(|zone| Some(zone.country.clone())),
            column(|zone| zone.region.clone()),
            number(|zone| zone.latitude),
            number(|zone| zone.longitude),
            column(|zone| zone.headline.clone()),
            column(|zone| zone.reference.clone()),
            limit(|(floor, _)| floor),
            limit(|(_, cap)| cap),
        ],
    )
}
