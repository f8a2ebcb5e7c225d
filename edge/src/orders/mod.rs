//! The city's orders: taken in the order of their numbers within a lane, each once. What an order asks
//! for and the word that it was taken are one commit of the journal, so that a crash leaves both or
//! neither.

mod package;

use std::path::PathBuf;
use std::time::Duration;

use quartier_twin::event::{
    CommandAsked, DeployOrder, EdgeOrdered, Event, Lane, Order, OrderTaken,
};
use quartier_twin::node::Handles;
use tokio::time::sleep;

use crate::uplink::{Incoming, Lost};

/// Before an order is tried again that this box could not record.
const AGAIN: Duration = Duration::from_secs(5);

/// Takes orders.
pub(crate) struct Orders {
    handles: Handles,
    /// Where packages are put together.
    folder: PathBuf,
    quarter: String,
}

/// Why an order was not taken.
enum Not {
    /// It cannot be done; the city is told.
    Refused(String),
    /// The connection ended: it comes again with the next one.
    Lost,
}

impl From<Lost> for Not {
    fn from(Lost: Lost) -> Self {
        Self::Lost
    }
}

impl Orders {
    /// `data`: the node's folder; `quarter`: the one that it is the home of.
    pub(crate) fn new(handles: Handles, data: PathBuf, quarter: String) -> Self {
        Self {
            handles,
            folder: data.join("incoming"),
            quarter,
        }
    }

    /// Takes what comes over one connection, until that ends.
    pub(crate) async fn run(&self, incoming: &Incoming) {
        tokio::select! {
            () = self.run_lane(Lane::Plugins, incoming) => {}
            () = self.run_lane(Lane::Wishes, incoming) => {}
        }
    }

    async fn run_lane(&self, lane: Lane, incoming: &Incoming) {
        while let Some((number, ordered)) = incoming.order(lane).await {
            while self.is_new(lane, number).await {
                let asked = match &ordered {
                    Ok(ordered) => self.events(ordered, incoming).await,
                    Err(why) => Err(Not::Refused(why.clone())),
                };
                let (mut events, refused) = match asked {
                    Ok(events) => (events, None),
                    Err(Not::Refused(why)) => {
                        tracing::warn!(number, why, "an order of the city is refused");
                        (Vec::new(), Some(why))
                    }
                    Err(Not::Lost) => return,
                };
                events.push(Event::OrderTaken(OrderTaken {
                    order: number,
                    lane,
                    refused,
                }));
                if let Err(error) = self.handles.recorder.record(events).await {
                    tracing::error!(number, %error, "an order cannot be recorded; it is tried again");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Whether an order was not taken yet. Waits for the fold first: an order that was recorded just
    /// before its connection ended would look new otherwise, and be taken twice.
    async fn is_new(&self, lane: Lane, number: u64) -> bool {
        self.handles.recorder.settled().await;
        number > self.handles.status.twin.read().orders_taken().last(lane)
    }

    async fn events(
        &self,
        ordered: &EdgeOrdered,
        incoming: &Incoming,
    ) -> Result<Vec<Event<'static>>, Not> {
        self.handles.recorder.seen(&ordered.stamp);
        let quarter = |id: &str| match id == self.quarter {
            true => Ok(()),
            false => Err(Not::Refused(format!("{id} is not the quarter of this box"))),
        };
        Ok(match ordered.order.clone() {
            Order::Assets(records) => {
                for record in &records {
                    quarter(&record.quarter)?;
                }
                records.into_iter().map(Event::AssetPut).collect()
            }
            Order::Command(asked) => {
                quarter(&asked.quarter)?;
                vec![Event::CommandAsked(from_city(asked))]
            }
            Order::Judge(judged) => vec![Event::CommandJudged(judged)],
            Order::Interlocks(interlocks) => vec![Event::InterlocksPut(interlocks)],
            Order::Deploy(order) => {
                quarter(&order.deployed.record.quarter)?;
                vec![self.deploy(&order, incoming).await?]
            }
            Order::Remove(removed) => {
                quarter(&removed.quarter)?;
                vec![Event::PluginRemoved(removed)]
            }
            Order::Settings(settings) => vec![Event::SettingsPut(settings)],
        })
    }

    async fn deploy(
        &self,
        order: &DeployOrder,
        incoming: &Incoming,
    ) -> Result<Event<'static>, Not> {
        let record = &order.deployed.record;
        let deployer = &self.handles.deployer;
        let kept = deployer.artifacts().package(record).ok();
        // One that its lab has signed anew since, with another key, is to come.
        let package = match kept.filter(|package| deployer.is_signed(package)) {
            // It is here already: a promotion, or a version that comes back.
            Some(package) => package,
            None => package::fetch(&self.folder, order, incoming).await?,
        };
        let event = deployer.ordered(order, package).await;
        // What was put together is kept elsewhere now, or is of no use.
        package::forget(&self.folder, record);
        event.map_err(|error| Not::Refused(error.to_string()))
    }
}

/// Who asked is somebody of the city.
fn from_city(asked: CommandAsked) -> CommandAsked {
    CommandAsked {
        by: format!("{}@city", asked.by),
        ..asked
    }
}
