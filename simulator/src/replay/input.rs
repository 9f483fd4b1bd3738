//! Where bytes come from: files, folders (walked in name order) and zips (also inside zips).
//!
//! An [`Origin`] remembers only the way to its bytes, so that a replay of many files holds few in memory.
//! Archives are bounded: a member larger than [`MAX_FILE_BYTES`], or nested deeper than [`MAX_DEPTH`], is refused.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;

/// The largest file, or archive member after inflating, that is read.
pub const MAX_FILE_BYTES: u64 = 1 << 30;
/// Archives in archives, at most.
pub const MAX_DEPTH: usize = 3;

/// The way to a file: a path, and the members to take on the way if it is in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    path: PathBuf,
    members: Vec<String>,
}

/// A file's bytes and its name.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name for reports: the path, then `!member` for each archive on the way.
    pub file: Arc<str>,
    /// Contents.
    pub bytes: Arc<[u8]>,
}

impl Source {
    /// A source from memory.
    pub fn new(name: &str, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { file: name.into(), bytes: bytes.into() }
    }

    /// The contents as text, a byte order mark left out, bytes that are no UTF-8 replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.body())
    }

    /// The contents without a byte order mark.
    pub fn body(&self) -> &[u8] {
        self.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.bytes)
    }

    /// The file's own name without folders, archives and extension, in lower case.
    pub fn stem(&self) -> String {
        let name = self.file.rsplit(['/', '\\', '!']).next().unwrap_or_default();
        name.split('.').next().unwrap_or_default().to_ascii_lowercase()
    }
}

impl Origin {
    /// Name for reports.
    pub fn name(&self) -> String {
        self.members.iter().fold(self.path.display().to_string(), |name, member| format!("{name}!{member}"))
    }

    /// Reads the bytes.
    pub fn load(&self) -> Result<Source, Error> {
        let mut bytes = read_file(&self.path)?;
        let mut name = self.path.display().to_string();
        for member in &self.members {
            bytes = read_member(&name, &bytes, member)?;
            name = format!("{name}!{member}");
        }
        Ok(Source { file: name.into(), bytes: bytes.into() })
    }
}

/// Whether bytes are a zip archive.
pub fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Every file behind `path`, archives opened, in name order.
pub fn expand(path: &Path) -> Result<Vec<Origin>, Error> {
    let mut found = Vec::new();
    let metadata = std::fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    if metadata.is_dir() {
        walk(path, 0, &mut found)?;
    } else {
        expand_file(path, &mut found)?;
    }
    Ok(found)
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<Origin>) -> Result<(), Error> {
    let refuse = |source| Error::Read { path: folder.to_owned(), source };
    let mut entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(refuse)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // Links are followed for files but not for folders: a loop of links must not hang a replay.
        let is_folder = entry.file_type().map_err(refuse)?.is_dir();
        if is_folder && depth < 8 {
            walk(&path, depth + 1, found)?;
        } else if !is_folder && path.is_file() && expand_file(&path, found).is_err() {
            // A broken archive among others is reported as a file of no known format.
            found.push(Origin { path, members: Vec::new() });
        }
    }
    Ok(())
}

fn expand_file(path: &Path, found: &mut Vec<Origin>) -> Result<(), Error> {
    let mut start = [0; 4];
    let refuse = |source| Error::Read { path: path.to_owned(), source };
    let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut start)).map_err(refuse)?;
    let origin = Origin { path: path.to_owned(), members: Vec::new() };
    if is_zip(&start[..read]) {
        let bytes = read_file(path)?;
        expand_zip(&origin, &bytes, found)
    } else {
        found.push(origin);
        Ok(())
    }
}

fn expand_zip(archive: &Origin, bytes: &[u8], found: &mut Vec<Origin>) -> Result<(), Error> {
    if archive.members.len() >= MAX_DEPTH {
        return Err(Error::Archive { file: archive.name(), reason: format!("nested deeper than {MAX_DEPTH}") });
    }
    let name = archive.name();
    let zip = open_zip(&name, bytes)?;
    let names = zip.file_names().filter_map(|name| name.ok().map(std::borrow::Cow::into_owned));
    let mut members: Vec<String> = names.filter(|name| !name.ends_with('/')).collect();
    members.sort();
    for member in members {
        let mut origin = archive.clone();
        origin.members.push(member.clone());
        // Only a member named so is looked into: inflating every member twice would double the work.
        if member.to_ascii_lowercase().ends_with(".zip") {
            let inner = read_member(&name, bytes, &member)?;
            expand_zip(&origin, &inner, found)?;
        } else {
            found.push(origin);
        }
    }
    Ok(())
}

fn open_zip<'a>(name: &str, bytes: &'a [u8]) -> Result<zip::ZipArchive<Cursor<&'a [u8]>>, Error> {
    let refuse = |error: zip::result::ZipError| Error::Archive { file: name.to_owned(), reason: error.to_string() };
    zip::ZipArchive::new(Cursor::new(bytes)).map_err(refuse)
}

fn read_member(name: &str, bytes: &[u8], member: &str) -> Result<Vec<u8>, Error> {
    let refuse = |reason: String| Error::Archive { file: format!("{name}!{member}"), reason };
    let mut zip = open_zip(name, bytes)?;
    let file = zip.by_name(member).map_err(|error| refuse(error.to_string()))?;
    let mut inflated = Vec::new();
    // One byte more than allowed is read, so that too large and just large enough differ.
    let read = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut inflated).map_err(|error| refuse(error.to_string()))?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(refuse(format!("larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(inflated)
}

fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let refuse = |source| Error::Read { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(refuse)?.len();
    if size > MAX_FILE_BYTES {
        let reason = format!("{size} bytes; at most {MAX_FILE_BYTES} are read");
        return Err(Error::Malformed { file: path.display().to_string(), reason });
    }
    std::fs::read(path).map_err(refuse)
}
