//! The shell behind `optibid sql`: one command (`-c`) or a prompt with history, statements until `;`, and psql's most
//! used backslash commands. It asks whatever implements [`Remote`]: a running server, or a history folder opened here.

mod format;
mod prompt;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use async_trait::async_trait;
use model::{Names, Reader, Snapshot, T, Zones};

use crate::config::{Config, HistoryConfig};
use crate::engine::Engine;
use crate::error::Error;
use crate::metrics::Metrics;

pub use format::OutputFormat;
pub use prompt::interact;

/// What the shell asks.
#[async_trait]
pub trait Remote: Send + Sync {
    /// Runs one statement; an error is text for a person.
    async fn run(&self, sql: &str) -> Result<Answer, String>;
}

/// A whole result.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The T it shows.
    pub t: T,
    /// Columns.
    pub schema: SchemaRef,
    /// Rows.
    pub batches: Vec<RecordBatch>,
}

impl Answer {
    /// Reads what `/api/sql` answers to `Accept: application/vnd.apache.arrow.stream`.
    pub fn from_arrow_stream(bytes: &[u8]) -> Result<Self, String> {
        let reader = StreamReader::try_new(bytes, None).map_err(|error| format!("read result: {error}"))?;
        let schema = reader.schema();
        let t = schema.metadata().get("t").and_then(|t| t.parse().ok()).unwrap_or(0);
        let batches = reader.collect::<Result<_, _>>().map_err(|error| format!("read result: {error}"))?;
        Ok(Self { t, schema, batches })
    }
}

#[async_trait]
impl Remote for Engine {
    async fn run(&self, sql: &str) -> Result<Answer, String> {
        let run = async {
            let result = self.query(sql, &Reader::House, &self.limits()).await?;
            let (t, schema) = (result.t, Arc::clone(&result.schema));
            Ok(Answer { t, schema, batches: result.collect().await? })
        };
        run.await.map_err(|error: Error| error.to_string())
    }
}

/// Opens a history folder without a server: `optibid sql --data DIR`.
pub fn open_folder(config: Config, zones: Zones, folder: &str) -> Result<Engine, Error> {
    let metrics = Metrics::unregistered().map_err(|error| Error::Config(error.to_string()))?;
    let live = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
    Engine::new(config, zones, Arc::new(Names::default()), live, Some(&HistoryConfig::at(folder)), metrics)
}

/// How the shell shows results.
#[derive(Clone, Debug)]
pub struct Options {
    /// Form of results.
    pub format: OutputFormat,
    /// One column a line.
    pub expanded: bool,
    /// Say how long a statement took.
    pub timing: bool,
    /// Where the prompt's history is kept; nowhere when `None`.
    pub history_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { format: OutputFormat::Table, expanded: false, timing: true, history_file: None }
    }
}

/// Runs `-c TEXT`: every statement or backslash command in it, to `out`. Stops at the first error.
pub async fn run_command(
    remote: &dyn Remote,
    options: &Options,
    text: &str,
    out: &mut (dyn Write + Send),
) -> Result<(), String> {
    for statement in statements(text) {
        let sql = match statement.strip_prefix('\\') {
            Some(command) => meta_sql(command).ok_or_else(|| format!("\\{command} is no command; try \\?"))?,
            None => statement,
        };
        let answer = remote.run(&sql).await?;
        format::write(&answer, options, out).map_err(|error| format!("write result: {error}"))?;
    }
    Ok(())
}

/// The SQL behind a backslash command that asks for data.
fn meta_sql(command: &str) -> Option<String> {
    let words: Vec<&str> = command.trim().trim_end_matches(';').split_whitespace().collect();
    Some(match words.as_slice() {
        ["d" | "dt"] => "SELECT table_name, count(*) AS columns FROM information_schema.columns \
                         WHERE table_schema = 'public' GROUP BY table_name ORDER BY table_name"
            .to_owned(),
        ["d", table] => format!(
            "SELECT column_name, data_type, is_nullable FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name = '{}' ORDER BY ordinal_position",
            table.replace('\'', "''")
        ),
        ["t"] => "SELECT * FROM system_state".to_owned(),
        _ => return None,
    })
}

/// Splits text at the semicolons that end statements; a backslash command ends with its line.
fn statements(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = if rest.starts_with('\\') {
            rest.find('\n').unwrap_or(rest.len())
        } else {
            end_of_statement(rest).unwrap_or(rest.len())
        };
        let statement = rest[..end].trim().trim_end_matches(';').trim();
        if !statement.is_empty() {
            all.push(statement.to_owned());
        }
        rest = rest[end..].trim_start_matches([';', '\n']).trim_start();
    }
    all
}

/// Just behind the semicolon that ends the first statement; `None` while it is not finished.
fn end_of_statement(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut comment = false;
    let mut previous = ' ';
    for (index, letter) in text.char_indices() {
        match (comment, quote) {
            (true, _) => comment = letter != '\n',
            (false, Some(open)) => {
                if letter == open {
                    quote = None;
                }
            }
            (false, None) => match letter {
                '\'' | '"' => quote = Some(letter),
                '-' if previous == '-' => comment = true,
                ';' => return Some(index + 1),
                _ => {}
            },
        }
        previous = letter;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_their_own_semicolons() {
        assert_eq!(
            statements("SELECT ';' -- not; here\n, 1; \\d bars\nSELECT \"a;b\""),
            ["SELECT ';' -- not; here\n, 1", "\\d bars", "SELECT \"a;b\""]
        );
        assert!(statements(" ; ;").is_empty());
    }
}
