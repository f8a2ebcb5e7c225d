//! Carbon dioxide in rooms, by the guide values of the Umweltbundesamt: below 1000 ppm harmless, up to
//! 2000 ppm elevated (air the room), above unacceptable.
//!
//! Judged on windows of 10 min, so that whoever is in the room can still act, and only of assets that
//! are rooms or have the attribute `indoor = "true"`.

use quartier_sdk::prelude::*;

/// What is raised.
#[derive(Debug)]
pub struct Rooms {
    topic: Topic,
    levels: Vec<(Limit, Severity)>,
}

impl Rooms {
    /// Limits from the manifest.
    pub fn new(setup: &Setup) -> Result<Self, SetupError> {
        let elevated = setup.limit("co2_indoor", 1)?.inclusive();
        let unacceptable = setup.limit("co2_indoor", 2)?;
        Ok(Self {
            topic: setup.topic("co2_indoor")?,
            levels: vec![
                (elevated, Severity::Warning),
                (unacceptable, Severity::Major),
            ],
        })
    }

    /// Takes a mean in ppm, `None`: insufficient data.
    pub fn co2(
        &self,
        rooms: &mut BTreeMap<AssetId, Levels>,
        mean: Option<f64>,
        row: &Window<'_>,
        cx: &mut Context<'_>,
    ) {
        if !cx.assets().get(row.asset).is_some_and(is_room) {
            return;
        }
        let levels = rooms.entry(row.asset).or_default();
        let (Some(change), Some(ppm)) = (levels.step(mean, &self.levels), mean) else {
            return;
        };
        let limit = &change.limit;
        let (now, above) = (format!("CO2 {ppm:.0} ppm"), limit.limit);
        if change.raise {
            let text = format!("{now}, from {above} ppm: air the room");
            cx.raise(row.asset, self.topic, limit, change.severity, ppm, text);
        } else {
            let text = format!("{now}, no longer from {above} ppm");
            cx.clear(row.asset, self.topic, limit, ppm, text);
        }
    }
}

fn is_room(asset: &Asset) -> bool {
    asset.kind == "room" || asset.attribute("indoor") == Some("true")
}
