//! Answers that must not change by accident, as JSON files in `tests/it/golden/`. A deliberate change is written
//! with `OPTIBID_BLESS=1` and then read.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::world::World;

#[tokio::test]
async fn answers_are_as_they_were() {
    let world = World::start().await;
    let cases = [
        ("latest", "/api/market/prices/latest?zone=pjm,mumbai"),
        ("history", "/api/market/prices/pjm/history?start=2025-11-18T11:58:00Z&end=2025-11-18T12:00:00Z"),
        (
            "market-analytics",
            "/api/analytics/market-analytics?market_zone=MUMBAI&start_date=2025-11-18&end_date=2025-11-19&granularity=hour",
        ),
        (
            "anomaly-detection",
            "/api/analytics/anomaly-detection?market_zone=pjm&threshold=20&start_date=2025-11-18&end_date=2025-11-19",
        ),
        (
            "cross-market-analysis",
            "/api/analytics/cross-market-analysis?start_date=2025-11-18&end_date=2025-11-19&correlation_window=24",
        ),
        ("real-time-kpis", "/api/analytics/real-time-kpis?market_zones=MUMBAI,DELHI,BANGALORE&time_window=60"),
        ("explain", "/api/explain/bar/pjm/2025-11-18T11:59:00Z"),
        ("bad-parameter", "/api/analytics/real-time-kpis?time_window=-5"),
    ];
    for (name, path) in cases {
        let (_, body) = world.get(path).await;
        check(name, &body);
    }
}

pub(crate) fn check(name: &str, body: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(format!("{name}.json"));
    let text = format!("{}\n", serde_json::to_string_pretty(&sorted(body)).unwrap());
    if std::env::var_os("OPTIBID_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, expected, "{name}");
}

/// With fields in alphabetical order, whatever serde_json was built with.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let ordered: BTreeMap<&String, Value> = fields.iter().map(|(name, value)| (name, sorted(value))).collect();
            serde_json::to_value(ordered).unwrap()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
