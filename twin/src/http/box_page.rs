//! `/` of a box: how it is, for whoever stands in front of it.

use axum::extract::State;
use axum::response::Html;
use maud::{Markup, html};

use super::Api;
use super::page::page;
use crate::state::Twin;
use crate::status::{Part, State as PartState};

/// Seconds between two looks.
const REFRESH: u32 = 5;

/// The page.
pub(super) async fn index(State(api): State<Api>) -> Html<String> {
    let status = &api.status;
    // Before the lock: it takes it as well.
    let all = status.parts();
    let twin = status.twin.read();
    let names = twin.quarters().iter();
    let names: Vec<_> = names.map(|quarter| quarter.record.name.as_str()).collect();
    let counts = twin.counts();
    let body = html! {
        h1 { (status.node) }
        p { "The box of " (names.join(", ")) ". " (twin.assets().len()) " assets, "
            (counts.readings) " readings, last entry at " (twin.now()) "." }
        (parts(&all))
        (alerts(&twin))
        (plugins(&twin))
        (commands(&twin))
        footer { "Health at " a href="/readyz" { "/readyz" } ", figures at "
            a href="/metrics" { "/metrics" } ". Made " (status.clock.now()) "." }
    };
    page(&status.node, Some(REFRESH), body)
}

fn parts(parts: &[Part]) -> Markup {
    html! {
        table {
            tr { th { "part" } th { "state" } th { "" } }
            @for part in parts {
                @let (state, class) = match part.state {
                    PartState::Ok => ("ok", ""),
                    PartState::Degraded => ("look", "degraded"),
                    PartState::Down => ("down", "down"),
                };
                tr class=(class) { td { (part.name) } td { (state) } td { (part.detail) } }
            }
        }
    }
}

fn alerts(twin: &Twin) -> Markup {
    html! {
        h2 { "Alerts" }
        @if twin.alerts().is_empty() { p { "None." } } @else {
            table {
                tr { th { "rule" } th { "asset" } th { "since" } th { "" } }
                @for (key, alert) in twin.alerts() {
                    tr { td { (key.rule) } td { (key.asset) } td { (alert.since) } td { (alert.text) } }
                }
            }
        }
    }
}

fn plugins(twin: &Twin) -> Markup {
    html! {
        h2 { "Rules" }
        @if twin.deployments().next().is_none() { p { "None." } } @else {
            table {
                tr { th { "plugin" } th { "version" } th { "stage" } }
                @for record in twin.deployments().map(|deployment| &deployment.record) {
                    tr { td { (record.plugin) } td { (record.version) } td { (record.stage.as_str()) } }
                }
            }
        }
    }
}

/// What devices are told to do; values of households are nobody's business here.
fn commands(twin: &Twin) -> Markup {
    let open: Vec<_> = twin.commands().open().collect();
    html! {
        h2 { "Commands" }
        @if open.is_empty() { p { "None is open." } } @else {
            table {
                tr { th { "asset" } th { "property" } th { "state" } th { "until" } }
                @for command in open {
                    tr { td { (command.asset) } td { (command.property) }
                        td { (command.state.as_str()) } td { (command.expires) } }
                }
            }
        }
    }
}
