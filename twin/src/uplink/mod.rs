//! What an edge box and its city say to each other, as bytes: the one place where both agree.
//!
//! | topic | payload |
//! |---|---|
//! | `uplink/v1/{node}` | [`Batch`]: entries of the box's journal, each exactly once and in order |
//! | `uplink/v1/{node}/state` | [`StatePart`]: the box's state, where entries are lost |
//! | `uplink/v1/{node}/news` | [`News`]: what must not wait behind a backlog |
//! | `downlink/v1/{node}/cursor` | [`Cursor`]: how far the city has come |
//! | `downlink/v1/{node}/order/{number}` | [`crate::event::EdgeOrdered`] as JSON, until it is taken |
//! | `downlink/v1/{node}/package/{digest}/{chunk}` | a piece of a plugin's package |
//!
//! Everything that comes from the other side is checked before it is used; sizes are bounded before
//! memory is taken.

mod batch;
mod chain;
mod cursor;
mod news;
mod squeeze;
mod state;
#[cfg(test)]
mod tests;

pub use batch::{Batch, BatchWriter, MAX_ENTRIES};
pub use chain::{Chain, JournalId};
pub use cursor::{Cursor, Echo};
pub use news::{Health, News, NewsValue, PluginHealth};
pub use squeeze::{MAX_BYTES, UplinkError};
pub use state::{StatePart, StateWriter, whole};

/// First levels of what boxes send.
pub const UPLINK: &str = "uplink/v1/";
/// First levels of what the city tells boxes.
pub const DOWNLINK: &str = "downlink/v1/";
/// Last level of the topic of news.
pub const NEWS: &str = "news";
/// Last level of the topic of parts of a state.
pub const STATE: &str = "state";

/// Name of the cursor up to which the city has a box's journal.
pub const UPLINK_CURSOR: &str = "uplink";
