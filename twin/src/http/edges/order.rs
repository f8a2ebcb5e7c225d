//! Wishes for a quarter whose home is a box: they become orders.

use serde::Serialize;
use utoipa::ToSchema;

use super::missing;
use crate::event::{EdgeOrdered, Event, Order};
use crate::http::Api;
use crate::http::problem::Problem;
use crate::state::{EdgeStanding, MAX_ORDERS};

/// An order waits for the box to take it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Ordered {
    /// Number of the order.
    pub(in crate::http) order: u64,
    /// The box's node.
    pub(in crate::http) node: String,
}

/// The box that is the home of a quarter.
pub(in crate::http) fn home(api: &Api, quarter: &str) -> Option<String> {
    let twin = api.status.twin.read();
    let edge = twin.edges().of_quarter(quarter)?;
    Some(edge.record.node.clone())
}

/// Gives a box an order.
pub(in crate::http) async fn order(
    api: &Api,
    node: &str,
    order: Order,
    by: String,
    why: String,
) -> Result<Ordered, Problem> {
    {
        let twin = api.status.twin.read();
        let edge = twin.edges().get(node).ok_or_else(|| missing(node))?;
        if edge.standing == EdgeStanding::Retired {
            return Err(Problem::conflict(format!("box {node} is retired")));
        }
        if edge.orders().len() >= MAX_ORDERS {
            return Err(Problem::conflict(format!(
                "{MAX_ORDERS} orders wait for box {node} already"
            )));
        }
    }
    let event = Event::EdgeOrdered(EdgeOrdered {
        node: node.to_owned(),
        order,
        stamp: api.recorder.stamp(),
        by,
        why,
    });
    let number = api.recorder.record(vec![event]).await?;
    Ok(Ordered {
        order: number,
        node: node.to_owned(),
    })
}
