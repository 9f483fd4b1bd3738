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
    /// AEMO MMS C/I/D rows: prices and demand.
    AemoMms,
    /// AEMO MMS bids (`BIDDAYOFFER_D`, `BIDPEROFFER_D`).
    AemoBids,
    /// AEMO MMS readings of units (`DISPATCH_UNIT_SCADA`).
    AemoScada,
    /// AEMO MMS units (`DUDETAILSUMMARY`).
    AemoUnits,
    /// IEX price and volume JSON.
    IexJson,
    /// Electricity price forecasting benchmark, hourly CSV.
    Epf,
    /// OMIE order headers (`CAB`).
    OmieHeaders,
    /// OMIE order steps (`DET`).
    OmieDetails,
    /// OMIE interconnections (`capacidad_inter_pbc`).
    OmieBorders,
    /// OMIE units and their zones.
    OmieUnits,
    /// OMIE day-ahead prices (`marginalpdbc`).
    OmiePrices,
    /// TenneT merit-order list, JSON.
    TennetLadder,
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
            Self::AemoBids => "AEMO MMS bids",
            Self::AemoScada => "AEMO MMS meter readings",
            Self::AemoUnits => "AEMO MMS units",
            Self::IexJson => "IEX JSON",
            Self::Epf => "EPF benchmark",
            Self::OmieHeaders => "OMIE order headers (CAB)",
            Self::OmieDetails => "OMIE order steps (DET)",
            Self::OmieBorders => "OMIE interconnections",
            Self::OmieUnits => "OMIE units",
            Self::OmiePrices => "OMIE day-ahead prices",
            Self::TennetLadder => "TenneT merit-order list",
        }
    }

    /// Whether a file of this format and others of its replay need each other: such files are read once all are known.
    pub fn has_companions(self) -> bool {
        use Format::{AemoBids, AemoScada, AemoUnits, OmieBorders, OmieDetails, OmieHeaders, OmieUnits};
        matches!(self, AemoBids | AemoScada | AemoUnits | OmieBorders | OmieDetails | OmieHeaders | OmieUnits)
    }

    /// The format of a file; `None` for one that no adapter reads.
    pub fn detect(source: &Source) -> Option<Self> {
        let body = source.body();
        let start = &body[..body.len().min(8192)];
        if let Some(found) = omie(start) {
            return Some(found);
        }
        let head = String::from_utf8_lossy(start).into_owned();
        let head = head.trim_start();
        if head.starts_with('{') {
            let is_iex = head.contains("\"Delivery_Date_Details\"");
            let is_tennet = head.contains("\"MERIT_ORDER_LIST\"");
            return is_iex.then_some(Self::IexJson).or(is_tennet.then_some(Self::TennetLadder));
        }
        let header = head.lines().next().unwrap_or_default();
        if is_aemo(header) {
            return Some(aemo(head));
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

/// By the first table.
fn aemo(head: &str) -> Format {
    let tables = head.lines().filter_map(|line| line.strip_prefix("I,"));
    let found = tables.map(str::to_ascii_uppercase).find_map(|table| match table.as_str() {
        table if table.starts_with("BID,") => Some(Format::AemoBids),
        table if table.starts_with("DISPATCH,UNIT_SCADA") => Some(Format::AemoScada),
        table if table.starts_with("PARTICIPANT_REGISTRATION,DUDETAILSUMMARY") => Some(Format::AemoUnits),
        _ => None,
    });
    found.unwrap_or(Format::AemoMms)
}

/// OMIE's files have a title at most: fixed columns say what the others are.
fn omie(head: &[u8]) -> Option<Format> {
    let title: String = head.iter().take(400).map(|byte| char::from(*byte)).collect();
    if title.starts_with("MARGINALPDBC;") {
        return Some(Format::OmiePrices);
    }
    if title.starts_with("OMIE") && title.contains("impor/expor") {
        return Some(Format::OmieBorders);
    }
    if title.trim_start().starts_with("id_unidad,cat_bidding_zone") {
        return Some(Format::OmieUnits);
    }
    // One broken row must not hide what the file is.
    head.split(|byte| *byte == b'\n').take(10).find_map(|row| {
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        let is_number = |from: usize, to: usize| {
            let digits = row.get(from..to).map(<[u8]>::trim_ascii);
            digits.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        };
        if !is_number(0, 10) || !is_number(10, 15) {
            return None;
        }
        if row.len() >= 94 && matches!(row[52], b'C' | b'V') && is_number(80, 94) {
            return Some(Format::OmieHeaders);
        }
        let has_price = |price: &[u8]| price.trim_ascii().iter().all(|byte| b"-.0123456789".contains(byte));
        let is_detail = row.len() >= 60 && is_number(15, 18) && is_number(18, 20) && has_price(&row[24..41]);
        is_detail.then_some(Format::OmieDetails)
    })
}

fn is_epf(columns: &[String]) -> bool {
    let [stamp, price, first, second] = columns else { return false };
    matches!(stamp.as_str(), "" | "date")
        && (price.ends_with("price") || price.ends_with("prices"))
        && [first, second].iter().all(|column| column.ends_with("forecast") || column.ends_with("foecast"))
}
