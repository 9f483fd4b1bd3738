//! Days of 23 and 25 hours, written as each feed writes them (from UTC to the feed's stamps), read back.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate};
use chrono_tz::{America::New_York, Tz};
use model::time::{HOUR_MS, local_date_bounds};
use simulator::replay::{Parsed, Source};

use crate::data::parse;

const DAYS: [(i32, u32, u32, i64); 3] = [(2016, 3, 13, 23), (2016, 3, 14, 24), (2016, 11, 6, 25)];

fn local(ms: i64, format: &str) -> String {
    let tz: Tz = New_York;
    DateTime::from_timestamp_millis(ms).unwrap().with_timezone(&tz).format(format).to_string()
}

fn utc(ms: i64, format: &str) -> String {
    DateTime::from_timestamp_millis(ms).unwrap().format(format).to_string()
}

/// For each day: the rows that `row(start, end, n)` writes, then the intervals read back against those written.
fn check(header: &str, step_ms: i64, row: impl Fn(i64, i64, i64) -> String) {
    for (year, month, day, hours) in DAYS {
        let (from, to) = local_date_bounds(NaiveDate::from_ymd_opt(year, month, day).unwrap(), New_York);
        assert_eq!(to - from, hours * HOUR_MS);
        let mut text = format!("{header}\n");
        let starts: Vec<i64> = (0..(to - from) / step_ms).map(|n| from + n * step_ms).collect();
        for (n, start) in starts.iter().enumerate() {
            writeln!(text, "{}", row(*start, start + step_ms, n as i64)).unwrap();
        }
        let (_, parsed) = parse(&Source::new("made", text.as_bytes()));
        assert_eq!(parsed.bad_rows, [], "{year}-{month}-{day}");
        assert_eq!(
            intervals(&parsed),
            starts.iter().enumerate().map(|(n, s)| (*s, step_ms, n as f64)).collect::<Vec<_>>()
        );
    }
}

fn intervals(parsed: &Parsed) -> Vec<(i64, i64, f64)> {
    let records = parsed.records.iter();
    records
        .map(|r| (r.event_ms(), i64::from(r.tick().unwrap().duration_ms.unwrap()), r.tick().unwrap().price))
        .collect()
}

const NYISO: &str = "\"Time Stamp\",\"Name\",\"PTID\",\"LBMP ($/MWHr)\",\"Marginal Cost Losses ($/MWHr)\",\"Marginal Cost Congestion ($/MWHr)\"";

#[test]
fn nyiso_real_time() {
    check(NYISO, 300_000, |_, end, n| {
        format!("\"{}\",\"N.Y.C.\",61761,{n}.00,0.00,0.00", local(end, "%m/%d/%Y %H:%M:%S"))
    });
}

#[test]
fn nyiso_hourly_day_ahead() {
    check(NYISO, HOUR_MS, |start, _, n| {
        format!("\"{}\",\"N.Y.C.\",61761,{n}.00,0.00,0.00", local(start, "%m/%d/%Y %H:%M"))
    });
}

#[test]
fn oasis_day_ahead() {
    let header = "Eastern Date Hour,Eastern Date Hour Time Zone,Zone Name,Zone PTID,DAM Zonal LBMP,DAM Zonal Losses,DAM Zonal Congestion,DAM Zonal Price Version";
    check(header, HOUR_MS, |start, _, n| {
        format!("{},{},N.Y.C.,61761,{n},0,0,1", local(start, "%-m/%-d/%y %-H:%M"), local(start, "%Z"))
    });
}

#[test]
fn oasis_commitment() {
    let header = "\"RTC End Time Stamp\",\"Zone Name\",\"Zone PTID\",\"RTC Zonal LBMP\",\"RTC Zonal Losses\",\"RTC Zonal Congestion\",\"RTC Zonal Price Version\"";
    check(header, 900_000, |_, end, n| {
        format!("\"{}\",\"N.Y.C.\",\"61761\",\"{n}\",\"0\",\"0\",\"1\"", local(end, "%Y/%m/%d %H:%M:%S"))
    });
}

