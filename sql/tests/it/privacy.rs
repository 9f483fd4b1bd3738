//! With the eyes of one organisation: every table shows what is public and what is one's own, and nothing tells of the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use model::{Batch, Change, Reader, Snapshot};

use crate::world::{NOW, World, t};

fn acme() -> Reader {
    Reader::Organisation("Acme".into())
}

/// The world, with a rule of Acme's and one of Beta's, and an alert of each.
fn world() -> World {
    let world = World::new();
    let mut snapshot = Snapshot::clone(&world.live.load());
    let (_, known) = snapshot.rules.values().next().unwrap().clone();
    let alert = snapshot.alerts.values().next().unwrap().clone();
    let names = ["Acme/peak", "Beta/night"];
    let rules = names.map(|rule| Change::Put(model::Rule { rule: rule.to_owned(), ..known.clone() }));
    let alerts = names.into_iter().zip(100..).map(|(rule, id)| {
        let mut alert = alert.clone();
        (alert.anomaly.rule, alert.anomaly.id, alert.changed_t) = (rule.into(), id, t(NOW) + 1);
        alert
    });
    snapshot.apply(&Batch { t: t(NOW) + 1, rules: rules.into(), alerts: alerts.collect(), ..Batch::default() });
    world.live.store(Arc::new(snapshot));
    world
}

/// Rows as text, a map from column to value each.
async fn rows(world: &World, reader: &Reader, sql: &str) -> Result<Vec<BTreeMap<String, String>>, sql::Error> {
    let batches = world.engine.query(sql, reader, &world.engine.limits()).await?.collect().await?;
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let fields = batch.schema();
            let cells = fields.fields().iter().zip(batch.columns()).map(|(field, column)| {
                let value = ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string();
                (field.name().clone(), value)
            });
            rows.push(cells.collect());
        }
    }
    rows.sort();
    Ok(rows)
}

#[tokio::test]
async fn every_table_shows_what_is_public_and_what_is_ones_own() {
    let world = world();
    let tables =
        rows(&world, &Reader::House, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'");
    let mut less = Vec::new();
    for table in tables.await.unwrap() {
        let table = &table["table_name"];
        let sql = format!("SELECT * FROM {table}");
        let (all, own) =
            (rows(&world, &Reader::House, &sql).await.unwrap(), rows(&world, &acme(), &sql).await.unwrap());
        let told = format!("{own:?}");
        assert!(!told.contains("Beta") && !told.contains("City"), "{table}: {told}");
        // What belongs to nobody is there as ever; what belongs to somebody, if it is Acme's.
        let mut expected: Vec<_> = all
            .iter()
            .filter(|row| row.get("organisation").is_none_or(|organisation| organisation == "Acme"))
            .filter(|row| row.get("rule").is_none_or(|rule| !rule.starts_with("Beta/")))
            .cloned()
            .collect();
        for row in &mut expected {
            if let Some(bid) = row.get_mut("marginal_bid").filter(|bid| !["b-0", "b-1", "s-1"].contains(&bid.as_str()))
            {
                bid.clear();
            }
        }
        expected.sort();
        assert_eq!(own, expected, "{table}");
        let nobody = rows(&world, &Reader::Organisation("Nobody".into()), &sql).await.unwrap();
        assert!(!format!("{nobody:?}").contains("Acme"), "{table}: {nobody:?}");
        if own != all {
            less.push(table.clone());
        }
    }
    for table in ["anomalies", "awards", "bid_kpis", "bid_versions", "bids", "clearing", "rules"] {
        assert!(less.iter().any(|found| found == table), "{table} hides something: {less:?}");
    }
}

#[tokio::test]
async fn no_count_no_join_and_no_error_tells_of_others() {
    let world = world();
    let one = async |sql: &str| rows(&world, &acme(), sql).await;
    // Aggregates, subqueries, set operations, common tables.
    for sql in [
        "SELECT count(*) AS n FROM bids WHERE organisation <> 'Acme'",
        "SELECT (SELECT count(*) FROM bids b WHERE b.organisation = 'Beta') AS n",
        "WITH others AS (SELECT * FROM bids EXCEPT SELECT * FROM bids WHERE organisation = 'Acme') SELECT count(*) AS n FROM others",
        "SELECT count(*) AS n FROM bids a JOIN bids b ON a.organisation <> b.organisation",
        "SELECT count(*) AS n FROM awards WHERE bid IN (SELECT bid FROM bids WHERE organisation = 'City')",
        "SELECT count(*) AS n FROM clearing WHERE marginal_bid = 's-2'",
    ] {
        assert_eq!(one(sql).await.unwrap()[0]["n"], "0", "{sql}");
    }
    // A filter that would fail on a row of Beta's never meets one.
    let trap = "SELECT bid FROM bids WHERE 1 / (CASE WHEN organisation = 'Beta' THEN 0 ELSE 1 END) = 1";
    assert_eq!(one(trap).await.unwrap().len(), 3);
    assert!(rows(&world, &Reader::House, trap).await.is_err(), "the trap is one");
    let cast =
        "SELECT bid FROM bids WHERE CAST(CASE WHEN organisation = 'Acme' THEN '1' ELSE organisation END AS INT) = 1";
    assert_eq!(one(cast).await.unwrap().len(), 3);
    // Nor does EXPLAIN say how many there are.
    let explained = format!("{:?}", one("EXPLAIN ANALYZE SELECT bid FROM bids").await.unwrap());
    assert!(explained.contains("PrivateExec"), "{explained}");
    let all = rows(&world, &Reader::House, "SELECT bid FROM bids").await.unwrap().len();
    assert!(all > 3 && !explained.contains(&format!("output_rows={all}")), "{explained}");
}

#[tokio::test]
async fn projections_that_leave_the_owner_out_are_as_private() {
    let world = world();
    let limits = world.engine.limits();
    let batches = world.engine.query("SELECT bid FROM bids ORDER BY bid", &acme(), &limits).await.unwrap();
    let batches = batches.collect().await.unwrap();
    let bids: Vec<&str> =
        batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten()).collect();
    assert_eq!(bids, ["b-0", "b-1", "s-1"]);
}
