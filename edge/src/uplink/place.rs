//! Where the box is with its city, across restarts: `DATA/uplink/journal` (the id of this journal,
//! made once) and `DATA/uplink/chain` (position and value of the chain up to which the city has
//! said that it has everything). Written beside and renamed, at most every ten seconds: an SD card
//! wears out by writes. An old chain costs reading some of the journal again, nothing else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quartier_twin::files;
use quartier_twin::uplink::{Chain, JournalId};

const EVERY: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Place {
    folder: PathBuf,
    journal: JournalId,
    chain: Chain,
    written: Option<Instant>,
}

/// A file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub(crate) struct PlaceError {
    path: PathBuf,
    why: String,
}

impl Place {
    /// Of a data folder.
    pub(crate) fn open(data: &Path) -> Result<Self, PlaceError> {
        let folder = data.join("uplink");
        let wrong = |path: &Path, why: String| PlaceError {
            path: path.to_owned(),
            why,
        };
        fs::create_dir_all(&folder).map_err(|error| wrong(&folder, error.to_string()))?;
        let file = folder.join("journal");
        let journal = match fs::read_to_string(&file) {
            Ok(text) => text.parse::<JournalId>().map_err(|error| {
                wrong(
                    &file,
                    format!("not the id of a journal ({error}); was it edited?"),
                )
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let journal = JournalId::random();
                replace(&file, &journal.to_string())
                    .map_err(|error| wrong(&file, error.to_string()))?;
                journal
            }
            Err(error) => return Err(wrong(&file, error.to_string())),
        };
        // Without it, or with half of it, the way is begun anew from what the city says.
        let chain = fs::read_to_string(folder.join("chain")).ok();
        let chain = chain.and_then(|text| parse(&text));
        Ok(Self {
            folder,
            journal,
            chain: chain.unwrap_or_else(|| Chain::start(journal)),
            written: None,
        })
    }

    /// Which journal this is.
    pub(crate) fn journal(&self) -> JournalId {
        self.journal
    }

    /// Up to where the city has everything.
    pub(crate) fn chain(&self) -> Chain {
        self.chain
    }

    /// The city has everything up to `chain`; the position up to which that is on disk.
    pub(crate) fn reached(&mut self, chain: Chain) -> Option<u64> {
        self.chain = chain;
        let due = self.written.is_none_or(|written| written.elapsed() > EVERY);
        due.then(|| self.write()).flatten()
    }

    /// Puts it on disk; the position.
    pub(crate) fn write(&mut self) -> Option<u64> {
        let Chain { position, value } = self.chain;
        let written = replace(&self.folder.join("chain"), &format!("{position} {value}\n"));
        self.written = Some(Instant::now());
        match written {
            Ok(()) => Some(position),
            Err(error) => {
                tracing::warn!(%error, "the uplink's place cannot be written; it is tried again");
                None
            }
        }
    }
}

fn parse(text: &str) -> Option<Chain> {
    let (position, value) = text.trim().split_once(' ')?;
    Some(Chain {
        position: position.parse().ok()?,
        value: value.parse().ok()?,
    })
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    files::replace(path, text.as_bytes(), files::READABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_stays_and_half_a_chain_begins_anew() {
        let data = tempfile::tempdir().unwrap();
        let mut place = Place::open(data.path()).unwrap();
        let chain = place.chain().entry(b"a");
        assert_eq!(place.reached(chain), Some(1));
        assert_eq!(place.reached(chain.entry(b"b")), None, "too soon");
        let again = Place::open(data.path()).unwrap();
        assert_eq!((again.journal(), again.chain()), (place.journal(), chain));
        fs::write(data.path().join("uplink/chain"), "12 ab").unwrap();
        let anew = Place::open(data.path()).unwrap();
        assert_eq!(anew.chain(), Chain::start(place.journal()));
        fs::write(data.path().join("uplink/journal"), "x").unwrap();
        assert!(Place::open(data.path()).is_err());
    }
}
