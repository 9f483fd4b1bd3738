//! SQL text to one statement that only reads.

use std::fmt;

use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;

use crate::error::Error;
use crate::pg_catalog::rewrite;

/// Deepest nesting of a statement.
const DEPTH: usize = 50;

/// A parsed statement.
#[derive(Clone, Debug)]
pub(crate) struct Statement(Parsed);

impl Statement {
    /// Parses text with exactly one statement, and refuses one that writes.
    pub(crate) fn parse_one(sql: &str) -> Result<Self, Error> {
        let mut all = Self::parse(sql)?;
        match (all.pop(), all.len()) {
            (Some(one), 0) => one.reading(),
            (None, _) => Err(Error::query("42601", "syntax error: there is no statement")),
            (Some(_), others) => {
                Err(Error::query("42601", format!("one statement at a time, please: here are {}", others + 1)))
            }
        }
    }

    /// Parses any number of statements.
    pub(crate) fn parse(sql: &str) -> Result<Vec<Self>, Error> {
        let parser = DFParserBuilder::new(sql).with_dialect(&PostgreSqlDialect {}).with_recursion_limit(DEPTH).build();
        let parsed = parser.and_then(|mut parser| parser.parse_statements());
        let parsed = parsed.map_err(|error| Error::from_datafusion(&error, &[]))?;
        Ok(parsed.into_iter().map(Self).collect())
    }

    /// The statement, unless it writes; with PostgreSQL's ways of speaking made DataFusion's.
    pub(crate) fn reading(self) -> Result<Self, Error> {
        let reads = match &self.0 {
            Parsed::Statement(statement) => reads(statement),
            Parsed::Explain(_) => true,
            Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => false,
        };
        if !reads {
            return Err(Error::ReadOnly(self.verb()));
        }
        let mut statement = self;
        if let Parsed::Statement(inner) = &mut statement.0 {
            rewrite::statement(inner);
        }
        Ok(statement)
    }

    /// The parsed statement for DataFusion.
    pub(crate) fn into_parsed(self) -> Parsed {
        self.0
    }

    /// Its first words, for messages and command tags.
    pub(crate) fn verb(&self) -> String {
        let text = self.0.to_string();
        let words: Vec<&str> = text.split_whitespace().take(2).collect();
        match words.as_slice() {
            [first @ ("CREATE" | "DROP" | "ALTER" | "INSERT" | "DELETE"), second] => format!("{first} {second}"),
            [first, ..] => (*first).to_owned(),
            [] => String::new(),
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn reads(statement: &ast::Statement) -> bool {
    use ast::Statement as S;
    matches!(
        statement,
        S::Query(_)
            | S::Explain { .. }
            | S::ExplainTable { .. }
            | S::ShowTables { .. }
            | S::ShowColumns { .. }
            | S::ShowFunctions { .. }
            | S::ShowVariable { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_reading_statement_passes() {
        for good in ["SELECT 1", "select 1;", "EXPLAIN SELECT 1", "SHOW TABLES", "WITH a AS (SELECT 1) SELECT * FROM a"]
        {
            Statement::parse_one(good).unwrap();
        }
        let code = |sql| Statement::parse_one(sql).unwrap_err().sqlstate();
        for writes in [
            "DROP TABLE bars",
            "INSERT INTO bars VALUES (1)",
            "CREATE TABLE x AS SELECT 1",
            "COPY bars TO 'x.csv'",
            "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc'",
            "SET x = 1",
            "DELETE FROM bars",
            "UPDATE bars SET open = 1",
            "TRUNCATE bars",
        ] {
            assert_eq!(code(writes), "25006", "{writes}");
        }
        for wrong in ["", ";", "SELECT 1; SELECT 2", "SELEC 1", "SELECT 'a"] {
            assert_eq!(code(wrong), "42601", "{wrong}");
        }
    }
}
