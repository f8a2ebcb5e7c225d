//! The uplink: the box's journal to the city, and the city's wishes to the box, over one MQTT 5
//! connection with TLS.
//!
//! ```text
//! journal ─▶ Source (chain, batches) ──▶ uplink/v1/{node}       ┐
//! fold ────▶ Tap (alerts, commands, values) ─▶ .../news         ├▶ city
//! box  ◀──── cursor, orders, chunks ◀── downlink/v1/{node}/..   ┘
//! ```
//!
//! Invariants: entries go up in order and end where the city's journal begins to answer for them;
//! the box's journal is released only behind the cursor that the city told; nothing here makes the
//! fold or a device wait.

mod connection;
mod health;
mod incoming;
mod pace;
mod place;
mod sender;
mod source;
mod state;
mod tap;

use std::path::PathBuf;
use std::sync::Arc;

use quartier_twin::config::{Config, Uplink as Configured};
use quartier_twin::external::FileError;
use quartier_twin::node::Handles;

use crate::orders::Orders;
use connection::Options;
use place::Place;

pub(crate) use incoming::{Incoming, Lost};
pub(crate) use place::PlaceError;
pub(crate) use state::UplinkState;
pub(crate) use tap::Tap;

/// Everything the uplink works with.
pub(crate) struct Uplink {
    node: String,
    data: PathBuf,
    options: Options,
    configured: Configured,
    handles: Handles,
    tap: Arc<Tap>,
    state: Arc<UplinkState>,
    place: Place,
    orders: Arc<Orders>,
}

/// Why there is no uplink.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UplinkError {
    /// A file of the box's identity.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is remembered of the city.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

impl Uplink {
    /// For a node that runs. `None`: the configuration has no `[uplink]`.
    ///
    /// # Errors
    /// See [`UplinkError`].
    pub(crate) fn new(
        config: &Config,
        handles: Handles,
        tap: Arc<Tap>,
        state: Arc<UplinkState>,
    ) -> Result<Option<Self>, UplinkError> {
        let Some(configured) = config.uplink.clone() else {
            return Ok(None);
        };
        let options = Options::read(
            &config.node.name,
            &configured,
            Arc::clone(&handles.status.clock),
        )?;
        let quarter = config.quarters.first().map(|quarter| quarter.id.clone());
        let orders = Orders::new(
            handles.clone(),
            config.node.data.clone(),
            quarter.unwrap_or_default(),
        );
        Ok(Some(Self {
            orders: Arc::new(orders),
            node: config.node.name.clone(),
            data: config.node.data.clone(),
            place: Place::open(&config.node.data)?,
            options,
            configured,
            handles,
            tap,
            state,
        }))
    }
}
