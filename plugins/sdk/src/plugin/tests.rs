//! The glue between a rule and its host: state, causes, order.

use std::collections::BTreeMap;

use super::*;
use crate::hysteresis::{Direction, Limit, Margin};
use crate::ids::{AssetId, CommandId, Metric, Prop, Topic};
use crate::rows::{Reading, Window};
use crate::setup::Dictionary;

const LIMIT: Limit = Limit {
    code: 1,
    limit: 0.0,
    raise_after: 1,
    clear_after: 1,
    clear_margin: Margin::Share(0.0),
    inclusive: false,
    direction: Direction::Above,
};

/// Alerts at every row with a value above 0, asks for a command at every window, and derives every
/// property 9.
struct Echo;

impl Rule for Echo {
    type State = BTreeMap<AssetId, f64>;
    const STATE_VERSION: u8 = 4;

    fn new(_: &Setup) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn reading(&self, state: &mut Self::State, row: &Reading, cx: &mut Context) {
        *state.entry(row.asset).or_default() += row.value;
        if row.value > 0.0 {
            cx.clear(row.asset, Topic(1), &LIMIT, row.value, "");
        }
        if let Some(value) = row.prop(Prop(9)) {
            cx.derive(row.asset, Metric(2), value, row.time_ms);
        }
    }

    fn window(&self, _: &mut Self::State, row: &Window, cx: &mut Context) {
        cx.command(row.asset, CommandId(1), row.mean, row.end_ms, 0);
        if let Some(value) = row.prop(Prop(9)) {
            cx.derive(row.asset, Metric(3), value, row.end_ms);
        }
    }

    fn asset_gone(&self, state: &mut Self::State, asset: AssetId) {
        state.remove(&asset);
    }

    fn asset_changed(&self, state: &mut Self::State, asset: AssetId, assets: &Assets) {
        state.insert(asset, assets.iter().count() as f64);
    }
}

fn echo() -> Plugin<Echo> {
    let setup = Setup::new(Dictionary::default(), Vec::new());
    Plugin::new(&setup, Services::default()).unwrap()
}

const READINGS: ReadingColumns = ReadingColumns {
    asset: &[1, 2, 1],
    metric: &[1; 3],
    value: &[0.0, 5.0, 7.0],
    ts_ms: &[10, 20, 30],
    quality: &[0; 3],
};

const WINDOWS: WindowColumns = WindowColumns {
    asset: &[1, 2],
    metric: &[1; 2],
    span_s: &[3600; 2],
    end_ms: &[40; 2],
    mean: &[1.0; 2],
    minimum: &[1.0; 2],
    maximum: &[1.0; 2],
    last: &[1.0; 2],
    coverage: &[1.0; 2],
};

const NO_TWIN: TwinColumns = TwinColumns {
    props: &[],
    values: &[],
};

#[test]
fn a_cause_is_the_row_readings_first_then_windows() {
    let output = echo().on_batch(&READINGS, &WINDOWS, &NO_TWIN).unwrap();
    let alerts: Vec<_> = output.alerts.iter().map(|a| (a.value, a.cause)).collect();
    assert_eq!(alerts, [(5.0, 1), (7.0, 2)]);
    let commands: Vec<_> = output.commands.iter().map(|c| c.cause).collect();
    assert_eq!(commands, [3, 4]);
}

#[test]
fn a_property_is_that_of_its_row_and_column_and_nan_is_none() {
    let nan = f64::NAN;
    let twin = TwinColumns {
        props: &[8, 9],
        values: &[0.0, 1.0, 0.0, nan, 0.0, 3.0, 0.0, 4.0, 0.0, nan],
    };
    let output = echo().on_batch(&READINGS, &WINDOWS, &twin).unwrap();
    assert_eq!(output.value, [1.0, 3.0, 4.0]);
    assert_eq!(output.ts_ms, [10, 30, 40]);
    assert_eq!(output.metric, [2, 2, 3]);
    let without = echo().on_batch(&READINGS, &WINDOWS, &NO_TWIN).unwrap();
    assert_eq!(without.value, [0.0; 0], "a property that was not sent");
}

#[test]
fn columns_that_do_not_fit_are_refused_before_the_rule_sees_a_row() {
    let mut plugin = echo();
    let short = ReadingColumns {
        quality: &[0; 2],
        ..READINGS
    };
    assert!(plugin.on_batch(&short, &WINDOWS, &NO_TWIN).is_err());
    let short = WindowColumns {
        last: &[],
        ..WINDOWS
    };
    assert!(plugin.on_batch(&READINGS, &short, &NO_TWIN).is_err());
    let twin = TwinColumns {
        props: &[9],
        values: &[0.0; 4],
    };
    assert!(plugin.on_batch(&READINGS, &WINDOWS, &twin).is_err());
    assert_eq!(plugin.state().len(), 0);
}

#[test]
fn all_changed_assets_are_known_before_the_rule_hears_of_the_first() {
    let mut plugin = echo();
    let asset = |id, kind: &str| Asset {
        id: AssetId(id),
        kind: kind.to_owned(),
        ..Asset::default()
    };
    plugin.on_assets(vec![asset(1, "box"), asset(2, "box")]);
    assert_eq!(
        *plugin.state(),
        BTreeMap::from([(AssetId(1), 2.0), (AssetId(2), 2.0)])
    );
    plugin.on_assets(vec![asset(1, "")]);
    assert_eq!(*plugin.state(), BTreeMap::from([(AssetId(2), 2.0)]));
}

#[test]
fn a_state_comes_back_as_the_same_bytes() {
    let mut plugin = echo();
    plugin.on_batch(&READINGS, &WINDOWS, &NO_TWIN).unwrap();
    let saved = plugin.snapshot().unwrap();
    assert_eq!(saved[0], 4, "the version comes first");
    let mut other = echo();
    other.restore(&saved).unwrap();
    assert_eq!(other.state(), plugin.state());
    assert_eq!(other.snapshot().unwrap(), saved);
}

#[test]
fn a_state_that_is_not_whole_or_not_ours_is_refused_and_changes_nothing() {
    let mut plugin = echo();
    plugin.on_batch(&READINGS, &WINDOWS, &NO_TWIN).unwrap();
    let saved = plugin.snapshot().unwrap();
    let mut other_version = saved.clone();
    other_version[0] = 3;
    let longer = [saved.as_slice(), &[0]].concat();
    let torn = saved[..saved.len() - 1].to_vec();
    for (bytes, why) in [
        (other_version, "has version 3, this rule reads version 4"),
        (longer, "has 1 bytes too many"),
        (torn, "is not whole"),
        (Vec::new(), "is empty"),
    ] {
        let Refusal(text) = plugin.restore(&bytes).unwrap_err();
        assert!(text.contains(why), "{text}");
        assert_eq!(plugin.snapshot().unwrap(), saved);
    }
}
