//! Which format a file is in, by what it says, not by what it is called.

use super::input::Source;

/// A format with an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// NYISO zonal prices (`realtime_zone`, `damlbmp_zone`, `rtlbmp_zone`): one header, three products.
    NyisoZone,
    /// NYISO actual load (`pal`).
    NyisoLoad,
    /// NYISO OASIS day-ahead export.
    OasisDayAhead,
    /// NYISO OASIS real-time commitment (RTC) or dispatch (RTD) export.
    OasisRealTime,
    /// PJM Data Miner LMPs, day-ahead or real-time.
    PjmLmp,
    /// AEMO MMS C/I/D rows.
    AemoMms,
    /// IEX price and volume JSON.
    IexJson,
    /// Electricity price forecasting benchmark, hourly CSV.
    Epf,
}

impl Format {
    /// Name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NyisoZone => "NYISO zonal LBMP",
            Self::NyisoLoad => "NYISO load (pal)",
            Self::OasisDayAhead => "NYISO OASIS day-ahead",
            Self::OasisRealTime => "NYISO OASIS real-time",
            Self::PjmLmp => "PJM LMP",
            Self::AemoMms => "AEMO MMS",
            Self::IexJson => "IEX JSON",
            Self::Epf => "EPF benchmark",
        }
    }

    /// The format of a file; `None` for one that no adapter reads.
    pub fn detect(source: &Source) -> Option<Self> {
        let body = source.body();
        let head = String::from_utf8_lossy(&body[..body.len().min(8192)]).into_owned();
        let head = head.trim_start();
        if head.starts_with('{') {
            return head.contains("\"Delivery_Date_Details\"").then_some(Self::IexJson);
        }
        let header = head.lines().next().unwrap_or_default();
        if is_aemo(header) {
            return Some(Self::AemoMms);
        }
        let columns: Vec<String> =
            header.split(',').map(|cell| cell.trim().trim_matches('"').trim().to_ascii_lowercase()).collect();
        let has = |name: &str| columns.iter().any(|column| column == name);
        let ends = |suffix: &str| columns.iter().any(|column| column.ends_with(suffix));
        if has("time stamp") && has("lbmp ($/mwhr)") {
            Some(Self::NyisoZone)
        } else if has("time stamp") && has("load") {
            Some(Self::NyisoLoad)
        } else if has("eastern date hour") && ends(" lbmp") {
            Some(Self::OasisDayAhead)
        } else if ends(" end time stamp") && ends(" lbmp") {
            Some(Self::OasisRealTime)
        } else if has("datetime_beginning_utc") && (has("total_lmp_rt") || has("total_lmp_da")) {
            Some(Self::PjmLmp)
        } else {
            is_epf(&columns).then_some(Self::Epf)
        }
    }
}

fn is_aemo(header: &str) -> bool {
    let mut cells = header.split(',').map(str::trim);
    match cells.next() {
        Some("C") => cells.count() >= 2,
        Some("I") => cells.count() >= 4,
        _ => false,
    }
}

fn is_epf(columns: &[String]) -> bool {
    let [stamp, price, first, second] = columns else { return false };
    matches!(stamp.as_str(), "" | "date")
        && (price.ends_with("price") || price.ends_with("prices"))
        && [first, second].iter().all(|column| column.ends_with("forecast") || column.ends_with("foecast"))
}
