//! What the SDK costs a reading, natively: `cargo run --release --example cost`.
//!
//! A rule with an alert for each of 1000 assets, batches of 256. Prints nanoseconds a reading.

use std::hint::black_box;
use std::time::Instant;

use quartier_sdk::prelude::*;
use quartier_sdk::{
    Dictionary, Entry, Plugin, ReadingColumns, Services, TwinColumns, WindowColumns,
};

struct Warm {
    temperature: Metric,
    topic: Topic,
    limit: Limit,
}

impl Rule for Warm {
    type State = BTreeMap<AssetId, Alarm>;
    const STATE_VERSION: u8 = 1;

    fn new(setup: &Setup) -> Result<Self, SetupError> {
        Ok(Self {
            temperature: setup.metric("temperature", "Cel")?,
            topic: setup.topic("warm")?,
            limit: setup.limit("warm", 1)?,
        })
    }

    fn reading(&self, state: &mut Self::State, row: &Reading, cx: &mut Context) {
        if row.metric != self.temperature {
            return;
        }
        let (at, topic, limit) = (row.asset, self.topic, &self.limit);
        let alarm = state.entry(at).or_default();
        match alarm.step(Some(row.value), limit) {
            Some(Change::Raise) => {
                cx.raise(at, topic, limit, Severity::Warning, row.value, "warm");
            }
            Some(Change::Clear) => cx.clear(at, topic, limit, row.value, "no longer warm"),
            None => {}
        }
    }
}

const ROWS: usize = 256;
const BATCHES: usize = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let entry = |urn: &str, unit: &str| Entry {
        id: 1,
        urn: urn.to_owned(),
        unit: unit.to_owned(),
    };
    let dict = Dictionary {
        metrics: vec![entry("temperature", "Cel")],
        topics: vec![entry("warm", "")],
        ..Dictionary::default()
    };
    let config = vec![("limit.warm.1".to_owned(), "30".to_owned())];
    let mut plugin = Plugin::<Warm>::new(&Setup::new(dict, config), Services::default())?;
    let value: Vec<f64> = (0..ROWS).map(|i| 20.0 + (i % 13) as f64).collect();
    let mut said = 0;
    let started = Instant::now();
    for batch in 0..BATCHES {
        let asset: Vec<u32> = (0..ROWS)
            .map(|i| ((batch * 26 + i) % 1000) as u32)
            .collect();
        let readings = ReadingColumns {
            asset: &asset,
            metric: &[1; ROWS],
            value: &value,
            ts_ms: &[0; ROWS],
            quality: &[0; ROWS],
        };
        let (windows, twin) = (WindowColumns::default(), TwinColumns::default());
        let output = plugin.on_batch(black_box(&readings), &windows, &twin);
        said += output.map_err(|refusal| refusal.0)?.alerts.len();
    }
    let ns = started.elapsed().as_nanos() as f64 / (ROWS * BATCHES) as f64;
    println!("{ns:.1} ns a reading, {said} alerts");
    Ok(())
}
