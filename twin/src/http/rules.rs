//! `/rules`: what is automated and by which criteria, for everybody (Smart City Charter: the
//! criteria of automated decisions are disclosed). Plain pages without scripts.

use axum::extract::{Path, State};
use axum::response::Html;
use maud::{Markup, html};
use quartier_plugin_host::{Manifest, Plugin};

use super::Api;
use super::page::page;
use super::problem::Problem;
use crate::state::{Deployment, Twin};
use crate::vocabulary::Vocabulary;

/// A plugin with where it runs.
struct Shown {
    plugin: Plugin,
    places: Vec<Place>,
}

struct Place {
    quarter: String,
    version: String,
    stage: &'static str,
    config: Vec<(String, String)>,
}

/// All rules.
#[utoipa::path(get, path = "/rules", responses((status = 200, content_type = "text/html")))]
pub(super) async fn index(State(api): State<Api>) -> Html<String> {
    let rules = shown(&api, None);
    let body = html! {
        h1 { "What is decided automatically" }
        p { "Each rule belongs to a quarter's lab. It gets the readings named on its page, decides by \
             the criteria named there, and every decision can be looked up and computed again." }
        table {
            tr { th { "rule" } th { "lab" } th { "what it does" } th { "where" } }
            @for rule in &rules {
                @let manifest = rule.plugin.manifest();
                tr {
                    td { a href=(format!("/rules/{}", manifest.id)) { (manifest.id) } }
                    td { (manifest.lab) }
                    td { (manifest.description) }
                    td { (places(&rule.places)) }
                }
            }
        }
        @if rules.is_empty() { p { "No rule runs on this node." } }
    };
    page("Rules", None, body)
}

/// One rule: what it gets, its criteria and their sources, what it may command.
#[utoipa::path(get, path = "/rules/{plugin}",
    params(("plugin" = String, Path, description = "Id of the plugin")),
    responses(
        (status = 200, content_type = "text/html"),
        (status = 404, body = Problem),
    ))]
