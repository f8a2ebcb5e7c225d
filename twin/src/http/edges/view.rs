//! A box as JSON.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::state::{Edge, Lost};
use crate::uplink::Health;

/// A box.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct EdgeView {
    /// Name of its node.
    node: String,
    /// Id of its quarter.
    quarter: String,
    /// `active`, `draining` or `retired`.
    standing: &'static str,
    /// Who invited it.
    by: String,
    /// SHA-256 of its certificate.
    certificate: String,
    /// The city has everything that the box wrote up to this time, but what is `lost`; null before
    /// the first entries.
    complete_through: Option<String>,
    /// Position of the box's journal up to which the city has everything.
    position: u64,
    /// Value of the hash chain there: equal values prove equal journals.
    chain: Option<String>,
    /// Last position of the box's journal that it told.
    head: u64,
    /// Entries between the two.
    behind: u64,
    /// Entries that are gone for good, as ranges of positions.
    lost: Vec<Value>,
    /// The newest comparison of the states of the box and of the city's replica of it.
    proof: Option<Value>,
    /// Comparisons that found a difference.
    differences: u64,
    /// How often the replica was replaced by the box's own state, because entries are lost.
    repaired: u64,
    /// When it was heard last, by the city's clock.
    heard: Option<String>,
    /// How it is, as it said.
    health: Option<Health>,
    /// Orders that it has not taken, by number.
    orders: Vec<Value>,
    /// What became of the newest orders.
    outcomes: Vec<Value>,
    /// Entries that came again.
    duplicates: u64,
    /// Messages of it that were refused.
    refused: u64,
    /// Why the last one was, while that stands.
    refusal: Option<String>,
    /// Assets of the replica.
    assets: usize,
    /// Readings folded into the replica.
    readings: u64,
}

impl EdgeView {
    pub(super) fn of(edge: &Edge) -> Self {
        let (proof, differences) = edge.proof();
        let (duplicates, refused, refusal) = edge.troubles();
        let replica = edge.replica();
        let lost = |lost: &Lost| json!({ "first": lost.first, "last": lost.last });
        Self {
            node: edge.record.node.clone(),
            quarter: edge.record.quarter.clone(),
            standing: edge.standing.as_str(),
            by: edge.record.by.clone(),
            certificate: edge.record.certificate.to_string(),
            complete_through: edge.complete_through().map(|time| time.to_string()),
            position: edge.received(),
            chain: edge.chain().map(|chain| chain.value.to_string()),
            head: edge.head(),
            behind: edge.behind(),
            lost: edge.lost().map(lost).collect(),
            proof: proof.map(|proof| {
                json!({
                    "position": proof.position,
                    "state": proof.state,
                    "equal": proof.equal,
                    "time": proof.at.to_string(),
                })
            }),
            differences,
            repaired: edge.repaired(),
            heard: edge.heard().map(|echo| echo.taken.to_string()),
            health: edge.health().cloned(),
            orders: edge
                .orders()
                .iter()
                .map(|(number, ordered)| {
                    json!({ "number": number, "order": ordered.order, "by": ordered.by, "why": ordered.why })
                })
                .collect(),
            outcomes: edge
                .outcomes()
                .rev()
                .map(|taken| json!({ "number": taken.order, "refused": taken.refused }))
                .collect(),
            duplicates,
            refused,
            refusal: refusal.map(str::to_owned),
            assets: replica.assets().len(),
            readings: replica.counts().readings,
        }
    }
}
