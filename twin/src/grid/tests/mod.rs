//! The grid against brute force.

mod aggregates;
mod areas;
mod places;

use h3o::{LatLng, Resolution};
use proptest::prelude::*;

use crate::model::Place;

/// A place near the given coordinates, wrapped over the antimeridian and stopped at the poles.
fn place(lat: f64, lon: f64) -> Place {
    let lon = if lon.abs() > 180.0 {
        (lon + 180.0).rem_euclid(360.0) - 180.0
    } else {
        lon
    };
    Place::new(lat.clamp(-90.0, 90.0), lon).expect("finite and in range")
}

/// Where a city stands in these tests: Dresden, anywhere, and where grids break.
fn origins() -> impl Strategy<Value = (f64, f64)> {
    let pentagons: Vec<_> = [Resolution::Zero, Resolution::Six, Resolution::Nine]
        .into_iter()
        .flat_map(Resolution::pentagons)
        .map(LatLng::from)
        .map(|centre| (centre.lat(), centre.lng()))
        .collect();
    prop_oneof![
        Just((51.05, 13.74)),
        (-1.0..1.0f64, -180.0..180.0f64).prop_map(|(z, lon)| (z.asin().to_degrees(), lon)),
        proptest::sample::select(pentagons),
        (-89.0..89.0f64).prop_map(|lat| (lat, 180.0)),
        Just((90.0, 0.0)),
        Just((-90.0, 77.0)),
    ]
}

/// Assets around an origin, from centimetres to all over the Earth apart; the last is a centre
/// to ask from.
fn cloud(assets: usize) -> impl Strategy<Value = Vec<Place>> {
    let offset = (-1.0..1.0f64, -1.0..1.0f64, 0.0..1.0f64);
    let scale = -6.0..2.3f64;
    (
        origins(),
        scale,
        proptest::collection::vec(offset, assets..assets * 2),
    )
        .prop_map(|((lat, lon), scale, offsets)| {
            let at = |(north, east, zoom): (f64, f64, f64)| {
                let degrees = 10f64.powf(scale - 2.0 * zoom);
                let stretch = lat.to_radians().cos().max(0.01);
                place(lat + north * degrees, lon + east * degrees / stretch)
            };
            offsets.into_iter().map(at).collect()
        })
}