#[test]
fn pjm_hourly() {
    let header = "datetime_beginning_utc,datetime_beginning_ept,pnode_id,pnode_name,voltage,equipment,type,zone,system_energy_price_rt,total_lmp_rt,congestion_price_rt,marginal_loss_price_rt,row_is_current,version_nbr";
    let format = "%-m/%-d/%Y %-I:%M:%S %p";
    check(header, HOUR_MS, |start, _, n| {
        format!("{},{},51288,WESTERN HUB,,,HUB,,{n}.0,{n}.0,0.0,0.0,True,1", utc(start, format), local(start, format))
    });
}

#[test]
fn pjm_stamps_that_contradict_each_other_are_reported() {
    let text = "datetime_beginning_utc,datetime_beginning_ept,pnode_name,total_lmp_rt\n\
                11/6/2016 5:00:00 AM,11/6/2016 2:00:00 AM,WESTERN HUB,1\n11/6/2016 6:00:00 AM,11/6/2016 1:00:00 AM,WESTERN HUB,2\n";
    let (_, parsed) = parse(&Source::new("made", text.as_bytes()));
    assert_eq!((parsed.records.len(), parsed.bad_rows.len(), parsed.bad_rows[0].line), (1, 1, 2));
}

#[test]
fn oasis_flags_that_cannot_be_are_reported() {
    let text = "Eastern Date Hour,Eastern Date Hour Time Zone,Zone Name,Zone PTID,DAM Zonal LBMP,DAM Zonal Losses,DAM Zonal Congestion,DAM Zonal Price Version\n\
                6/1/24 0:00,EST,N.Y.C.,61761,1,0,0,1\n3/13/16 2:00,EST,N.Y.C.,61761,1,0,0,1\n6/1/24 0:00,CET,N.Y.C.,61761,1,0,0,1\n6/1/24 0:00,EDT,N.Y.C.,61761,NaN,0,0,1\n";
    let (_, parsed) = parse(&Source::new("made", text.as_bytes()));
    assert_eq!(parsed.records, []);
    assert_eq!(parsed.bad_rows.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3, 4, 5]);
}

#[test]
fn aemo_has_no_clock_changes() {
    // Sydney's own clock skipped an hour on 2024-10-06 and repeated one on 2024-04-07; market time did neither.
    for day in ["2024/10/06", "2024/04/07"] {
        let mut text = "I,DISPATCH,PRICE,5,SETTLEMENTDATE,REGIONID,INTERVENTION,RRP\n".to_owned();
        for n in 1..288 {
            writeln!(text, "D,DISPATCH,PRICE,5,{day} {:02}:{:02}:00,NSW1,0,{n}", n * 5 / 60, n * 5 % 60).unwrap();
        }
        let (_, parsed) = parse(&Source::new("made", text.as_bytes()));
        assert_eq!((parsed.records.len(), parsed.bad_rows.len()), (287, 0));
        assert!(parsed.records.windows(2).all(|pair| pair[1].event_ms() - pair[0].event_ms() == 300_000));
    }
}

#[test]
fn india_is_half_an_hour_off() {
    let block = |n: u32| {
        format!(
            "{{\"Token_NO\":{n},\"Area_Details\":[{{\"Area_code\":\"W2\",\"Area_Codes\":{{\"Area_Price\":{n},\"Buy_Volume\":4,\"Sell_Volume\":0}}}}]}}"
        )
    };
    let blocks: Vec<_> = (1..=96).map(block).collect();
    let text = format!(
        "{{\"Delivery_Date_Details\":[{{\"DeliveryDate\":\"06/11/2016\",\"Token_Wise\":[{}]}}]}}",
        blocks.join(",")
    );
    let (_, parsed) = parse(&Source::new("made", text.as_bytes()));
    let midnight = crate::data::at("2016-11-05T18:30:00Z");
    let expected: Vec<_> = (0..96).map(|n| (midnight + n * 900_000, 900_000, (n + 1) as f64)).collect();
    assert_eq!(intervals(&parsed), expected);
    assert!(parsed.records.iter().all(|r| r.tick().unwrap().volume == Some(1.0)));
}
