//! Rows of the tables back into the shared nouns: what the typed reads return.
//!
//! Prices come back exactly: a price in micros has at most 16 significant digits while |price| < 9 × 10⁹, which is
//! beyond what is accepted.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMillisecondType, UInt32Type};
use model::money::MICROS;
use model::time::{Granularity, T};
use model::wire::{self, WireKind, WireStep};
use model::{
    Alert, AlertState, Anomaly, AnomalyKind, Bar, BarKey, BarRow, BidEvent, BidStatus, Disposition, LiveBid,
    LocationId, LocationName, Market, Names, PartitionId, SeriesKey, Severity, Side, Tick, TickExtra, TickRow,
};

use crate::error::Error;
use crate::store::{BidVersion, TickRecord};

/// One row of a batch, read by column name.
struct Row<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

impl<'a> Row<'a> {
    fn all(batch: &'a RecordBatch) -> impl Iterator<Item = Self> {
        (0..batch.num_rows()).map(move |row| Self { batch, row })
    }

    fn column(&self, name: &str) -> Result<&'a Arc<dyn Array>, Error> {
        self.batch.column_by_name(name).ok_or_else(|| wrong(name, "is missing"))
    }

    fn maybe_text(&self, name: &str) -> Result<Option<&'a str>, Error> {
        let column = self.column(name)?;
        if column.is_null(self.row) {
            return Ok(None);
        }
        match column.data_type() {
            DataType::Utf8 => Ok(Some(column.as_string::<i32>().value(self.row))),
            DataType::Utf8View => Ok(Some(column.as_string_view().value(self.row))),
            other => Err(wrong(name, &format!("is {other}, not text"))),
        }
    }

    fn text(&self, name: &str) -> Result<&'a str, Error> {
        self.maybe_text(name)?.ok_or_else(|| wrong(name, "is null"))
    }

    fn parse<V>(&self, name: &str, parse: impl Fn(&str) -> Option<V>) -> Result<V, Error> {
        let text = self.text(name)?;
        parse(text).ok_or_else(|| wrong(name, &format!("has no such value as {text:?}")))
    }

    fn ms(&self, name: &str) -> Result<i64, Error> {
        let column = self.column(name)?.as_primitive_opt::<TimestampMillisecondType>();
        Ok(column.ok_or_else(|| wrong(name, "is no time"))?.value(self.row))
    }

    fn int(&self, name: &str) -> Result<i64, Error> {
        let column = self.column(name)?;
        Ok(match column.data_type() {
            DataType::Int64 => column.as_primitive::<Int64Type>().value(self.row),
            DataType::Int32 => i64::from(column.as_primitive::<Int32Type>().value(self.row)),
            DataType::UInt32 => i64::from(column.as_primitive::<UInt32Type>().value(self.row)),
            other => return Err(wrong(name, &format!("is {other}, not an integer"))),
        })
    }

    fn small<V: TryFrom<i64>>(&self, name: &str) -> Result<V, Error> {
        V::try_from(self.int(name)?).map_err(|_| wrong(name, "is out of range"))
    }

    fn flag(&self, name: &str) -> Result<bool, Error> {
        let column = self.column(name)?.as_boolean_opt();
        Ok(column.ok_or_else(|| wrong(name, "is no boolean"))?.value(self.row))
    }

    /// A decimal as an integer of `unit`ths.
    fn maybe_scaled(&self, name: &str, unit: i64) -> Result<Option<i64>, Error> {
        let column = self.column(name)?;
        let numbers = column.as_primitive_opt::<Float64Type>().ok_or_else(|| wrong(name, "is no number"))?;
        Ok((!column.is_null(self.row)).then(|| (numbers.value(self.row) * unit as f64).round() as i64))
    }

    fn scaled(&self, name: &str, unit: i64) -> Result<i64, Error> {
        self.maybe_scaled(name, unit)?.ok_or_else(|| wrong(name, "is null"))
    }

    fn series(&self) -> Result<SeriesKey, Error> {
        let location = LocationId::new(self.text("zone")?, self.text("location")?);
        Ok(SeriesKey { location, market: self.parse("market", Market::parse)? })
    }

    fn t(&self, name: &str) -> Result<T, Error> {
        T::try_from(self.ms(name)?).map_err(|_| wrong(name, "is before 1970"))
    }
}

fn wrong(column: &str, what: &str) -> Error {
    Error::History(format!("column {column} {what}"))
}

