//! The state directory of the embedded store: per room one file with the line and one with the reserved numbers.
//!
//! A file is replaced as a whole: written beside, synced, renamed, and the directory synced; a crash leaves the old or the new one.
//! The formats carry a version and are pinned by a test.

use super::{Room, StoreError, Stored};
use anteroom_core::units::{EventId, Generation};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

const FORMAT: u32 = 1;
const LINE: &str = ".line.json";
const RESERVED: &str = ".reserved.json";

/// A directory that this process alone uses.
pub(super) struct StateDir {
    dir: PathBuf,
    /// Held as long as the directory is in use.
    _lock: File,
}

#[derive(Serialize)]
struct Saved<T> {
    format: u32,
    #[serde(flatten)]
    content: T,
}

/// What is read first. The content is then read from the same text: flattened, its maps could not have numbers for keys.
#[derive(Deserialize)]
struct Header {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Reserved {
    generation: Generation,
    up_to: u64,
}

fn failed(path: &Path, error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

impl StateDir {
    /// Makes the directory if need be and takes it; an error when another process has it.
    pub(super) fn open(dir: &Path) -> Stored<Self> {
        fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
        let path = dir.join("lock");
        let lock = File::create(&path).map_err(|error| failed(&path, error))?;
        lock.try_lock().map_err(|error| failed(&path, format!("another process uses this directory ({error})")))?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// All saved rooms, with the numbers reserved for their generation.
    pub(super) fn load(&self) -> Stored<Vec<(EventId, Room)>> {
        let mut rooms = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(|error| failed(&self.dir, error))? {
            let name = entry.map_err(|error| failed(&self.dir, error))?.file_name();
            let Some(event) = name.to_str().and_then(|name| name.strip_suffix(LINE)) else { continue };
            let Ok(event) = EventId::parse(event) else { continue };
            let Some(mut room) = self.read::<Room>(&event, LINE)? else { continue };
            if let Some(reserved) = self.read::<Reserved>(&event, RESERVED)?
                && reserved.generation == room.line.facts().generation
            {
                room.reserved = reserved.up_to;
            }
            rooms.push((event, room));
        }
        Ok(rooms)
    }

    /// Saves a room.
    pub(super) fn write(&self, event: &EventId, room: &Room) -> Stored<()> {
        self.replace(event, LINE, room)
    }

    /// Reserves the numbers of `generation` up to `up_to`.
    pub(super) fn reserve(&self, event: &EventId, generation: Generation, up_to: u64) -> Stored<()> {
        self.replace(event, RESERVED, &Reserved { generation, up_to })
    }

    /// Removes a room.
    pub(super) fn remove(&self, event: &EventId) -> Stored<()> {
        for suffix in [LINE, RESERVED] {
            let path = self.path(event, suffix);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&path, error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn path(&self, event: &EventId, suffix: &str) -> PathBuf {
        self.dir.join(format!("{event}{suffix}"))
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, event: &EventId, suffix: &str) -> Stored<Option<T>> {
        let path = self.path(event, suffix);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, error)),
        };
        let broken = |what: String| StoreError::Broken(format!("{}: {what}", path.display()));
        let Header { format } = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
        if format != FORMAT {
            return Err(broken(format!("format {format} is not {FORMAT}, the one this version reads")));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|error| broken(error.to_string()))
    }

    fn replace(&self, event: &EventId, suffix: &str, content: &impl Serialize) -> Stored<()> {
        let path = self.path(event, suffix);
        let beside = self.path(event, &format!("{suffix}.new"));
        let bytes = serde_json::to_vec(&Saved { format: FORMAT, content }).map_err(|error| failed(&path, error))?;
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|error| failed(&path, error))
    }
}
