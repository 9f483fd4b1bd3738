//! The shell's one-shot form.

use model::Reader;
use sql::shell::{Answer, Options, OutputFormat, run_command};

use crate::world::World;

async fn run(world: &World, options: Options, text: &str) -> Result<String, String> {
    let mut out = Vec::new();
    run_command(&world.engine, &options, text, &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn commands_print_tables_csv_and_json() {
    let world = World::new();
    let sql = "SELECT zone, last, volatility FROM kpis ORDER BY zone; SELECT 'a;b' AS text";
    let table = run(&world, Options::default(), sql).await.unwrap();
    let shown = " zone  | last | volatility
-------+------+------------
 NYISO | 60.0 |
 PJM   | 50.0 |
(2 rows at T 2026-03-10T12:00:00.000Z)
 text
------
 a;b
(1 row at T 2026-03-10T12:00:00.000Z)
";
    assert_eq!(table, shown);
    let csv = run(&world, Options { format: OutputFormat::Csv, ..Options::default() }, sql).await.unwrap();
    assert_eq!(csv, "zone,last,volatility\nNYISO,60.0,\nPJM,50.0,\ntext\na;b\n");
    let json =
        run(&world, Options { format: OutputFormat::Json, ..Options::default() }, "SELECT 1 AS n").await.unwrap();
    assert_eq!(json, "[{\"n\":1}]\n");
    let expanded = run(&world, Options { expanded: true, ..Options::default() }, "SELECT 1 AS n").await.unwrap();
    assert!(expanded.starts_with("-[ RECORD 1 ]-\nn | 1\n"), "{expanded}");
}

#[tokio::test]
async fn backslash_commands_describe() {
    let world = World::new();
    let tables = run(&world, Options::default(), "\\dt").await.unwrap();
    assert!(tables.contains(" bars ") && tables.contains(" zones "), "{tables}");
    let bars = run(&world, Options::default(), "\\d bars").await.unwrap();
    assert!(bars.contains(" close "), "{bars}");
    assert!(run(&world, Options::default(), "\\frobnicate").await.unwrap_err().contains("no command"));
    assert!(run(&world, Options::default(), "SELECT * FROM nowhere").await.unwrap_err().contains("tables are"));
}

#[tokio::test]
async fn an_answer_over_http_is_read_back() {
    let world = World::new();
    let result = world.engine.query("SELECT zone FROM kpis", &Reader::House, &world.engine.limits()).await.unwrap();
    let (t, schema) = (result.t, result.schema.clone());
    let bytes = sql::encode::arrow_stream(t, &schema, &result.collect().await.unwrap()).unwrap();
    let answer = Answer::from_arrow_stream(&bytes).unwrap();
    assert_eq!((answer.t, answer.batches.iter().map(|batch| batch.num_rows()).sum::<usize>()), (t, 2));
    assert!(Answer::from_arrow_stream(b"<html>").is_err());
}