/// Rows of `bars`.
pub(crate) fn bars(batch: &RecordBatch, out: &mut Vec<BarRow>) -> Result<(), Error> {
    for row in Row::all(batch) {
        let exact = |name| row.parse(name, |text| text.parse::<i128>().ok());
        let key = BarKey {
            series: row.series()?,
            granularity: row.parse("granularity", Granularity::parse)?,
            start_ms: row.ms("start_time")?,
        };
        let bar = Bar {
            open: row.scaled("open", MICROS)?,
            high: row.scaled("high", MICROS)?,
            low: row.scaled("low", MICROS)?,
            close: row.scaled("close", MICROS)?,
            count: row.int("count")?,
            sum_price: exact("sum_price")?,
            sum_price_sq: exact("sum_price_sq")?,
            sum_volume_kwh: row.scaled("volume", 1000)?,
            sum_price_volume: exact("sum_price_volume")?,
            first_ms: row.ms("first_time")?,
            last_ms: row.ms("last_time")?,
        };
        out.push(BarRow { key, end_ms: row.ms("end_time")?, bar });
    }
    Ok(())
}

/// Rows of `ticks`.
pub(crate) fn ticks(names: &Names, batch: &RecordBatch, out: &mut Vec<TickRecord>) -> Result<(), Error> {
    for row in Row::all(batch) {
        let series = row.series()?;
        let (topic, partition): (&str, i32) = (row.text("topic")?, row.small("partition")?);
        let text = row.text("id")?;
        // Records without an id of their own are shown by their hash.
        let hash = (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten();
        let extra = TickExtra {
            id: hash.is_none().then(|| text.into()),
            source: row.maybe_text("source")?.map(Into::into),
            currency: None,
            energy_micros: row.maybe_scaled("energy", MICROS)?,
            congestion_micros: row.maybe_scaled("congestion", MICROS)?,
            loss_micros: row.maybe_scaled("loss", MICROS)?,
        };
        let tick = Tick {
            location: series.location,
            market: series.market,
            event_ms: row.ms("event_time")?,
            duration_ms: row.small("duration_ms")?,
            price_micros: row.scaled("price", MICROS)?,
            volume_kwh: row.scaled("volume", 1000)?,
            id: hash.unwrap_or_else(|| xxhash_rust::xxh3::xxh3_64(text.as_bytes())),
            revision: row.int("revision")?,
            cancelled: row.flag("cancelled")?,
            partition: names.partition(topic, partition).unwrap_or_else(|_| PartitionId::new(topic, partition)),
            offset: row.int("offset")?,
            extra: (extra != TickExtra::default()).then(|| Box::new(extra)),
        };
        let disposition = row.parse("disposition", |text| {
            [Disposition::Applied, Disposition::Corrected, Disposition::Superseded]
                .into_iter()
                .find(|disposition| disposition.as_str() == text)
        })?;
        let (t, topic) = (row.t("t")?, topic.into());
        out.push(TickRecord { t, row: TickRow { tick, disposition }, topic, partition });
    }
    Ok(())
}

/// Rows of `anomalies`.
pub(crate) fn alerts(batch: &RecordBatch, out: &mut Vec<Alert>) -> Result<(), Error> {
    const KINDS: [AnomalyKind; 7] = [
        AnomalyKind::ZScore,
        AnomalyKind::RobustZScore,
        AnomalyKind::PriceCap,
        AnomalyKind::PriceFloor,
        AnomalyKind::FlatLine,
        AnomalyKind::StaleFeed,
        AnomalyKind::SpreadBreak,
    ];
    const STATES: [AlertState; 3] = [AlertState::Raised, AlertState::Revised, AlertState::Withdrawn];
    for row in Row::all(batch) {
        let kind = row.parse("kind", |text| KINDS.into_iter().find(|kind| kind.as_str() == text))?;
        let unit = if kind == AnomalyKind::StaleFeed { 1 } else { MICROS };
        let anomaly = Anomaly {
            id: row.parse("id", |text| u64::from_str_radix(text, 16).ok())?,
            rule: row.text("rule")?.to_owned(),
            kind,
            severity: row.parse("severity", Severity::parse)?,
            series: row.series()?,
            start_ms: row.ms("start_time")?,
            value: row.scaled("value", unit)?,
            baseline: row.maybe_scaled("baseline", MICROS)?,
            z_milli: row.maybe_scaled("z", 1000)?,
            threshold_milli: row.scaled("threshold", 1000)?,
        };
        let state = row.parse("state", |text| STATES.into_iter().find(|state| state.as_str() == text))?;
        out.push(Alert {
            anomaly,
            state,
            raised_t: row.t("raised_time")?,
            changed_t: row.t("t")?,
            revision: row.small("revision")?,
        });
    }
    Ok(())
}

/// Rows of `bid_versions`.
pub(crate) fn bid_versions(batch: &RecordBatch, out: &mut Vec<BidVersion>) -> Result<(), Error> {
    const STATUSES: [BidStatus; 6] = [
        BidStatus::Submitted,
        BidStatus::Amended,
        BidStatus::Withdrawn,
        BidStatus::Accepted,
        BidStatus::Rejected,
        BidStatus::Expired,
    ];
    for row in Row::all(batch) {
        let (series, delivery_ms) = (row.series()?, row.ms("delivery_time")?);
        let terms: WireKind = row.parse("terms", |text| serde_json::from_str(text).ok())?;
        let steps: Vec<WireStep> = row.parse("steps", |text| serde_json::from_str(text).ok())?;
        let steps = steps.iter().map(|step| wire::bid::step(step, delivery_ms));
        let bid = LiveBid::new(BidEvent {
            bid: row.text("bid")?.to_owned(),
            revision: row.int("revision")?,
            status: row.parse("status", |text| STATUSES.into_iter().find(|status| status.as_str() == text))?,
            organisation: row.text("organisation")?.to_owned(),
            asset: row.maybe_text("asset")?.map(str::to_owned),
            series,
            delivery_ms,
            duration_ms: row.small("duration_ms")?,
            side: row.parse("side", |text| [Side::Buy, Side::Sell].into_iter().find(|side| side.as_str() == text))?,
            kind: wire::bid::kind(&terms, |zone| LocationId::new(zone, zone))
                .map_err(|(_, detail)| wrong("terms", &detail))?,
            steps: steps.collect::<Result<_, _>>().map_err(|(_, detail)| wrong("steps", &detail))?,
            event_ms: row.ms("event_time")?,
            partition: PartitionId::default(),
            offset: 0,
        });
        let (zone, location) = (row.text("zone")?.into(), row.text("location")?.into());
        let place = LocationName { id: series.location, zone, location };
        out.push(BidVersion { t: row.t("t")?, bid, place });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::table::{self, Context};
    use model::{BidKind, Step, Zones};

    use super::*;

    #[test]
    fn bars_and_alerts_come_back_as_they_went() {
        let (names, zones) = (Names::default(), Zones::built_in());
        let (location, _) = names.location("NYISO", "N.Y.C.");
        let series = SeriesKey { location, market: Market::RealTime5Min };
        let mut bar = Bar::of(1_700_000_000_123, -12_345_678, 1_001);
        bar.append(&Bar::of(1_700_000_001_000, 999_999_999_999_999, 999_999_999));
        let key = BarKey { series, granularity: Granularity::M5, start_ms: 1_700_000_000_000 };
        let row = BarRow { key, end_ms: key.start_ms + 300_000, bar };
        let context = Context { names: &names, zones: &zones };
        let mut back = Vec::new();
        bars(&table::bars(context, [(5, false, &row)]).unwrap(), &mut back).unwrap();
        assert_eq!(back, [row]);

        let anomaly = Anomaly {
            id: 0xfedc_ba98_7654_3210,
            rule: "default".into(),
            kind: AnomalyKind::StaleFeed,
            severity: Severity::Critical,
            series,
            start_ms: key.start_ms,
            value: 90_001,
            baseline: None,
            z_milli: Some(-2_501),
            threshold_milli: 60_000,
        };
        let alert = Alert { anomaly, state: AlertState::Revised, raised_t: 3, changed_t: 9, revision: 2 };
        let mut back = Vec::new();
        alerts(&table::anomalies(context, [&alert]).unwrap(), &mut back).unwrap();
        assert_eq!(back, [alert]);
    }

    #[test]
    fn bids_of_every_kind_come_back_as_they_went() {
        let (names, zones) = (Names::default(), Zones::built_in());
        let (location, _) = names.location("MIBEL-ES", "MIBEL-ES");
        let (to, _) = names.location("MIBEL-PT", "MIBEL-PT");
        let delivery_ms = 1_700_000_000_000;
        let linear = Step { end_price_micros: 30_000_000, ..Step::flat(delivery_ms, 20_000_001, 2_500) };
        let second = Step { min_power_kw: 500, ..Step::flat(delivery_ms + 3_600_000, -10_000_000, 1_500) };
        let kinds = [
            BidKind::Curve,
            BidKind::MinimumIncome { fixed_micros: 5_500_000, variable_micros: Some(1) },
            BidKind::Block {
                min_acceptance_ppm: 333_333,
                parent: Some("p".to_owned()),
                exclusive_group: Some("g".to_owned()),
            },
            BidKind::Capacity { to },
        ];
        for kind in kinds {
            let bid = LiveBid::new(BidEvent {
                bid: "b".to_owned(),
                revision: 4,
                status: BidStatus::Amended,
                organisation: "o".to_owned(),
                asset: Some("unit".to_owned()),
                series: SeriesKey { location, market: Market::DayAheadHourly },
                delivery_ms,
                duration_ms: 3_600_000,
                side: Side::Sell,
                kind,
                steps: vec![linear, second],
                event_ms: 12_345,
                partition: PartitionId::default(),
                offset: 0,
            });
            let context = Context { names: &names, zones: &zones };
            let mut back = Vec::new();
            bid_versions(&table::bids(context, [(77, false, &bid)]).unwrap(), &mut back).unwrap();
            let place = names.name(location).unwrap();
            assert_eq!(back, [BidVersion { t: 77, bid, place }]);
        }
    }
}