pub(super) async fn one(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Html<String>, Problem> {
    let rules = shown(&api, Some(&id));
    if rules.is_empty() {
        return Err(Problem::not_found(format!(
            "no rule {id:?} runs here; /rules lists them"
        )));
    }
    let body = html! {
        p { a href="/rules" { "All rules" } }
        @for rule in &rules { (rule_page(rule)) }
    };
    Ok(page(&format!("Rule {id}"), None, body))
}

/// Every program that runs, one entry each, with its places.
fn shown(api: &Api, id: Option<&str>) -> Vec<Shown> {
    let deployments: Vec<Deployment> = {
        let twin = api.status.twin.read();
        let wanted = |d: &&Deployment| id.is_none_or(|id| id == d.record.plugin);
        let all = twin.homes().flat_map(Twin::deployments);
        all.filter(wanted).cloned().collect()
    };
    let mut found: Vec<Shown> = Vec::new();
    for deployment in deployments {
        let record = deployment.record;
        let Ok(plugin) = api.deployer.artifacts().get(&record) else {
            continue;
        };
        let place = Place {
            quarter: record.quarter,
            version: record.version,
            stage: record.stage.as_str(),
            config: record.config,
        };
        let same = |shown: &&mut Shown| {
            let known = (shown.plugin.digest(), shown.plugin.manifest_digest());
            known == (plugin.digest(), plugin.manifest_digest())
        };
        match found.iter_mut().find(same) {
            Some(shown) => shown.places.push(place),
            None => found.push(Shown {
                plugin,
                places: vec![place],
            }),
        }
    }
    found.sort_by(|a, b| a.plugin.manifest().id.cmp(&b.plugin.manifest().id));
    found
}

fn places(places: &[Place]) -> Markup {
    html! {
        @for place in places {
            div class=[(place.stage == "shadow").then_some("shadow")] {
                (place.quarter) ": " (place.version)
                @if place.stage == "shadow" { " (on trial, decides nothing)" }
                @else { " (stage " (place.stage) ")" }
            }
        }
    }
}

fn rule_page(rule: &Shown) -> Markup {
    let manifest = rule.plugin.manifest();
    html! {
        h1 { (manifest.id) " " (manifest.version) }
        p { (manifest.description) }
        p { "Lab: " (manifest.lab) }
        (places(&rule.places))
        (reads(manifest))
        (criteria(manifest))
        (commands(manifest))
        (parameters(manifest, &rule.places))
        (vectors(manifest))
        h2 { "Sources" }
        ul { @for source in &manifest.sources { li { a href=(source.url) { (source.title) } } } }
        h2 { "What it decided" }
        p {
            a href=(format!("/api/v1/decisions?plugin={}", manifest.id)) { "The newest decisions" }
            ", each with its causes at /api/v1/decisions/{id}."
        }
        footer {
            "Program " code { (rule.plugin.digest()) } br;
            "Manifest " code { (rule.plugin.manifest_digest()) }
        }
    }
}

fn reads(manifest: &Manifest) -> Markup {
    let described = |metric: &str| {
        let known = Vocabulary::builtin().get(metric);
        known.map_or_else(String::new, |known| known.description.clone())
    };
    let reads = &manifest.reads;
    html! {
        h2 { "What it gets" }
        table {
            tr { th { "metric" } th { "as" } th { "what it is" } }
            @for metric in &reads.metrics {
                tr { td { (metric) } td { "readings" } td { (described(metric)) } }
            }
            @for window in &reads.windows {
                tr {
                    td { (window.metric) } td { "means of " (span(window.span_s)) }
                    td { (described(&window.metric)) }
                }
            }
            @for property in &reads.properties {
                tr { td { (property) } td { "newest value" } td { (described(property)) } }
            }
        }
        @if !reads.kinds.is_empty() { p { "Of assets of the kinds " (reads.kinds.join(", ")) "." } }
        @if !manifest.emits.derived.is_empty() {
            p { "It derives " (manifest.emits.derived.join(", ")) "." }
        }
    }
}

fn span(seconds: u32) -> String {
    match seconds {
        s if s.is_multiple_of(3600) => format!("{} h", s / 3600),
        s => format!("{} min", s / 60),
    }
}

fn criteria(manifest: &Manifest) -> Markup {
    html! {
        @if !manifest.emits.alerts.is_empty() {
            h2 { "Criteria of its alerts" }
            table {
                tr { th { "alert" } th { "code" } th { "limit" } th { "source" } }
                @for alert in &manifest.emits.alerts {
                    @for limit in &alert.codes {
                        tr {
                            td { (alert.topic) }
                            td { (limit.code) }
                            td { (limit.limit) " " @if limit.unit != "1" { (limit.unit) } }
                            td { (limit.source) }
                        }
                    }
                }
            }
        }
    }
}

fn commands(manifest: &Manifest) -> Markup {
    html! {
        h2 { "What it may command" }
        @if manifest.commands.is_empty() { p { "Nothing." } }
        @else {
            table {
                tr { th { "command" } th { "sets" } th { "from" } th { "to" } th { "an hour" } th { "who decides" } }
                @for command in &manifest.commands {
                    tr {
                        td { (command.name) @if !command.description.is_empty() { br; (command.description) } }
                        td { (command.property) " of " (command.kind) }
                        td { (command.min) } td { (command.max) } td { (command.rate_per_hour) }
                        td {
                            @if command.requires_approval { "a person approves each" }
                            @else { "the rule" }
                            @for interlock in &command.interlocks {
                                br; "not while " (interlock.metric)
                                @if let Some(above) = interlock.above { " is above " (above) }
                                @if let Some(below) = interlock.below { " is below " (below) }
                                ": " (interlock.reason)
                            }
                        }
                    }
                }
            }
        }
    }
}

fn parameters(manifest: &Manifest, places: &[Place]) -> Markup {
    let set = |key: &str| -> Vec<String> {
        let values = places.iter().filter_map(|place| {
            let (_, value) = place.config.iter().find(|(set, _)| set == key)?;
            Some(format!("{}: {value}", place.quarter))
        });
        values.collect()
    };
    html! {
        @if !manifest.config.is_empty() {
            h2 { "Parameters" }
            table {
                tr { th { "key" } th { "value" } th { "what it is" } th { "source" } }
                @for (key, value) in &manifest.config {
                    @let meaning = manifest.parameters.get(key);
                    tr {
                        td { code { (key) } }
                        td {
                            (value) @if let Some(meaning) = meaning { " " (meaning.unit) }
                            @for other in set(key) { br; (other) }
                        }
                        td { @if let Some(meaning) = meaning { (meaning.title) } }
                        td { @if let Some(meaning) = meaning { (meaning.source) } }
                    }
                }
            }
        }
    }
}

fn vectors(manifest: &Manifest) -> Markup {
    html! {
        @if !manifest.vectors.is_empty() {
            h2 { "Examples it is tested with" }
            table {
                tr { th { "" } th { "given" } th { "then" } }
                @for vector in &manifest.vectors {
                    tr { td { (vector.title) } td { (vector.given) } td { (vector.then) } }
                }
            }
        }
    }
}
