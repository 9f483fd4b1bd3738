//! Statements that are about the session rather than the data: `SET`, `SHOW`, `BEGIN`, `COMMIT` and their like.
//! Clients send them as a matter of course; here they change nothing but the session.

/// A session statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `SET name = value`.
    Set(String, String),
    /// `RESET name`; everything when `None`.
    Reset(Option<String>),
    /// `SHOW name`.
    Show(String),
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`.
    Commit,
    /// `ROLLBACK`, `ABORT`.
    Rollback,
    /// Accepted without effect; the tag to answer with.
    Nothing(&'static str),
}

impl Command {
    /// Reads one statement; `None` for one that is about data.
    pub(super) fn parse(sql: &str) -> Option<Self> {
        let sql = sql.trim().trim_end_matches(';').trim();
        if sql.contains(';') {
            return None;
        }
        let spaced = sql.replace('=', " = ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let upper: Vec<String> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
        let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
        Some(match upper.as_slice() {
            ["BEGIN", ..] | ["START", "TRANSACTION", ..] => Self::Begin,
            ["COMMIT", ..] | ["END", ..] => Self::Commit,
            ["ROLLBACK", "TO", ..] => Self::Nothing("ROLLBACK"),
            ["ROLLBACK", ..] | ["ABORT", ..] => Self::Rollback,
            ["SAVEPOINT", _] => Self::Nothing("SAVEPOINT"),
            ["RELEASE", ..] => Self::Nothing("RELEASE"),
            ["DISCARD", "ALL"] => Self::Reset(None),
            ["DISCARD", _] => Self::Nothing("DISCARD"),
            ["DEALLOCATE", ..] => Self::Nothing("DEALLOCATE"),
            ["UNLISTEN", _] => Self::Nothing("UNLISTEN"),
            ["LISTEN", _] => Self::Nothing("LISTEN"),
            ["CLOSE", "ALL"] => Self::Nothing("CLOSE CURSOR"),
            ["RESET", "ALL"] => Self::Reset(None),
            ["RESET", _] => Self::Reset(Some(words[1].to_ascii_lowercase())),
            ["SET", "TRANSACTION", ..] | ["SET", "SESSION", "CHARACTERISTICS", ..] => Self::Nothing("SET"),
            ["SET", "SESSION" | "LOCAL", "TIME", "ZONE", ..] => Self::set("timezone", &words[4..])?,
            ["SET", "TIME", "ZONE", ..] => Self::set("timezone", &words[3..])?,
            ["SET", "SESSION" | "LOCAL", _, "=" | "TO", ..] => Self::set(words[2], &words[4..])?,
            ["SET", "NAMES", ..] => Self::set("client_encoding", &words[2..])?,
            ["SET", _, "=" | "TO", ..] => Self::set(words[1], &words[3..])?,
            ["SHOW", "TRANSACTION", "ISOLATION", "LEVEL"] => Self::Show("transaction_isolation".to_owned()),
            ["SHOW", "TIME", "ZONE"] => Self::Show("timezone".to_owned()),
            ["SHOW", "ALL" | "TABLES" | "FUNCTIONS"] => return None,
            ["SHOW", _] => Self::Show(words[1].trim_matches('"').to_ascii_lowercase()),
            _ => return None,
        })
    }

    fn set(name: &str, value: &[&str]) -> Option<Self> {
        let value = value.join(" ");
        let value = value.trim_matches(|c| c == '\'' || c == '"').to_owned();
        let name = name.trim_matches('"').to_ascii_lowercase();
        (!value.is_empty()).then_some(Self::Set(name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_send_is_understood() {
        let set = |name: &str, value: &str| Some(Command::Set(name.to_owned(), value.to_owned()));
        assert_eq!(Command::parse("SET application_name='Grafana';"), set("application_name", "Grafana"));
        assert_eq!(Command::parse("set session time zone 'UTC'"), set("timezone", "UTC"));
        assert_eq!(Command::parse("SET search_path TO public, x"), set("search_path", "public, x"));
        assert_eq!(Command::parse("START TRANSACTION READ ONLY"), Some(Command::Begin));
        assert_eq!(Command::parse("END"), Some(Command::Commit));
        assert_eq!(Command::parse("SHOW \"TimeZone\""), Some(Command::Show("timezone".to_owned())));
        assert_eq!(
            Command::parse("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"),
            Some(Command::Nothing("SET"))
        );
        for data in ["SELECT 1", "SHOW TABLES", "SHOW ALL", "SHOW COLUMNS FROM bars", "SET x", "BEGIN; SELECT 1"] {
            assert_eq!(Command::parse(data), None, "{data}");
        }
    }
}
