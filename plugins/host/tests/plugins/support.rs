//! Components from source, and batches for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use quartier_plugin_host::{
    Answer, Asset, Batch, Dictionary, Host, Package, Plugin, Runner, Windows,
};

/// The one engine of the tests.
pub(crate) fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::new().unwrap())
}

/// The folder of a component. `plugins/build` makes it, or sees that nothing changed.
pub(crate) fn folder(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let components = BUILT.get_or_init(|| {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let status = Command::new(plugins.join("build"))
            .env("QUARTIER_COMPONENTIZE", env!("CARGO_BIN_EXE_componentize"))
            .status()
            .unwrap();
        assert!(status.success(), "plugins/build failed: {status}");
        plugins.join("target/components")
    });
    components.join(name)
}

/// A package as its makers wrote it: the manifest names no component, so that each can be changed.
pub(crate) fn unbound(name: &str) -> Package {
    let mut package = Package::read(&folder(name)).unwrap();
    let lines = package.manifest.lines();
    let lines = lines.filter(|line| !line.starts_with("component_sha256"));
    package.manifest = lines.fold(String::new(), |text, line| text + line + "\n");
    package
}

/// Compiled once.
pub(crate) fn plugin(name: &str) -> Plugin {
    static LOADED: Mutex<BTreeMap<String, Plugin>> = Mutex::new(BTreeMap::new());
    let mut loaded = LOADED.lock().unwrap();
    let load = || host().load(&folder(name)).unwrap();
    loaded.entry(name.to_owned()).or_insert_with(load).clone()
}

/// Metrics numbered from 100 in the order of the manifest; pollutants in ug/m3.
pub(crate) fn dictionary(plugin: &Plugin) -> Dictionary {
    let mut id = 99;
    plugin.manifest().dictionary(|_| {
        id += 1;
        (id, "ug/m3".to_owned())
    })
}

/// A runner of the plugin `hostile` that knows asset 1 and has seen two readings.
pub(crate) fn hostile(mode: &str) -> Runner {
    let mut runner = runner(&plugin("hostile"), &[("mode", mode)]);
    let first = Batch {
        changed: vec![asset(1)],
        ..readings(&[1.0, 2.0])
    };
    assert_eq!(seen(&runner.run(&first)).len(), 2);
    runner
}

/// The counts that a good answer derives.
pub(crate) fn seen(answer: &Answer) -> Vec<f64> {
    assert_eq!(answer.failure, None);
    answer.output.derived.value.clone()
}

/// The second reading makes the plugin `hostile` do as its mode says.
pub(crate) fn poison() -> Batch {
    readings(&[3.0, -1.0])
}

pub(crate) fn runner(plugin: &Plugin, config: &[(&str, &str)]) -> Runner {
    let config = config
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Runner::new(host(), plugin, dictionary(plugin), config).unwrap()
}

pub(crate) fn asset(id: u32) -> Asset {
    let attributes = vec![("interval_s".to_owned(), "60".to_owned())];
    let (urn, kind) = (format!("box-{id}"), "sensor_box".to_owned());
    Asset {
        id,
        urn,
        kind,
        attributes,
        ..Asset::default()
    }
}

/// Readings of asset 1, metric 100, without values of properties: for the plugin `hostile`.
pub(crate) fn readings(values: &[f64]) -> Batch {
    let n = values.len();
    Batch {
        asset: vec![1; n],
        metric: vec![100; n],
        value: values.to_vec(),
        ts_ms: vec![1_000; n],
        quality: vec![0; n],
        props: vec![f64::NAN; n],
        ..Batch::default()
    }
}

/// One row: asset, metric, end of the hour, mean.
pub(crate) fn windows(rows: &[(u32, u32, u64, f64)]) -> Batch {
    let mut w = Windows::default();
    for &(asset, metric, end_ms, mean) in rows {
        w.asset.push(asset);
        w.metric.push(metric);
        w.span_s.push(3600);
        w.end_ms.push(end_ms);
        for column in [&mut w.mean, &mut w.minimum, &mut w.maximum, &mut w.last] {
            column.push(mean);
        }
        w.coverage.push(1.0);
    }
    Batch {
        windows: w,
        ..Batch::default()
    }
}
