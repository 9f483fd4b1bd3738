//! Runs as ClickHouse blocks: an Arrow stream for each table, columns found by name. Pure.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use model::Batch;
use model::table::Table;
use xxhash_rust::xxh3::xxh3_64;

use crate::rows::{self, history_keep};
use crate::{Context, Error};

/// Every table the sink writes.
pub(super) const TABLES: [&str; 14] = [
    "ticks",
    "bars",
    "kpis",
    "anomalies",
    "correlations",
    "bids",
    "clearing",
    "awards",
    "settlement",
    "pnl",
    "bid_kpis",
    "notices",
    "dead_letters",
    "progress",
];

/// One insert.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) table: &'static str,
    /// The same run has the same token: the server drops a block it has already taken.
    pub(super) token: String,
    pub(super) bytes: Bytes,
}

impl Block {
    /// The statement that takes the block.
    pub(super) fn sql(&self) -> String {
        format!("INSERT INTO `{}` FORMAT ArrowStream", self.table)
    }
}

/// The inserts of a run; tables without rows are left out.
pub(super) fn blocks(context: &Context, batches: &[Arc<Batch>]) -> Result<Vec<Block>, Error> {
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for table in Table::ALL {
        all.push((table.name(), rows::encode(context, table, batches, history_keep(table))?));
    }
    all.push(("notices", rows::notices(batches)?));
    all.push(("dead_letters", rows::dead_letters(batches)?));
    let filled = all.into_iter().filter(|(_, rows)| rows.num_rows() > 0);
    filled
        .map(|(table, rows)| {
            let bytes = stream(&rows)?;
            // The hash keeps apart two runs that share their T's but not their rows (another replay into one database).
            let token = format!("{table}:{}-{}:{:016x}", first.t, last.t, xxh3_64(&bytes));
            Ok(Block { table, token, bytes })
        })
        .collect()
}

fn stream(rows: &RecordBatch) -> Result<Bytes, Error> {
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
    writer.write(rows)?;
    Ok(writer.into_inner()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_run_is_one_block_a_table_and_the_same_run_has_the_same_tokens() {
        let (context, batch) = sample::batch();
        let tokens = |batch: Arc<Batch>| -> Vec<String> {
            blocks(&context, &[batch]).unwrap().into_iter().map(|block| block.token).collect()
        };
        let first = tokens(Arc::clone(&batch));
        let names: Vec<&str> = first.iter().map(|token| token.rsplit_once(':').unwrap().0).collect();
        let t = sample::T;
        assert_eq!(names, [format!("bars:{t}-{t}"), format!("anomalies:{t}-{t}"), format!("dead_letters:{t}-{t}")]);
        assert_eq!(first, tokens(Arc::clone(&batch)));
        let mut other = Batch::clone(&batch);
        other.bars.pop();
        let second = tokens(Arc::new(other));
        assert!(first[0] != second[0] && first[1] == second[1]);
    }
}
