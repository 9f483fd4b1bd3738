//! `merit_order`: the price levels of every delivery interval that the state clears, with what has come up to each.
//!
//! ```text
//! snapshot.clearing ─► intervals asked for ─► their auctions ─► `auction::Book` of the bids in them ─► levels
//! ```
//! Made when it is asked for, of no other bids than those: of the filters, equality and IN on `zone`, `location` and `market`
//! and ranges of `start_time` decide which. What each interval clears at is what the dataflow said, so no day is cleared here.
//!
//! A level is a price of a step: linear bids are in the cumulative columns only, from their first kW on. Not in it are
//! bids of which all is taken or nothing: blocks, bids with a minimum income or with minimum quantities. What they offer is
//! in `bids` (`kind`, `terms`, `steps`), what became of them in `awards`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use auction::{Auction, Book, Rules};
use model::money::{price, volume_mwh};
use model::{Clearing, LocationName, SeriesKey};

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::snapshot_table::{Definition, instant, text};

/// The table.
pub(super) const TABLE: Definition = Definition { name: "merit_order", private: Privacy::Public, schema, rows };

fn schema() -> Schema {
    let number = |name: &str| Field::new(name, DataType::Float64, false);
    Schema::new(vec![
        text("zone", false),
        text("location", false),
        text("market", false),
        instant("start_time"),
        Field::new("duration_ms", DataType::Int64, false),
        number("price"),
        number("sell_mw"),
        number("buy_mw"),
        number("supply_mw"),
        number("demand_mw"),
        Field::new("in_the_money", DataType::Boolean, false),
        text("currency", true),
    ])
}

/// A price level of an interval: micros per MWh, kW.
struct Level<'a> {
    of: &'a Clearing,
    price_micros: i64,
    sell_kw: i64,
    buy_kw: i64,
    supply_kw: i64,
    demand_kw: i64,
}

impl Level<'_> {
    /// Whether something is for sale at the clearing price or less, or asked for at it or more.
    fn in_the_money(&self) -> bool {
        let is_in = |at| (self.sell_kw > 0 && self.price_micros <= at) || (self.buy_kw > 0 && self.price_micros >= at);
        self.of.price_micros.is_some_and(is_in)
    }
}

/// Names of the series asked for; `None` for one that is not.
type Names = HashMap<SeriesKey, Option<LocationName>>;

/// The intervals asked for by series and auction, with the book of what is bid there.
type Asked<'a> = BTreeMap<(SeriesKey, Auction), (Book, Vec<&'a Clearing>)>;

fn rows(view: &View, wanted: &Wanted, schema: SchemaRef) -> Result<RecordBatch, ArrowError> {
    let (names, asked) = asked(view, wanted);
    let levels: Vec<Level<'_>> =
        asked.values().flat_map(|(book, rows)| rows.iter().flat_map(|row| levels(book, row))).collect();
    encode(view, schema, &levels, |series| names.get(&series).and_then(Option::as_ref))
}

fn asked<'a>(view: &'a View, wanted: &Wanted) -> (Names, Asked<'a>) {
    let rules = Rules::new(&view.zones);
    let (mut names, mut asked) = (Names::new(), Asked::new());
    for (_, row) in view.snapshot.clearing.values() {
        let name = names.entry(row.series).or_insert_with(|| name(view, wanted, row.series));
        if name.is_some() && wanted.admits_time(row.start_ms) {
            let auction = rules.auction_at(row.series, row.start_ms, row.duration_ms);
            let (_, intervals) =
                asked.entry((row.series, auction)).or_insert_with(|| (Book::new(&auction, &rules), Vec::new()));
            intervals.push(row);
        }
    }
    for (_, bid) in view.snapshot.bids.values() {
        let is_asked = bid.is_live() && names.get(&bid.series).is_some_and(Option::is_some);
        if is_asked
            && bid.steps.iter().any(|step| wanted.admits_time(step.start_ms))
            && let Some((book, _)) = asked.get_mut(&(bid.series, rules.auction(bid)))
        {
            book.enter(bid.clone());
        }
    }
    (names, asked)
}

fn name(view: &View, wanted: &Wanted, series: SeriesKey) -> Option<LocationName> {
    let name = view.context().name(series.location);
    let is_asked = wanted.admits("zone", &name.zone)
        && wanted.admits("location", &name.location)
        && wanted.admits("market", series.market.as_str());
    is_asked.then_some(name)
}

/// The levels of one interval, ascending.
fn levels<'a>(book: &Book, of: &'a Clearing) -> Vec<Level<'a>> {
    let zone = book.zones().iter().position(|zone| *zone == of.series.location);
    let Some((interval, zone)) = book.intervals().at(of.start_ms).zip(zone) else { return Vec::new() };
    let levels = book.day().merit(interval, u8::from(zone > 0)).levels();
    let levels = levels.map(|level| Level {
        of,
        price_micros: level.price,
        sell_kw: level.sell,
        buy_kw: level.buy,
        supply_kw: level.supply,
        demand_kw: level.demand,
    });
    levels.collect()
}

