//! How far the city has come with a box, as JSON: retained, and told after each change.

use serde::{Deserialize, Serialize};

use super::chain::{Chain, JournalId};
use crate::model::Millis;

/// What the city has on its disk of a box, in order and without a gap that was not declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The journal that it speaks of; `None` before the first batch.
    pub journal: Option<JournalId>,
    /// How far, and the chain's value there; `None` before the first batch.
    pub chain: Option<Chain>,
    /// When the city last heard the box: what the box takes the city's time from.
    pub echo: Option<Echo>,
    /// The box's whole state is asked for: entries are lost that it has folded.
    pub wants_state: bool,
    /// Why the last batch was refused, where it was.
    pub refused: Option<String>,
}

/// A message of the box with both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// When the box sent it, by its own clock.
    pub sent: Millis,
    /// When the city took it, by the city's clock.
    pub taken: Millis,
}
