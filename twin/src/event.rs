//! What can happen to a twin: the closed set of events that the journal holds.
//!
//! An entry is postcard of [`Entry`]. A variant's number and a field's order are part of the
//! format: new ones go to the end, and [`FORMAT`] rises when an old journal could be misread.

mod command;
mod decision;
mod edge;
mod plugin;

pub use quartier_plugin_host::{Digest, Severity};
use serde::{Deserialize, Serialize};

use crate::model::{AssetRecord, Millis, Observed, QuarterRecord};

pub use command::{CommandAsked, CommandIntent, CommandJudged, Interlock, Judgement, Priority};
pub use decision::{AlertChange, Cause, Decision, DerivedReading};
pub use edge::{
    ClockSet, DeployOrder, EdgeEnrolled, EdgeJudged, EdgeJudgement, EdgeNews, EdgeOrdered,
    EdgeSettings, EdgeState, Lane, Order, OrderTaken, Stamp, TimeSource, Uplinked,
};
pub use plugin::{
    CommandGrant, Deployed, How, Origin, Parked, PluginRecord, Removed, Stage, Started,
};

/// Version of the entry format, kept in the data folder.
pub const FORMAT: u32 = 4;

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// The node's clock when the entry was made; the only clock the fold ever sees. It does not go
    /// back, see [`crate::clock`].
    pub at: Millis,
    /// What happened.
    #[serde(borrow)]
    pub event: Event<'a>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event<'a> {
    /// A device reported readings.
    #[serde(borrow)]
    Observed(Observed<'a>),
    /// Time passed; nothing else happened.
    Ticked,
    /// A quarter was added or changed.
    QuarterPut(QuarterRecord),
    /// An asset was added or changed by the registry.
    AssetPut(AssetRecord),
    /// A plugin version runs in a quarter from here on.
    PluginDeployed(Deployed),
    /// A plugin no longer runs in a quarter.
    PluginRemoved(Removed),
    /// A plugin answered a batch.
    Decided(Decision),
    /// A new version took over, with the state of the one before or without.
    PluginStarted(Started),
    /// A plugin fell too far behind: it gets no more batches.
    PluginParked(Parked),
    /// The operator's safety limits of commands; they replace those before.
    InterlocksPut(Vec<Interlock>),
    /// A person asks for a command.
    CommandAsked(CommandAsked),
    /// A person approves, rejects or withdraws a command.
    CommandJudged(CommandJudged),
    /// A device reported readings without a time, while the node had to guess it.
    #[serde(borrow)]
    Untimed(Observed<'a>),
    /// The time became known, or is not known any more.
    ClockSet(ClockSet),
    /// City: a box may connect.
    EdgeEnrolled(EdgeEnrolled),
    /// City: a person judges a box.
    EdgeJudged(EdgeJudged),
    /// City: a box sent entries of its journal.
    #[serde(borrow)]
    Uplinked(Uplinked<'a>),
    /// City: a box said what must not wait.
    #[serde(borrow)]
    EdgeNews(EdgeNews<'a>),
    /// City: a box is to do something.
    EdgeOrdered(EdgeOrdered),
    /// Box: it did what the city wants, or says why not.
    OrderTaken(OrderTaken),
    /// Box: settings from the city.
    SettingsPut(EdgeSettings),
    /// City: a box sent a part of its state.
    #[serde(borrow)]
    EdgeState(EdgeState<'a>),
}

impl Event<'_> {
    /// Whether only a city's journal has it.
    pub fn is_of_city(&self) -> bool {
        matches!(
            self,
            Self::EdgeEnrolled(_)
                | Self::EdgeJudged(_)
                | Self::Uplinked(_)
                | Self::EdgeNews(_)
                | Self::EdgeState(_)
                | Self::EdgeOrdered(_)
        )
    }
}
