//! near, in_cell and in_box.

use h3o::{LatLng, Resolution};
use proptest::prelude::*;

use super::{cloud, place};
use crate::grid::{BBox, Grid, cell_of};
use crate::model::Place;

fn grid(places: &[Place]) -> Grid {
    let mut grid = Grid::default();
    for (asset, &place) in (0..).zip(places) {
        grid.put(asset, Some(place));
    }
    grid
}

fn position(place: Place) -> LatLng {
    LatLng::new(place.lat(), place.lon()).unwrap()
}

fn near_by_force(places: &[Place], centre: Place, radius: f64, limit: usize) -> Vec<(u32, f64)> {
    let centre = position(centre);
    let mut found: Vec<_> = (0..)
        .zip(
            places
                .iter()
                .map(|&place| centre.distance_m(position(place))),
        )
        .filter(|&(_, distance)| distance <= radius)
        .collect();
    found.sort_by(|a: &(u32, f64), b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    found.truncate(limit);
    found
}

fn in_box_by_force(places: &[Place], area: &BBox) -> Vec<u32> {
    (0..)
        .zip(places)
        .filter(|(_, place)| area.contains(**place))
        .map(|(asset, _)| asset)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn near_finds_what_measuring_every_asset_finds(
        places in cloud(300),
        exponent in 0.0..7.31f64,
        limit in prop_oneof![Just(0usize), 1usize..40, Just(usize::MAX)],
    ) {
        let (&centre, assets) = places.split_last().unwrap();
        let radius = 10f64.powf(exponent);
        prop_assert_eq!(
            grid(assets).near(centre, radius, limit),
            near_by_force(assets, centre, radius, limit)
        );
    }

    #[test]
    fn a_radius_through_an_asset_includes_it(places in cloud(200), pick in 0usize..200) {
        let (&centre, assets) = places.split_last().unwrap();
        let pick = pick % assets.len();
        let radius = position(centre).distance_m(position(assets[pick]));
        let found = grid(assets).near(centre, radius, usize::MAX);
        prop_assert!(found.contains(&(pick as u32, radius)));
        prop_assert_eq!(found, near_by_force(assets, centre, radius, usize::MAX));
    }

    #[test]
    fn in_box_finds_what_testing_every_asset_finds(
        places in cloud(300),
        (lat_span, lon_span) in (-6.0..2.26f64, -6.0..2.56f64),
    ) {
        let (&corner, assets) = places.split_last().unwrap();
        let north = (corner.lat() + 10f64.powf(lat_span)).min(90.0);
        let east = place(0.0, corner.lon() + 10f64.powf(lon_span)).lon();
        let area = BBox::new(corner.lon(), corner.lat(), east, north).unwrap();
        prop_assert_eq!(grid(assets).in_box(&area), in_box_by_force(assets, &area));
    }

    #[test]
    fn moved_and_removed_assets_are_found_only_where_they_are(
        places in cloud(200),
        puts in proptest::collection::vec((0u32..100, any::<bool>(), 0usize..199), 300),
    ) {
        let (&centre, spots) = places.split_last().unwrap();
        let mut grid = Grid::default();
        let mut model = [None; 100];
        for (asset, stays, spot) in puts {
            let spot = stays.then(|| spots[spot]);
            grid.put(asset, spot);
            model[asset as usize] = spot;
        }
        let placed = model.iter().flatten().count();
        prop_assert_eq!(grid.len(), placed);
        let found = grid.near(centre, f64::INFINITY, usize::MAX);
        prop_assert_eq!(found.len(), placed);
        for (asset, distance) in found {
            let spot = model[asset as usize].unwrap();
            prop_assert_eq!(distance, position(centre).distance_m(position(spot)));
            prop_assert_eq!(grid.cell(asset), cell_of(spot));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn in_cell_finds_the_descendants_and_below_twelve_the_positions(places in cloud(150)) {
        let grid = grid(&places);
        for resolution in Resolution::range(Resolution::Zero, Resolution::Fifteen) {
            let cell_at = |&place: &Place| match resolution <= Resolution::Twelve {
                true => cell_of(place).and_then(|cell| cell.parent(resolution)).unwrap(),
                false => position(place).to_cell(resolution),
            };
            let cells: Vec<_> = places.iter().map(cell_at).collect();
            for &cell in cells.iter().step_by(20) {
                let mut found: Vec<_> = grid.in_cell(cell).collect();
                found.sort_unstable();
                let expected: Vec<_> =
                    (0u32..).zip(&cells).filter(|(_, of)| **of == cell).map(|(at, _)| at).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}

/// The bound that every search prunes by, at its tightest: the corners of all coarse cells.
#[test]
fn near_and_box_reach_assets_at_the_corners_of_cells() {
    let corners: Vec<_> = Resolution::Two
        .pentagons()
        .flat_map(|cell| cell.grid_disk::<Vec<_>>(2))
        .chain(h3o::CellIndex::base_cells().flat_map(|cell| cell.children(Resolution::One)))
        .flat_map(|cell| cell.boundary().iter().copied().collect::<Vec<_>>())
        .map(|corner| place(corner.lat(), corner.lng()))
        .collect();
    let grid = grid(&corners);
    for &corner in corners.iter().step_by(7) {
        assert_eq!(
            grid.near(corner, 1.0, usize::MAX),
            near_by_force(&corners, corner, 1.0, usize::MAX)
        );
        let (lat, lon) = (corner.lat(), corner.lon());
        let area = BBox::new(lon, lat, lon, lat).unwrap();
        assert_eq!(grid.in_box(&area), in_box_by_force(&corners, &area));
    }
}

#[test]
fn a_fine_cell_over_the_border_of_its_ancestor_keeps_its_assets() {
    let places: Vec<_> = (0..5000)
        .map(|i| place(51.05 + f64::from(i) * 1e-6, 13.74))
        .collect();
    let grid = grid(&places);
    let mut over_the_border = 0;
    for (asset, &place) in (0..).zip(&places) {
        let fine = position(place).to_cell(Resolution::Thirteen);
        over_the_border += u32::from(fine.parent(Resolution::Twelve) != cell_of(place));
        assert!(grid.in_cell(fine).any(|found| found == asset));
    }
    assert!(
        over_the_border > 100,
        "only {over_the_border} of 5000 test what is claimed"
    );
}

#[test]
fn the_antimeridian_is_one_line_with_two_names() {
    let fiji = [
        place(-17.0, 180.0),
        place(-17.0, -180.0),
        place(-17.0, 179.9),
        place(-17.0, 0.0),
    ];
    let grid = grid(&fiji);
    let west_of_it = BBox::new(179.0, -18.0, 180.0, -16.0).unwrap();
    let across = BBox::new(179.95, -18.0, -179.0, -16.0).unwrap();
    assert_eq!(grid.in_box(&west_of_it), [0, 1, 2]);
    assert_eq!(grid.in_box(&across), [0, 1]);
    let near: Vec<_> = grid
        .near(fiji[0], 20_000.0, 9)
        .into_iter()
        .map(|(asset, _)| asset)
        .collect();
    assert_eq!(near, [0, 1, 2]);
}

#[test]
fn boxes_that_are_none_are_refused() {
    assert!(BBox::new(0.0, 1.0, 1.0, 0.0).is_none());
    assert!(BBox::new(f64::NAN, 0.0, 1.0, 1.0).is_none());
    assert!(BBox::new(-181.0, 0.0, 1.0, 1.0).is_none());
    assert!(BBox::new(0.0, 0.0, 1.0, 90.5).is_none());
}

#[test]
fn a_radius_that_is_none_finds_none() {
    let here = place(51.05, 13.74);
    let grid = grid(&[here]);
    assert!(grid.near(here, -1.0, 9).is_empty());
    assert!(grid.near(here, f64::NAN, 9).is_empty());
    assert_eq!(grid.near(here, 0.0, 9), [(0, 0.0)]);
}
