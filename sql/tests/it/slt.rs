//! Runs every file of `tests/slt` against the world.

use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use model::Reader;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType};

use crate::world::World;

struct Db(Arc<World>);

#[async_trait::async_trait]
impl AsyncDB for Db {
    type Error = sql::Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, sql::Error> {
        let result = self.0.engine.query(sql, &Reader::House, &self.0.engine.limits()).await?;
        let types = result.schema.fields().iter().map(|field| column_type(field.data_type())).collect();
        let options = FormatOptions::default().with_null("NULL");
        let mut rows = Vec::new();
        for batch in result.collect().await? {
            let columns: Vec<_> =
                batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
            rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect()));
        }
        Ok(DBOutput::Rows { types, rows })
    }

    async fn shutdown(&mut self) {}

    fn error_sql_state(error: &sql::Error) -> Option<String> {
        Some(error.sqlstate().to_owned())
    }
}

fn column_type(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        data_type if data_type.is_integer() => DefaultColumnType::Integer,
        data_type if data_type.is_floating() => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Text,
    }
}

#[tokio::test]
async fn every_file() {
    let world = Arc::new(World::new());
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let mut runner = sqllogictest::Runner::new(|| async { Ok(Db(Arc::clone(&world))) });
        runner.run_file_async(&file).await.unwrap_or_else(|error| panic!("{}", error.display(false)));
    }
}
