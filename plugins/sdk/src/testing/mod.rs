//! A bench for rules: the plugin's manifest, a quarter of a few assets, rows by name. What the host
//! would drop or refuse is a panic here that says why.

mod check;
mod manifest;
mod row;
mod said;

use std::collections::BTreeMap;

use crate::assets::Asset;
use crate::context::Level;
use crate::ids::{AssetId, Prop};
use crate::plugin::Plugin;
use crate::rows::TwinColumns;
use crate::rule::Rule;
use crate::services::Services;
use crate::setup::{Dictionary, Setup, SetupError};
use manifest::Manifest;
use row::Columns;

pub use row::Row;
pub use said::{Said, values};

/// Cuts that [`Lab::same_in_all_cuts`] tries, rows a batch.
pub const CUTS: [usize; 3] = [1, 7, 256];

/// A rule on the bench. It starts with the first row, tick or question; what is set comes before.
pub struct Lab<R: Rule> {
    manifest: Manifest,
    units: BTreeMap<String, String>,
    assets: BTreeMap<String, Asset>,
    props: BTreeMap<(String, String), f64>,
    running: Option<Running<R>>,
}

struct Running<R: Rule> {
    plugin: Plugin<R>,
    dict: Dictionary,
}

impl<R: Rule> Lab<R> {
    /// From the text of the plugin's `manifest.toml`. Units come from `twin/metrics.toml` in a
    /// folder above the plugin, where there is one, and from [`unit`](Self::unit).
    ///
    /// # Panics
    /// The manifest is not one.
    #[must_use]
    pub fn new(manifest: &str) -> Self {
        Self {
            manifest: Manifest::parse(manifest),
            units: manifest::vocabulary(),
            assets: BTreeMap::new(),
            props: BTreeMap::new(),
            running: None,
        }
    }

    /// The same with units of metrics beside those of the vocabulary.
    ///
    /// # Panics
    /// The manifest is not one.
    #[must_use]
    pub fn with_units(manifest: &str, units: &[(&str, &str)]) -> Self {
        let mut lab = Self::new(manifest);
        for (metric, unit) in units {
            lab.unit(metric, unit);
        }
        lab
    }

    /// Gives a metric its unit, a UCUM code.
    pub fn unit(&mut self, metric: &str, unit: &str) -> &mut Self {
        self.not_started("unit");
        self.units.insert(metric.to_owned(), unit.to_owned());
        self
    }

    /// Sets a key of `[config]` over the manifest's default.
    ///
    /// # Panics
    /// The manifest has no such key, or the rule has started.
    pub fn set(&mut self, key: &str, value: &str) -> &mut Self {
        self.not_started("set");
        let Some(slot) = self.manifest.config.get_mut(key) else {
            panic!("set({key:?}): the manifest has no such key under [config]");
        };
        value.clone_into(slot);
        self
    }

    /// Adds an asset, or changes kind and attributes of the one of this name.
    ///
    /// # Panics
    /// `reads.kinds` leaves the kind out.
    pub fn asset(&mut self, urn: &str, kind: &str, attributes: &[(&str, &str)]) -> &mut Self {
        let kinds = &self.manifest.kinds;
        assert!(
            kinds.is_empty() || kinds.iter().any(|seen| seen == kind),
            "asset({urn:?}): reads.kinds of the manifest leaves out {kind:?}"
        );
        let next = AssetId(1 + self.assets.len() as u32);
        let asset = self.assets.entry(urn.to_owned()).or_insert_with(|| Asset {
            id: next,
            urn: urn.to_owned(),
            ..Asset::default()
        });
        kind.clone_into(&mut asset.kind);
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        asset.attributes = attributes.iter().map(pair).collect();
        self.changed(urn)
    }

    /// Adds a relation: `relate("feeder", "feeds", "m1")`.
    ///
    /// # Panics
    /// There is no such asset.
    pub fn relate(&mut self, from: &str, kind: &str, to: &str) -> &mut Self {
        let to = self.id(to);
        let relations = &mut self.asset_mut(from).relations;
        relations.push((kind.to_owned(), to));
        self.changed(from)
    }

    /// Puts an asset into an H3 cell.
    ///
    /// # Panics
    /// There is no such asset.
    pub fn place(&mut self, urn: &str, cell: u64) -> &mut Self {
        self.asset_mut(urn).cell = cell;
        self.changed(urn)
    }

    /// Takes an asset away.
    ///
    /// # Panics
    /// There is no such asset.
    pub fn remove(&mut self, urn: &str) -> &mut Self {
        self.asset_mut(urn).kind.clear();
        self.changed(urn)
    }

