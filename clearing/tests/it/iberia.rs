//! The complete book of MIBEL for 2025-06-21 against what was published. The files: `$OPTIBID_DATA`, or `shared/data` beside
//! the workspace.

use clearing::omie::{self, PORTUGAL, SPAIN};
use clearing::{Day, Side};
use std::fs;
use std::path::{Path, PathBuf};

fn read(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("OPTIBID_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = folder.join("omie").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: set OPTIBID_DATA to the market data", path.display()))
}

#[test]
fn prices_and_flows_are_the_published_ones() {
    let headers = omie::headers(&read("CAB_20250621.1"));
    let details = omie::details(&read("DET_20250621.1"), 24);
    let borders = omie::borders(&read("capacidad_inter_pbc_20250621.1"));
    let official = omie::official(&read("marginalpdbc_20250621_hours_1_to_12.1"));
    let zones = omie::zones(&read("participants_bidding_zones.csv"));
    assert_eq!((headers.rows.len(), headers.refused.len()), (2_534, 0));
    assert_eq!((details.rows.len(), details.refused.len()), (66_609, 21));
    assert_eq!(details.refused[0].to_string(), "line 25: period 25 is outside the day of 24");
    assert_eq!((borders.rows.len(), borders.refused.len()), (96, 0));
    assert_eq!((official.rows.len(), official.refused.len()), (12, 0));

    let mut day = Day::new(omie::config(24));
    for order in omie::orders(&headers.rows, &details.rows, &zones) {
        day.put(order).expect("a valid order");
    }
    omie::set_borders(&mut day, &borders.rows, &headers.rows);
    day.clear();

    for component in day.components() {
        assert_eq!(component.bound, component.welfare, "proven optimal");
    }
    let price = |interval: u16, zone: u8| day.result(interval).zones[usize::from(zone)].price.expect("a price");
    for row in &official.rows {
        assert!((price(row.period - 1, SPAIN) - row.spain).abs() <= 10_000, "Spain, {row:?}");
        assert!((price(row.period - 1, PORTUGAL) - row.portugal).abs() <= 10_000, "Portugal, {row:?}");
    }
    for row in borders.rows.iter().filter(|row| row.border == 2) {
        let result = day.result(row.period - 1);
        assert!((result.flow - row.import - row.export).abs() <= 100, "flow to Portugal, {row:?}");
        for (zone, cleared) in (0_u8..).zip(&result.zones) {
            let sum = |side| day.accepted(row.period - 1, zone, side).values().sum::<i64>();
            assert_eq!((sum(Side::Sell), sum(Side::Buy)), (cleared.sold, cleared.bought));
        }
    }
    // one amendment in one hour re-clears to the same as from scratch
    let (id, order) = day.orders().iter().find(|(_, order)| !order.is_complex()).expect("plain orders");
    let (id, order) = (*id, order.clone());
    let before: Vec<_> = (0..24).map(|hour| day.result(hour).clone()).collect();
    day.withdraw(id).expect("in the book");
    day.clear();
    day.put(order).expect("a valid order");
    day.clear();
    assert_eq!(before, (0..24).map(|hour| day.result(hour).clone()).collect::<Vec<_>>());
}

#[test]
fn malformed_rows_are_refused_with_line_and_reason() {
    let good = "   9742214    0  1 1 1 0          119.350  366.6    0.01.000";
    let text = format!(
        "{good}\r\nshort\r\n{}\r\n{}\r\n",
        good.replace("366.6", "36x.6"),
        good.replace("  1 1 1 0", " 26 1 1 0")
    );
    let read = omie::details(text.as_bytes(), 24);
    assert_eq!(read.rows.len(), 1);
    assert_eq!((read.rows[0].price, read.rows[0].power, read.rows[0].min_ratio), (119_350_000, 366_600, 1_000_000));
    let reasons: Vec<String> = read.refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        reasons,
        [
            "line 2: row has 5 bytes, fewer than 60",
            "line 3: power is '  36x.6' in columns 41..48",
            "line 4: period 26 is outside the day of 24"
        ]
    );
    let header = "   9511825    0IGNVD68ECOFRENTES                    XO            0.000   49.8 120250318101016";
    assert_eq!(omie::headers(header.as_bytes()).refused[0].to_string(), "line 1: side is 'X' in columns 52..53");
}

#[test]
fn only_the_highest_version_counts() {
    let header = |version: u32| {
        format!(
            "   9511825{version:>5}IGNVD68ECOFRENTES                    VO            0.000   49.8 120250318101016\n"
        )
    };
    let detail = |version: u32, price: u32| {
        format!("   9511825{version:>5}  1 0 1 0{:>17}    1.0    0.00.000\n", format!("{price}.000"))
    };
    let headers = omie::headers((header(2) + &header(10) + &header(3)).as_bytes());
    let details = omie::details((detail(2, 20) + &detail(10, 30) + &detail(3, 40)).as_bytes(), 24);
    let orders = omie::orders(&headers.rows, &details.rows, &std::collections::BTreeMap::new());
    assert_eq!(orders.len(), 1);
    let clearing::Kind::Steps(steps, None) = &orders[0].kind else { panic!("plain steps") };
    assert_eq!(steps.iter().map(|step| step.price).collect::<Vec<_>>(), [30_000_000]);
}
