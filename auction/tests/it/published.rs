//! What OMIE published of the day, by a reading of its own: the adapters share no code with it.

use std::path::Path;

use auction::Interval;

/// Official prices of Spain and Portugal, micro-EUR per MWh, by hour: year;month;day;period;Portugal;Spain;
pub(crate) fn prices(folder: &Path) -> Vec<(Interval, [i64; 2])> {
    let micros = |text: &str| (text.parse::<f64>().expect("a price") * 1e6).round() as i64;
    rows(folder, "marginalpdbc_20250621_hours_1_to_12.1")
        .into_iter()
        .filter(|row| row.len() > 5)
        .map(|row| (hour(&row[3]), [micros(&row[5]), micros(&row[4])]))
        .collect()
}

/// Flow from Spain to Portugal, kW, by hour: period;day;border;import capacity;import;free;export capacity;export;free;
/// Border 2 is Portugal, import into Spain is negative, 3.960,0 is 3,960.0 MW.
pub(crate) fn flows(folder: &Path) -> Vec<(Interval, i64)> {
    let kw = |text: &str| {
        let megawatts: f64 = text.replace('.', "").replace(',', ".").parse().expect("a power");
        (megawatts * 1e3).round() as i64
    };
    rows(folder, "capacidad_inter_pbc_20250621.1")
        .into_iter()
        .filter(|row| row.get(2).is_some_and(|border| border == "2"))
        .map(|row| (hour(&row[0]), kw(&row[4]) + kw(&row[7])))
        .collect()
}

fn hour(period: &str) -> Interval {
    period.parse::<Interval>().expect("a period") - 1
}

fn rows(folder: &Path, name: &str) -> Vec<Vec<String>> {
    let path = folder.join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // The titles are Latin-1; the rows below them are digits.
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(|line| line.split(';').map(|cell| cell.trim().to_owned()).collect()).collect()
}
