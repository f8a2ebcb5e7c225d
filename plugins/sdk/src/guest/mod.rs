//! A plugin as a component of `quartier:rule`; wasm32 only. Used through `export!`.

use std::cell::RefCell;
use std::thread::LocalKey;

use crate::assets;
use crate::context::{self, Output};
use crate::ids::AssetId;
use crate::plugin::{Plugin, Refusal};
use crate::rows::{ReadingColumns, TwinColumns, WindowColumns};
use crate::rule::Rule;
use crate::services::Services;
use crate::setup::{self, Setup};
use bindings::exports::quartier::rule::rule as interface;
use bindings::quartier::rule::types::{
    Alert, Asset, Batch, Command, Derived, Dictionary, Entry, RuleError, Severity, TwinView,
    Windows,
};

/// The interface as wit-bindgen writes it.
#[allow(missing_docs, reason = "generated")]
#[allow(unsafe_code, reason = "generated: the canonical ABI is raw memory")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "lab-rule",
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "quartier_sdk::guest::bindings",
    });
}

/// Where an instance keeps its plugin; empty before `init`.
pub type Slot<R> = RefCell<Option<Plugin<R>>>;

/// A component and the rule in it.
pub trait Home {
    /// The rule.
    type Rule: Rule;

    /// The instance's only plugin.
    fn slot() -> &'static LocalKey<Slot<Self::Rule>>;
}

fn with<H: Home, T>(
    f: impl FnOnce(&mut Plugin<H::Rule>) -> Result<T, Refusal>,
) -> Result<T, RuleError> {
    H::slot().with_borrow_mut(|plugin| match plugin {
        Some(plugin) => f(plugin).map_err(|refusal| RuleError::Internal(refusal.0)),
        None => Err(RuleError::Internal("init was not called".to_owned())),
    })
}

impl<H: Home> interface::Guest for H {
    fn init(dict: Dictionary, config: Vec<(String, String)>) -> Result<(), RuleError> {
        let setup = Setup::new(dictionary(dict), config);
        let plugin = Plugin::new(&setup, Services)
            .map_err(|error| RuleError::BadConfig(error.to_string()))?;
        H::slot().set(Some(plugin));
        Ok(())
    }

    fn on_batch(b: Batch, w: Windows, t: TwinView) -> Result<interface::Output, RuleError> {
        let readings = ReadingColumns {
            asset: &b.asset,
            metric: &b.metric,
            value: &b.value,
            ts_ms: &b.ts_ms,
            quality: &b.quality,
        };
        let windows = WindowColumns {
            asset: &w.asset,
            metric: &w.metric,
            span_s: &w.span_s,
            end_ms: &w.end_ms,
            mean: &w.mean,
            minimum: &w.minimum,
            maximum: &w.maximum,
            last: &w.last,
            coverage: &w.coverage,
        };
        let twin = TwinColumns {
            props: &t.props,
            values: &t.values,
        };
        with::<H, _>(|plugin| plugin.on_batch(&readings, &windows, &twin)).map(output)
    }

    fn on_assets(changed: Vec<Asset>) -> Result<(), RuleError> {
        let changed = changed.into_iter().map(asset).collect();
        with::<H, _>(|plugin| {
            plugin.on_assets(changed);
            Ok(())
        })
    }

    fn on_tick(now_ms: u64) -> Result<interface::Output, RuleError> {
        with::<H, _>(|plugin| Ok(plugin.on_tick(now_ms))).map(output)
    }

    /// A state that cannot be saved is a trap: the interface has no error here, and empty bytes
    /// would lose the state.
    fn snapshot() -> Vec<u8> {
        match with::<H, _>(|plugin| plugin.snapshot()) {
            Ok(bytes) => bytes,
            Err(error) => panic!("{error:?}"),
        }
    }

    fn restore(state: Vec<u8>) -> Result<(), RuleError> {
        with::<H, _>(|plugin| plugin.restore(&state))
    }
}

fn dictionary(dict: Dictionary) -> setup::Dictionary {
    let entries = |list: Vec<Entry>| {
        let entry = |e: Entry| setup::Entry {
            id: e.id,
            urn: e.urn,
            unit: e.unit,
        };
        list.into_iter().map(entry).collect()
    };
    setup::Dictionary {
        metrics: entries(dict.metrics),
        props: entries(dict.props),
        topics: entries(dict.topics),
        commands: entries(dict.commands),
    }
}

fn asset(asset: Asset) -> assets::Asset {
    let relations = asset.relations.into_iter();
    assets::Asset {
        id: AssetId(asset.id),
        urn: asset.urn,
        kind: asset.kind,
        cell: asset.cell,
        attributes: asset.attributes,
        relations: relations.map(|r| (r.kind, AssetId(r.target))).collect(),
    }
}

fn output(output: Output) -> interface::Output {
    interface::Output {
        derived: Derived {
            asset: output.asset,
            metric: output.metric,
            value: output.value,
            ts_ms: output.ts_ms,
        },
        alerts: output.alerts.into_iter().map(alert).collect(),
        commands: output.commands.into_iter().map(command).collect(),
    }
}

fn alert(alert: context::Alert) -> Alert {
    Alert {
        asset: alert.asset.0,
        topic: alert.topic.0,
        severity: match alert.severity {
            context::Severity::Info => Severity::Info,
            context::Severity::Warning => Severity::Warning,
            context::Severity::Major => Severity::Major,
            context::Severity::Critical => Severity::Critical,
        },
        code: alert.code,
        raise: alert.raise,
        value: alert.value,
        text: Some(alert.text).filter(|text| !text.is_empty()),
        cause: alert.cause,
    }
}

fn command(command: context::Command) -> Command {
    Command {
        asset: command.asset.0,
        command: command.command.0,
        arg: command.arg,
        expires_ms: command.expires_ms,
        dedup_key: command.dedup_key,
        cause: command.cause,
    }
}
