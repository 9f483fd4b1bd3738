//! What one connection remembers: its settings, and the snapshot of an open transaction.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::humane::Span;
use model::{Reader, Snapshot};
use parking_lot::Mutex;
use pgwire::api::{ClientInfo, METADATA_USER};

use crate::catalog::CATALOG;
use crate::config::Limits;
use crate::pg_catalog::functions::setting;
use crate::session::SessionUser;

/// One connection's memory.
#[derive(Debug)]
pub(super) struct ConnectionState {
    reader: Mutex<Reader>,
    settings: Mutex<Arc<BTreeMap<String, String>>>,
    snapshot: Mutex<Option<Arc<Snapshot>>>,
}

impl ConnectionState {
    /// The memory of this client's connection.
    pub(super) fn of<C: ClientInfo>(client: &C) -> Arc<Self> {
        client.session_extensions().get_or_insert_with(|| {
            let given = client.metadata().iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
            let known = given.filter(|(name, _)| setting(name).is_some());
            Self {
                reader: Mutex::new(Reader::House),
                settings: Mutex::new(Arc::new(known.collect())),
                snapshot: Mutex::default(),
            }
        })
    }

    /// Who asks, for functions.
    pub(super) fn user<C: ClientInfo>(&self, client: &C) -> SessionUser {
        let user = client.metadata().get(METADATA_USER).map_or(CATALOG, String::as_str).to_owned();
        SessionUser { user, settings: Arc::clone(&self.settings.lock()), reader: self.reader.lock().clone() }
    }

    /// From here on with these eyes.
    pub(super) fn read_as(&self, reader: Reader) {
        *self.reader.lock() = reader;
    }

    /// A setting's value.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        self.settings.lock().get(name).cloned().or_else(|| setting(name).map(str::to_owned))
    }

    /// Changes a setting; `None` takes it back.
    pub(super) fn set(&self, name: &str, value: Option<String>) {
        let mut settings = self.settings.lock();
        let settings = Arc::make_mut(&mut settings);
        match value {
            Some(value) => settings.insert(name.to_owned(), value),
            None => settings.remove(name),
        };
    }

    /// Takes every setting back.
    pub(super) fn reset(&self) {
        *self.settings.lock() = Arc::default();
    }

    /// Opens a transaction: queries read this snapshot until it ends.
    pub(super) fn begin(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.lock().get_or_insert(snapshot);
    }

    /// Ends the transaction.
    pub(super) fn end(&self) {
        *self.snapshot.lock() = None;
    }

    /// The open transaction's snapshot.
    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.lock().clone()
    }

    /// The engine's limits, with the client's own `statement_timeout` where that is shorter.
    pub(super) fn limits(&self, limits: Limits) -> Limits {
        let wanted = self.setting("statement_timeout").and_then(|text| timeout(&text));
        match wanted {
            Some(wanted) if wanted < limits.timeout.0 => Limits { timeout: Span(wanted), ..limits },
            _ => limits,
        }
    }
}

/// `5000` (ms), `5s`, `2min`; zero and nonsense mean no limit of the client's own.
fn timeout(text: &str) -> Option<Duration> {
    let text = text.trim();
    let wanted = match text.parse::<u64>() {
        Ok(ms) => Duration::from_millis(ms),
        Err(_) => text.parse::<Span>().ok()?.0,
    };
    (!wanted.is_zero()).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_as_postgres_writes_them() {
        assert_eq!(timeout("5000"), Some(Duration::from_secs(5)));
        assert_eq!(timeout("2min"), Some(Duration::from_secs(120)));
        assert_eq!(timeout("0"), None);
        assert_eq!(timeout("soon"), None);
    }
}
