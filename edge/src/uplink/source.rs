//! The journal as batches behind a chain. Reads files; not for an async worker.

use std::sync::Arc;

use quartier_twin::event::Digest;
use quartier_twin::journal::{Frame, Journal, ReadError, Reader};
use quartier_twin::uplink::{BatchWriter, Chain, JournalId};

/// The journal behind the last batch.
pub(crate) struct Source {
    journal: Arc<dyn Journal>,
    id: JournalId,
    chain: Chain,
    reader: Option<Box<dyn Reader>>,
    frame: Option<Frame>,
}

/// Entries ready to be sent.
pub(crate) struct Ready {
    /// See [`quartier_twin::uplink::Batch`].
    pub(crate) payload: Vec<u8>,
    /// The chain behind them.
    pub(crate) chain: Chain,
    /// Bytes of the entries before they were deflated.
    pub(crate) bytes: usize,
}

/// The city's past is not this journal's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// Equal positions, other entries.
    #[error(
        "the city has other entries up to {position} than this journal: the data folder was \
         changed or copied back; retire this box and enrol it anew with an empty data folder"
    )]
    Forked {
        /// Where both were compared.
        position: u64,
    },
    /// The city has more than there is.
    #[error(
        "the city has entries up to {city}, and this journal ends at {own}: the data folder was \
         copied back; retire this box and enrol it anew with an empty data folder"
    )]
    Behind {
        /// Position of the city.
        city: u64,
        /// Last durable position.
        own: u64,
    },
    /// The journal cannot be read.
    #[error("journal: {0}")]
    Read(#[from] ReadError),
}

impl Source {
    /// Goes on where the city is, after it was shown that `known`, which the city had before, and
    /// `city`, which it says now, are of the same past.
    pub(crate) fn resume(
        journal: Arc<dyn Journal>,
        id: JournalId,
        known: Chain,
        city: Chain,
    ) -> Result<Self, SourceError> {
        let own = journal.stats().durable;
        if city.position > own {
            let city = city.position;
            return Err(SourceError::Behind { city, own });
        }
        let (earlier, later) = match known.position <= city.position {
            true => (known, city),
            false => (city, known),
        };
        let mut source = Self {
            journal,
            id,
            chain: earlier,
            reader: None,
            frame: None,
        };
        // What the journal no longer has cannot be shown, only taken as it is.
        let oldest = source.journal.stats().first;
        if earlier.position + 1 >= oldest.min(own + 1) {
            let found = source.follow(later.position)?;
            if found.is_some_and(|found| found != later) {
                return Err(SourceError::Forked {
                    position: later.position,
                });
            }
        }
        source.restart(city);
        Ok(source)
    }

    /// Back to `chain`.
    fn restart(&mut self, chain: Chain) {
        self.chain = chain;
        self.reader = None;
        self.frame = None;
    }

    /// The chain at `to`, by the entries from here on; `None` where some are gone, so that it cannot
    /// be known.
    fn follow(&mut self, to: u64) -> Result<Option<Chain>, SourceError> {
        let mut chain = self.chain;
        while chain.position < to {
            let Some(frame) = self.frame()? else {
                return Ok(None);
            };
            for (position, entry) in frame.entries() {
                if position <= chain.position {
                    continue;
                }
                if position > to {
                    break;
                }
                if position > chain.position + 1 {
                    return Ok(None);
                }
                chain = chain.entry(entry);
            }
        }
        Ok(Some(chain))
    }

    /// Where the last batch ended.
    pub(crate) fn position(&self) -> u64 {
        self.chain.position
    }

    /// Entries of about `bytes` from behind the last batch, up to `upto`; `None` where there are
    /// none. `checkpoint`: a position at which the batch is to end, with the state there.
    pub(crate) fn next(
        &mut self,
        bytes: usize,
        upto: u64,
        checkpoint: Option<(u64, Digest)>,
    ) -> Result<Option<Ready>, SourceError> {
        let upto = checkpoint.map_or(upto, |(position, _)| position.min(upto));
        let mut writer = BatchWriter::new(self.id, self.chain);
        'frames: while writer.bytes() < bytes && writer.chain().position < upto {
            let Some(frame) = self.frame()? else {
                break;
            };
            for (position, entry) in frame.entries() {
                if position <= writer.chain().position {
                    continue;
                }
                if position > upto || writer.bytes() >= bytes || !writer.push(position, entry) {
                    self.frame = Some(frame);
                    break 'frames;
                }
            }
        }
        if writer.is_empty() {
            return Ok(None);
        }
        let chain = writer.chain();
        let state = checkpoint.filter(|(position, _)| *position == chain.position);
        let ready = Ready {
            payload: writer.encode(state.map(|(_, digest)| digest)),
            chain,
            bytes: writer.bytes(),
        };
        self.chain = chain;
        Ok(Some(ready))
    }

    fn frame(&mut self) -> Result<Option<Frame>, SourceError> {
        if let Some(frame) = self.frame.take() {
            return Ok(Some(frame));
        }
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => self
                .reader
                .insert(open(self.journal.as_ref(), self.chain.position + 1)?),
        };
        loop {
            match reader.next() {
                // What is lost is declared: the writer sees the jump.
                Err(error @ ReadError::Gap { .. }) => {
                    tracing::error!(%error, "the journal has a gap")
                }
                other => return Ok(other?),
            }
        }
    }
}

/// A reader from `from`, or from the oldest entry there is behind it.
fn open(journal: &dyn Journal, from: u64) -> Result<Box<dyn Reader>, ReadError> {
    match journal.reader(from) {
        Err(ReadError::Gone { .. }) => journal.reader(journal.stats().first),
        other => other,
    }
}