    /// The newest value of a property of `reads.properties` of an asset; NaN: none. It stays until
    /// it is set anew: readings do not change it.
    ///
    /// # Panics
    /// There is no such asset or property.
    pub fn property(&mut self, urn: &str, name: &str, value: f64) -> &mut Self {
        self.asset_mut(urn);
        assert!(
            self.manifest.properties.iter().any(|prop| prop == name),
            "property({name:?}): the manifest does not name it in reads.properties"
        );
        self.props.insert((urn.to_owned(), name.to_owned()), value);
        if let Some(running) = &mut self.running {
            *running.plugin.services() = services(&running.dict, &self.assets, &self.props);
        }
        self
    }

    /// The number of an asset.
    ///
    /// # Panics
    /// There is no such asset.
    #[must_use]
    pub fn id(&self, urn: &str) -> AssetId {
        let asset = self.assets.get(urn);
        asset
            .unwrap_or_else(|| panic!("there is no asset {urn:?}"))
            .id
    }

    /// Starts the rule, where a test wants to see it refuse its setup.
    ///
    /// # Errors
    /// What the rule says.
    pub fn start(&mut self) -> Result<(), SetupError> {
        if self.running.is_none() {
            self.running = Some(self.started()?);
        }
        Ok(())
    }

    /// What the rule says to a good reading; time in milliseconds since 1970.
    ///
    /// # Panics
    /// The manifest does not read the metric, or does not allow what is said.
    pub fn reading(&mut self, asset: &str, metric: &str, value: f64, time_ms: u64) -> Vec<Said> {
        self.rows(&[Row::reading(asset, metric, value, time_ms)])
    }

    /// What the rule says to a window that is covered whole; see [`Row::window`].
    ///
    /// # Panics
    /// The manifest does not read the window, or does not allow what is said.
    pub fn window(
        &mut self,
        asset: &str,
        metric: &str,
        span_s: u32,
        mean: f64,
        end_ms: u64,
    ) -> Vec<Said> {
        self.rows(&[Row::window(asset, metric, span_s, mean, end_ms)])
    }

    /// What the rule says to one row.
    ///
    /// # Panics
    /// The manifest does not read the row, or does not allow what is said.
    pub fn row(&mut self, row: Row) -> Vec<Said> {
        self.rows(&[row])
    }

