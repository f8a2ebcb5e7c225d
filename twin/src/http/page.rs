//! Plain pages without scripts, readable on a phone.

use axum::response::Html;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #8884; vertical-align: top; }
th { font-weight: 600; } code { font-size: .9em; overflow-wrap: anywhere; }
.degraded { color: #b45309; } .down { color: #b91c1c; }
.shadow { opacity: .7; } h2 { margin-top: 2rem; } footer { margin-top: 3rem; font-size: .9em; opacity: .8; }";

/// `refresh`: seconds after which the browser asks again.
pub(super) fn page(title: &str, refresh: Option<u32>, body: Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if let Some(seconds) = refresh {
                    meta http-equiv="refresh" content=(seconds);
                }
                title { (title) " - Quartier" }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    Html(page.into_string())
}