fn encode<'n>(
    view: &View,
    schema: SchemaRef,
    levels: &[Level<'_>],
    name: impl Fn(SeriesKey) -> Option<&'n LocationName>,
) -> Result<RecordBatch, ArrowError> {
    let series = || levels.iter().map(|level| level.of.series);
    let named = |pick: fn(&LocationName) -> &str| -> ArrayRef {
        Arc::new(series().map(|series| name(series).map(pick)).collect::<StringArray>())
    };
    let power = |kw: fn(&Level<'_>) -> i64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(levels.iter().map(|level| volume_mwh(kw(level)))))
    };
    let starts = TimestampMillisecondArray::from_iter_values(levels.iter().map(|level| level.of.start_ms));
    let currency = series().map(|series| view.zones.of(series.location).map(|zone| zone.currency.as_str().to_owned()));
    RecordBatch::try_new(
        schema,
        vec![
            named(|name| &name.zone),
            named(|name| &name.location),
            Arc::new(StringArray::from_iter_values(series().map(|series| series.market.as_str()))),
            Arc::new(starts.with_timezone("UTC")),
            Arc::new(Int64Array::from_iter_values(levels.iter().map(|level| i64::from(level.of.duration_ms)))),
            Arc::new(Float64Array::from_iter_values(levels.iter().map(|level| price(level.price_micros)))),
            power(|level| level.sell_kw),
            power(|level| level.buy_kw),
            power(|level| level.supply_kw),
            power(|level| level.demand_kw),
            Arc::new(levels.iter().map(|level| Some(level.in_the_money())).collect::<BooleanArray>()),
            Arc::new(currency.collect::<StringArray>()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::{Expr, col, lit};
    use model::{Batch, BidEvent, BidKind, BidStatus, Change, Market, Side, Snapshot, Step, Zones};

    use super::*;

    fn bid(view: &View, zone: &str, hour: i64) -> BidEvent {
        let start_ms = hour * model::time::HOUR_MS;
        BidEvent {
            bid: format!("{zone} {hour}"),
            revision: 0,
            status: BidStatus::Submitted,
            organisation: "o".to_owned(),
            asset: None,
            series: SeriesKey { location: view.zones.get(zone).unwrap().index(), market: Market::DayAheadHourly },
            delivery_ms: start_ms,
            duration_ms: 3_600_000,
            side: Side::Sell,
            kind: BidKind::Curve,
            steps: vec![Step::flat(start_ms, 10_000_000, 1_000)],
            event_ms: 0,
            partition: model::PartitionId::default(),
            offset: 0,
        }
    }

    /// Two days of three zones, two of them coupled.
    fn view() -> View {
        let mut view = View {
            snapshot: Arc::default(),
            names: Arc::default(),
            zones: Zones::built_in(),
            history: None,
            lookback_ms: 0,
            cache: Arc::default(),
            metrics: crate::metrics::Metrics::unregistered().unwrap(),
        };
        let rules = Rules::new(&view.zones);
        let mut batch = Batch { t: 1, ..Batch::default() };
        for (zone, hour) in ["MIBEL-ES", "MIBEL-PT", "PJM"].into_iter().flat_map(|zone| [(zone, 12), (zone, 36)]) {
            view.names.location(zone, zone);
            let bid = Arc::new(bid(&view, zone, hour));
            let mut book = Book::new(&rules.auction(&bid), &rules);
            book.enter(bid.clone());
            book.clear();
            let rows =
                book.intervals().all().flat_map(|interval| (0..book.zones().len()).map(move |zone| (interval, zone)));
            batch.clearing.extend(rows.filter_map(|(interval, zone)| book.row(interval, zone)).map(Change::Put));
            batch.bids.push(Change::Put(bid));
        }
        let mut snapshot = Snapshot::default();
        snapshot.apply(&batch);
        view.snapshot = Arc::new(snapshot);
        view
    }

    /// The bids that are in some book.
    fn entered(view: &View, filters: &[Expr]) -> Vec<String> {
        let (_, asked) = asked(view, &Wanted::read(filters, "start_time"));
        let all = view.snapshot.bids.keys();
        all.filter(|bid| asked.values().any(|(book, _)| book.find(bid).is_some())).cloned().collect()
    }

    #[test]
    fn no_bid_is_entered_that_the_query_is_not_about() {
        let view = view();
        let after = lit(ScalarValue::TimestampMillisecond(Some(model::time::DAY_MS), Some("UTC".into())));
        let (pjm, late) = (col("zone").eq(lit("PJM")), col("start_time").gt_eq(after));
        assert_eq!(entered(&view, &[]).len(), 6);
        assert_eq!(entered(&view, std::slice::from_ref(&pjm)), ["PJM 12", "PJM 36"]);
        assert_eq!(entered(&view, &[pjm, late.clone()]), ["PJM 36"]);
        // A merit order is of one zone, also where it clears with another.
        assert_eq!(entered(&view, &[col("zone").eq(lit("MIBEL-PT")), late]), ["MIBEL-PT 36"]);
        assert!(entered(&view, &[col("market").eq(lit("CONTINUOUS"))]).is_empty());
    }
}