    /// What the rule says when time has passed; milliseconds since 1970.
    ///
    /// # Panics
    /// The manifest does not set `reads.tick_s`, or does not allow what is said.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Said> {
        assert!(
            self.manifest.ticks,
            "tick: the manifest does not set reads.tick_s"
        );
        let output = self.run().plugin.on_tick(now_ms);
        self.named(output)
    }

    /// What the rule says to rows in batches of `n`: each batch sorted by time, readings before
    /// windows. Values, alerts and commands apart, each by asset and name, so that runs with
    /// different cuts can be compared.
    ///
    /// # Panics
    /// The manifest does not read a row, or does not allow what is said.
    pub fn in_batches(&mut self, n: usize, rows: &[Row]) -> Vec<Said> {
        let batches = rows.chunks(n.max(1));
        let mut said: Vec<Said> = batches.flat_map(|rows| self.rows(rows)).collect();
        said.sort_by(|a, b| a.place().cmp(&b.place()));
        said
    }

    /// Runs the rows on copies of the bench as it is now: in batches of [`CUTS`], and one by one
    /// with a restart before each. All must say the same and end in the same state; what they say.
    ///
    /// # Panics
    /// They do not.
    pub fn same_in_all_cuts(&mut self, rows: &[Row]) -> Vec<Said> {
        let mut one_by_one = self.copy();
        let mut expected = Vec::new();
        for row in rows {
            one_by_one.survives_restart();
            expected.extend(one_by_one.rows(std::slice::from_ref(row)));
        }
        expected.sort_by(|a, b| a.place().cmp(&b.place()));
        for n in CUTS {
            let mut lab = self.copy();
            let said = lab.in_batches(n, rows);
            assert_eq!(said, expected, "what is said in batches of {n}");
            let (state, same) = (lab.snapshot(), one_by_one.snapshot());
            assert_eq!(state, same, "the state after batches of {n}");
        }
        expected
    }

    /// Saves the state, starts a new instance, restores the state and goes on with it.
    ///
    /// # Panics
    /// The state is not taken back, or comes back as other bytes.
    pub fn survives_restart(&mut self) -> &mut Self {
        let saved = self.snapshot();
        *self = self.copy();
        let again = self.snapshot();
        assert_eq!(again, saved, "the state is not the same after a restart");
        self
    }

    /// The state as bytes.
    ///
    /// # Panics
    /// The state cannot be saved.
    pub fn snapshot(&mut self) -> Vec<u8> {
        let saved = self.run().plugin.snapshot();
        saved.unwrap_or_else(|refusal| panic!("{}", refusal.0))
    }

    /// What the rule remembers.
    ///
    /// # Panics
    /// The rule does not start.
    pub fn state(&mut self) -> &R::State {
        self.run().plugin.state()
    }

    /// The lines that the rule logged.
    ///
    /// # Panics
    /// The rule does not start.
    pub fn logged(&mut self) -> &[(Level, String)] {
        &self.run().plugin.services().lines
    }

    /// A bench of the same setup, assets and state.
    ///
    /// # Panics
    /// The rule does not start or does not take its state back.
    #[must_use]
    pub fn copy(&mut self) -> Self {
        let saved = self.snapshot();
        let mut copy = Self {
            manifest: self.manifest.clone(),
            units: self.units.clone(),
            assets: self.assets.clone(),
            props: self.props.clone(),
            running: None,
        };
        let restored = copy.run().plugin.restore(&saved);
        restored.unwrap_or_else(|refusal| panic!("{}", refusal.0));
        copy
    }

    /// What the rule says to rows in one batch.
    fn rows(&mut self, rows: &[Row]) -> Vec<Said> {
        let mut rows: Vec<&Row> = rows.iter().collect();
        rows.sort_by_key(|row| (row.is_window(), row.time_ms));
        self.run();
        let mut columns = Columns::default();
        let mut values = Vec::new();
        for row in rows {
            let (asset, metric) = self.numbers(row);
            columns.push(asset.0, metric, row);
            for name in &self.manifest.properties {
                let key = (row.asset.clone(), name.clone());
                values.push(self.props.get(&key).copied().unwrap_or(f64::NAN));
            }
        }
        let running = self.run();
        let props: Vec<u32> = running.dict.props.iter().map(|prop| prop.id).collect();
        let twin = TwinColumns {
            props: &props,
            values: &values,
        };
        let output = running
            .plugin
            .on_batch(&columns.readings(), &columns.windows(), &twin);
        let output = output.unwrap_or_else(|refusal| panic!("{}", refusal.0));
        self.named(output)
    }

    fn not_started(&self, what: &str) {
        assert!(
            self.running.is_none(),
            "{what}: the rule has started; say it before the first row"
        );
    }

    fn asset_mut(&mut self, urn: &str) -> &mut Asset {
        let asset = self.assets.get_mut(urn);
        asset.unwrap_or_else(|| panic!("there is no asset {urn:?}"))
    }

    /// Tells a rule that runs; one that starts later hears of all.
    fn changed(&mut self, urn: &str) -> &mut Self {
        let asset = self.asset_mut(urn).clone();
        if let Some(running) = &mut self.running {
            running.plugin.on_assets(vec![asset]);
        }
        self
    }

    fn run(&mut self) -> &mut Running<R> {
        if self.running.is_none() {
            let started = self.started();
            self.running = Some(started.unwrap_or_else(|error| panic!("{error}")));
        }
        match &mut self.running {
            Some(running) => running,
            None => unreachable!("it was started above"),
        }
    }

    fn started(&self) -> Result<Running<R>, SetupError> {
        let dict = self.manifest.dictionary(&self.units);
        let setup = Setup::new(dict.clone(), self.manifest.configuration());
        let mut plugin = Plugin::new(&setup, services(&dict, &self.assets, &self.props))?;
        let there = self.assets.values().filter(|asset| !asset.kind.is_empty());
        let mut assets: Vec<Asset> = there.cloned().collect();
        assets.sort_by_key(|asset| asset.id);
        plugin.on_assets(assets);
        Ok(Running { plugin, dict })
    }
}

fn services(
    dict: &Dictionary,
    assets: &BTreeMap<String, Asset>,
    props: &BTreeMap<(String, String), f64>,
) -> Services {
    let mut services = Services::default();
    for ((urn, name), value) in props {
        let prop = dict.props.iter().find(|prop| prop.urn == *name);
        if let (Some(asset), Some(prop)) = (assets.get(urn), prop) {
            services.props.insert((asset.id, Prop(prop.id)), *value);
        }
    }
    services
}
