//! The manifest: what a checkpoint consists of.
//!
//! `manifest-<T>-<life>.json`: the JSON on the first line, its checksum (xxh3, hex) on the second.
//!
//! Every life writes under a name of its own, so a life that was taken over and does not know it yet overwrites nothing.
//! Its manifest, if it completes one, is as good as any: a manifest is of a T that was bound, and a bound T has one state.

use std::collections::BTreeMap;

use model::T;
use model::batch::Counts;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// The form of manifests and files that this program writes, and the newest it reads.
pub(super) const VERSION: u32 = 1;

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Form of the manifest and of its files.
    pub version: u32,
    /// The moment: the state is what all records up to and with this T add up to.
    pub t: T,
    /// The life of the program that wrote it.
    #[serde(default, with = "hex")]
    pub life: u64,
    /// Tick records accounted for up to T.
    pub counts: Counts,
    /// Next offset of every partition, `topic/partition`.
    pub offsets: BTreeMap<String, i64>,
    /// Of the settings of operators and of the zone table: with others the same bars say something else.
    pub settings: String,
    /// Workers that wrote it. Any number may read it.
    pub workers: usize,
    /// Files, oldest first: what a later one says of a key replaces what an earlier one says.
    pub files: Vec<File>,
}

/// A file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Below the root.
    pub path: String,
    /// What is in it.
    pub kind: Kind,
    /// The barrier it was written at.
    pub t: T,
    /// Rows.
    pub rows: usize,
    /// Length.
    pub bytes: u64,
    /// Checksum, xxh3, hex.
    pub xxh3: String,
    /// From this T on nothing in it is needed any more.
    pub until_t: T,
    /// Bars: how long after their start they are needed. Files of one value may be merged.
    #[serde(default)]
    pub kept_ms: i64,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Records of open minutes.
    Ticks,
    /// Bid events and rule records.
    Records,
    /// Bars that cannot change any more.
    Bars,
    /// Alerts, names, and the newest bar of silent series.
    State,
}

impl Manifest {
    pub(crate) fn path(&self, root: &Path) -> Path {
        root.clone().join(format!("manifest-{}.json", self.folder()))
    }

    /// Where the files are that were written for it.
    pub(crate) fn folder(&self) -> String {
        folder(self.t, self.life)
    }

    /// The T in a manifest's file name.
    pub(crate) fn t_of(path: &Path) -> Option<T> {
        let name = path.filename()?.strip_prefix("manifest-")?.strip_suffix(".json")?;
        name.split('-').next()?.parse().ok()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let json = serde_json::to_string(self).expect("a manifest has string keys and finite numbers only");
        format!("{json}\n{}\n", checksum(json.as_bytes())).into_bytes()
    }

    /// Reads a manifest; `Err` says what is wrong with it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
        let (json, rest) = text.split_once('\n').ok_or("it has no checksum")?;
        if checksum(json.as_bytes()) != rest.trim() {
            return Err("its checksum does not match".to_owned());
        }
        // Of a later form only the version can be relied on.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if version > VERSION {
            return Err(format!(
                "it has form {version}, and this program knows forms up to {VERSION}: run a newer one"
            ));
        }
        serde_json::from_str(json).map_err(|error| error.to_string())
    }
}

/// What one life writes at one barrier lies together.
pub(crate) fn folder(t: T, life: u64) -> String {
    format!("{t:020}-{life:016x}")
}

/// A life's number as people read it.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(life: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{life:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        u64::from_str_radix(&String::deserialize(from)?, 16).map_err(de::Error::custom)
    }
}

pub(crate) fn checksum(bytes: &[u8]) -> String {
    format!("{:016x}", xxh3_64(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            version: VERSION,
            t: 7,
            life: 0xab,
            counts: Counts::default(),
            offsets: [("optibid.ticks.pjm/0".to_owned(), 3)].into(),
            settings: "s".into(),
            workers: 2,
            files: Vec::new(),
        }
    }

    #[test]
    fn a_manifest_survives_and_tells_of_damage() {
        let whole = manifest().encode();
        assert_eq!(Manifest::decode(&whole).unwrap(), manifest());
        assert_eq!(Manifest::t_of(&manifest().path(&Path::from("a"))), Some(7));
        for at in 0..whole.len() - 1 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(Manifest::decode(&damaged).is_err(), "byte {at}");
        }
        assert!(Manifest::decode(&whole[..whole.len() / 2]).is_err());
        let newer = Manifest { version: VERSION + 1, ..manifest() };
        assert!(Manifest::decode(&newer.encode()).unwrap_err().contains("newer"));
    }
}
