//! Chains of hashes, computed again.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use futures::TryStreamExt;
use ring::digest::{SHA256, digest};
use serde::Serialize;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Error;
use crate::database::{self, Actor, Database};

/// What was found in the whole log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Report {
    /// One of each organisation; the platform's comes first.
    pub chains: Vec<Chain>,
}

/// What was found in one chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Chain {
    /// Whose it is; null: the platform's.
    pub organisation_id: Option<Uuid>,
    /// So many entries.
    pub entries: i64,
    /// The last hash, in hexadecimal: keep it elsewhere, and it must be found there for ever.
    pub hash: String,
    /// The first thing that is wrong.
    pub broken: Option<Broken>,
}

/// The first thing that is wrong in a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Broken {
    /// Entries are missing in front of this one, or it was put in.
    Sequence {
        /// Its place.
        sequence: i64,
        /// Its id.
        id: Uuid,
        /// The place that should be next.
        expected: i64,
    },
    /// It does not follow the one before it.
    Previous {
        /// Its place.
        sequence: i64,
        /// Its id.
        id: Uuid,
    },
    /// It is not what it was when it was written.
    Hash {
        /// Its place.
        sequence: i64,
        /// Its id.
        id: Uuid,
    },
    /// The head of the chain says another end: entries were cut off, or added behind it.
    Head {
        /// Where the head says that the chain ends; null: there is no head.
        head: Option<i64>,
    },
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.chains.iter().all(|chain| chain.broken.is_none())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequence { sequence, id, expected } => {
                write!(f, "entry {sequence} ({id}) stands where entry {expected} should")
            }
            Self::Previous { sequence, id } => write!(f, "entry {sequence} ({id}) does not follow the one before it"),
            Self::Hash { sequence, id } => write!(f, "entry {sequence} ({id}) was changed"),
            Self::Head { head: Some(head) } => write!(f, "the chain should end with entry {head}"),
            Self::Head { head: None } => f.write_str("the chain has no head"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chain in &self.chains {
            let whose = chain.organisation_id.map_or_else(|| "platform".to_owned(), |id| id.to_string());
            let entries = chain.entries;
            match &chain.broken {
                None => writeln!(f, "{whose}: {entries} entries, whole, ends with {}", chain.hash)?,
                Some(broken) => writeln!(f, "{whose}: {entries} entries, BROKEN: {broken}")?,
            }
        }
        Ok(())
    }
}

const ENTRIES: &str = "SELECT organisation_id, sequence, id, recorded_time, actor, user_id, api_key_id, role, action, subject, \
    subject_id, before::text, after::text, address, request, previous_hash, hash \
    FROM audit_log ORDER BY organisation_id NULLS FIRST, sequence, id";

const HEADS: &str = "SELECT organisation_id, sequence, hash FROM audit_heads";

/// Computes every chain again, in one snapshot, an entry at a time.
pub async fn verify(database: &Database) -> Result<Report, Error> {
    let mut client = database.client().await?;
    let transaction = database::begin_snapshot(&mut client, &Actor::system()).await?;
    let mut heads = BTreeMap::new();
    for row in transaction.query(HEADS, &[]).await? {
        let organisation: Option<Uuid> = row.try_get(0)?;
        heads.insert(organisation, (row.try_get::<_, i64>(1)?, row.try_get::<_, Vec<u8>>(2)?));
    }
    let nothing: [&str; 0] = [];
    let rows = transaction.query_raw(ENTRIES, nothing).await?;
    tokio::pin!(rows);
    let mut chains: BTreeMap<Option<Uuid>, Walk> = BTreeMap::new();
    while let Some(row) = rows.try_next().await? {
        let organisation: Option<Uuid> = row.try_get(0)?;
        chains.entry(organisation).or_default().step(&row)?;
    }
    for organisation in heads.keys() {
        chains.entry(*organisation).or_default();
    }
    let chains = chains.into_iter().map(|(organisation, walk)| walk.end(organisation, heads.get(&organisation)));
    Ok(Report { chains: chains.collect() })
}

/// How far a chain has been followed.
struct Walk {
    entries: i64,
    hash: Vec<u8>,
    broken: Option<Broken>,
}

impl Default for Walk {
    fn default() -> Self {
        Self { entries: 0, hash: vec![0; 32], broken: None }
    }
}

impl Walk {
    fn step(&mut self, row: &Row) -> Result<(), tokio_postgres::Error> {
        let (sequence, id): (i64, Uuid) = (row.try_get(1)?, row.try_get(2)?);
        let (previous, hash): (Vec<u8>, Vec<u8>) = (row.try_get(15)?, row.try_get(16)?);
        self.entries += 1;
        if self.broken.is_some() {
            return Ok(());
        }
        self.broken = if sequence != self.entries {
            Some(Broken::Sequence { sequence, id, expected: self.entries })
        } else if previous != self.hash {
            Some(Broken::Previous { sequence, id })
        } else if digest(&SHA256, text(row, &previous)?.as_bytes()).as_ref() != hash {
            Some(Broken::Hash { sequence, id })
        } else {
            None
        };
        self.hash = hash;
        Ok(())
    }

    fn end(self, organisation_id: Option<Uuid>, head: Option<&(i64, Vec<u8>)>) -> Chain {
        let stands = head.is_some_and(|(sequence, hash)| *sequence == self.entries && *hash == self.hash);
        let cut = || (!stands).then(|| Broken::Head { head: head.map(|(sequence, _)| *sequence) });
        Chain {
            organisation_id,
            entries: self.entries,
            hash: HEXLOWER.encode(&self.hash),
            broken: self.broken.or_else(cut),
        }
    }
}

/// The text that is hashed, as the comment on `audit_log.hash` says.
fn text(row: &Row, previous: &[u8]) -> Result<String, tokio_postgres::Error> {
    let text = |index: usize| row.try_get::<_, Option<String>>(index).map(|text| quoted(text.as_deref()));
    let bare =
        |index: usize| row.try_get::<_, Option<String>>(index).map(|text| text.unwrap_or_else(|| "null".to_owned()));
    let id =
        |index: usize| row.try_get::<_, Option<Uuid>>(index).map(|id| quoted(id.map(|id| id.to_string()).as_deref()));
    let at: DateTime<Utc> = row.try_get(3)?;
    let sequence: i64 = row.try_get(1)?;
    let lines = [
        "optibid-audit-1".to_owned(),
        HEXLOWER.encode(previous),
        id(2)?,
        id(0)?,
        sequence.to_string(),
        quoted(Some(&at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())),
        text(4)?,
        id(5)?,
        id(6)?,
        text(7)?,
        text(8)?,
        text(9)?,
        text(10)?,
        bare(11)?,
        bare(12)?,
        text(13)?,
        text(14)?,
    ];
    Ok(lines.join("\n"))
}

fn quoted(text: Option<&str>) -> String {
    use std::fmt::Write as _;
    let Some(text) = text else { return "null".to_owned() };
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c)).expect("a string takes everything"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_the_format_says() {
        assert_eq!(quoted(None), "null");
        assert_eq!(quoted(Some("a\"\\\u{8}\u{c}\n\r\t\u{1f}/ü\u{7f}")), "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u001f/ü\u{7f}\"");
    }
}
