//! Commands to city trees: the fan runs fast while the particles at the tree are past a level, slowly
//! else.
//!
//! A tree is told by its own sensor and by those it is `measured_by`; one of them past the level is
//! enough. A command goes out when the answer changes, never twice for the same hour. A fast fan that
//! no sensor speaks for any more is slowed down by the clock.

use quartier_sdk::prelude::*;

use crate::clock::HOUR;
use crate::tables::Pollutant;

/// Asset kind of a city tree, a moss wall with a fan.
const KIND: &str = "city_tree";
/// Relation from a tree to the sensor that measures its air.
const MEASURED_BY: &str = "measured_by";

/// State of one tree.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tree {
    /// By sensor and pollutant.
    alarms: BTreeMap<(AssetId, u8), Alarm>,
    /// Whether the fan was told to run fast.
    fast: bool,
    /// End of the latest hour that a sensor spoke for, with enough data.
    heard_ms: u64,
}

/// What is commanded, and when.
#[derive(Debug)]
pub struct Trees {
    command: CommandId,
    fast: f64,
    slow: f64,
    pm2_5: Limit,
    pm10: Limit,
    /// Milliseconds after which a silent sensor does not keep the fan fast.
    silence_ms: u64,
}

impl Trees {
    /// Levels and speeds from the manifest.
    pub fn new(setup: &Setup) -> Result<Self, SetupError> {
        let limit = |key| -> Result<Limit, SetupError> {
            Ok(Limit {
                code: 0,
                limit: setup.number(key, 0.0..=1000.0)?,
                raise_after: setup.integer("fan_raise_after", 1..=24)? as u32,
                clear_after: setup.integer("fan_clear_after", 1..=24)? as u32,
                clear_margin: Margin::Share(setup.number("fan_clear_margin", 0.0..=1.0)?),
                inclusive: false,
                direction: Direction::Above,
            })
        };
        Ok(Self {
            command: setup.command("set_fan")?,
            fast: setup.number("fan_fast", 0.0..=100.0)?,
            slow: setup.number("fan_slow", 0.0..=100.0)?,
            pm2_5: limit("fan_pm2_5")?,
            pm10: limit("fan_pm10")?,
            silence_ms: setup.integer("fan_silence_h", 1..=48)? * HOUR,
        })
    }

    /// Takes the mean of an hour of a sensor, `None`: insufficient data.
    pub fn hour(
        &self,
        trees: &mut BTreeMap<AssetId, Tree>,
        pollutant: Pollutant,
        mean: Option<f64>,
        row: &Window<'_>,
        cx: &mut Context<'_>,
    ) {
        let limit = match pollutant {
            Pollutant::Pm2_5 => &self.pm2_5,
            Pollutant::Pm10 => &self.pm10,
            _ => return,
        };
        let assets = cx.assets();
        let related = assets.relating(row.asset, MEASURED_BY);
        let is_tree = |id: &AssetId| assets.get(*id).is_some_and(|asset| asset.kind == KIND);
        let served: BTreeSet<_> = related.chain([row.asset]).filter(is_tree).collect();
        for id in served {
            let tree = trees.entry(id).or_default();
            let alarm = tree.alarms.entry((row.asset, pollutant as u8)).or_default();
            alarm.step(mean, limit);
            if mean.is_some() {
                tree.heard_ms = tree.heard_ms.max(row.end_ms);
            }
            let fast = tree.alarms.values().any(Alarm::is_active);
            self.tell(id, tree, fast, row.end_ms, cx);
        }
    }

    /// Slows down the fans that no sensor speaks for any more.
    pub fn tick(&self, trees: &mut BTreeMap<AssetId, Tree>, now_ms: u64, cx: &mut Context<'_>) {
        for (id, tree) in trees {
            if now_ms > tree.heard_ms + self.silence_ms {
                tree.alarms.clear();
                self.tell(*id, tree, false, now_ms, cx);
            }
        }
    }

    fn tell(&self, id: AssetId, tree: &mut Tree, fast: bool, at_ms: u64, cx: &mut Context<'_>) {
        if fast == tree.fast {
            return;
        }
        tree.fast = fast;
        let speed = if fast { self.fast } else { self.slow };
        let key = (at_ms / 1000) << 1 | u64::from(fast);
        cx.command(id, self.command, speed, at_ms + self.silence_ms, key);
    }
}

/// Forgets a tree, and what trees heard from a sensor.
pub fn gone(trees: &mut BTreeMap<AssetId, Tree>, id: AssetId) {
    trees.remove(&id);
    for tree in trees.values_mut() {
        tree.alarms.retain(|(sensor, _), _| *sensor != id);
    }
}

/// Forgets what a tree heard from sensors that measure its air no more.
pub fn changed(trees: &mut BTreeMap<AssetId, Tree>, id: AssetId, assets: &Assets) {
    let Some(tree) = trees.get_mut(&id) else {
        return;
    };
    let sensors: BTreeSet<_> = assets.related(id, MEASURED_BY).chain([id]).collect();
    tree.alarms
        .retain(|(sensor, _), _| sensors.contains(sensor));
}
