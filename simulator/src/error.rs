//! What can go wrong here. Bad rows of a file are not errors: they are reported and the rest is read.

use std::path::PathBuf;

/// Why market data could not be read, made or published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A zip file could not be opened, or holds more than is allowed.
    #[error("open archive {file}: {reason}")]
    Archive {
        /// The archive, with its place inside another.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is in no format known here.
    #[error("{file} is in no format known here; it starts with {start:?}")]
    UnknownFormat {
        /// The file.
        file: String,
        /// Its first characters.
        start: String,
    },
    /// A file of a known format lacks something that its rows cannot be read without.
    #[error("{file}: {reason}")]
    Malformed {
        /// The file.
        file: String,
        /// What is missing.
        reason: String,
    },
    /// None of the inputs holds a price.
    #[error("nothing to replay: {0}")]
    Empty(String),
    /// A setting that cannot work.
    #[error("simulation settings: {0}")]
    Settings(String),
    /// The broker did not take a message.
    #[error("publish to {topic}: {reason}")]
    Publish {
        /// The topic.
        topic: String,
        /// What the client library said.
        reason: String,
        /// Whether the same message may go through later.
        transient: bool,
    },
    /// Ticks could not be put into a columnar message.
    #[error("encode ticks: {0}")]
    Encode(String),
}

impl Error {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Publish { transient: true, .. })
    }
}
