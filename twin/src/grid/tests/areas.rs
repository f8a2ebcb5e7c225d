//! Area topics and the cells of quarters.

use std::path::{Path, PathBuf};

use h3o::{CellIndex, Resolution};
use proptest::prelude::*;

use super::{cloud, place};
use crate::grid::{AreaError, CellSet, CellSetError, area_filter, area_topic_levels, cell_of};

fn cell(text: &str) -> CellIndex {
    text.parse().unwrap()
}

#[test]
fn a_filter_names_the_cell_by_its_digits() {
    let dresden = cell_of(place(51.05, 13.74)).unwrap();
    let levels = area_topic_levels(dresden).unwrap();
    let r6 = dresden.parent(Resolution::Six).unwrap();
    assert_eq!(levels.r6, r6);
    let [d7, d8, d9, d10] = levels.digits;
    assert_eq!(levels.to_string(), format!("{r6}/{d7}/{d8}/{d9}/{d10}"));
    let filter = |resolution| area_filter(dresden.parent(resolution).unwrap());
    assert_eq!(filter(Resolution::Six), Ok(format!("area/v1/{r6}/#")));
    assert_eq!(
        filter(Resolution::Eight),
        Ok(format!("area/v1/{r6}/{d7}/{d8}/#"))
    );
    assert_eq!(
        filter(Resolution::Ten),
        Ok(format!("area/v1/{r6}/{d7}/{d8}/{d9}/{d10}/#"))
    );
    let coarse = dresden.parent(Resolution::Five).unwrap();
    assert_eq!(area_filter(coarse), Err(AreaError { cell: coarse }));
    assert_eq!(area_filter(dresden), Err(AreaError { cell: dresden }));
    assert!(area_topic_levels(coarse).is_none());
}

proptest! {
    #[test]
    fn a_filter_matches_exactly_the_topics_within_its_cell(places in cloud(30)) {
        let cells: Vec<_> = places.iter().map(|&place| cell_of(place).unwrap()).collect();
        for resolution in Resolution::range(Resolution::Six, Resolution::Ten) {
            let area = cells[0].parent(resolution).unwrap();
            let filter = area_filter(area).unwrap();
            let prefix = filter.strip_suffix('#').unwrap();
            for cell in &cells {
                let levels = area_topic_levels(*cell).unwrap();
                let topic = format!("area/v1/{levels}/energy/meter/power");
                prop_assert_eq!(topic.starts_with(prefix), cell.parent(resolution) == Some(area));
            }
        }
    }

    #[test]
    fn a_set_contains_what_descends_from_its_cells(
        places in cloud(40),
        resolutions in proptest::collection::vec(3u8..=12, 10),
    ) {
        let cells: Vec<_> = places.iter().map(|&place| cell_of(place).unwrap()).collect();
        let parent = |(cell, resolution): (&CellIndex, &u8)| {
            cell.parent(Resolution::try_from(*resolution).unwrap()).unwrap()
        };
        let listed: Vec<_> = cells.iter().zip(&resolutions).map(parent).collect();
        let set = CellSet::new(listed.iter().copied());
        for cell in &cells {
            let within = listed.iter().any(|held| cell.parent(held.resolution()) == Some(*held));
            prop_assert_eq!(set.contains(*cell), within);
        }
        for held in set.cells() {
            let others = set.cells().iter().filter(|other| *other != held);
            for other in others {
                prop_assert_ne!(held.parent(other.resolution()), Some(*other));
            }
        }
    }
}

#[test]
fn a_cells_file_may_have_comments_and_empty_lines() {
    let set = CellSet::parse("# Johannstadt\n\n891f1b0960bffff \r\n8a1f1b092d27fff\n").unwrap();
    assert_eq!(
        set.cells(),
        [cell("8a1f1b092d27fff"), cell("891f1b0960bffff")]
    );
    assert!(
        set.contains(
            cell("891f1b0960bffff")
                .center_child(Resolution::Twelve)
                .unwrap()
        )
    );
    assert!(!set.contains(cell("881f1b0961fffff")));
    assert!(CellSet::parse("").unwrap().is_empty());
}

#[test]
fn a_bad_line_is_named() {
    let error = CellSet::parse("891f1b0960bffff\nJohannstadt\n").unwrap_err();
    assert_eq!(
        error,
        CellSetError::NotACell {
            line: 2,
            text: "Johannstadt".into()
        }
    );
    assert!(
        error
            .to_string()
            .starts_with("line 2: \"Johannstadt\" is not an H3 cell")
    );
    let fine = cell("891f1b0960bffff")
        .center_child(Resolution::Thirteen)
        .unwrap();
    let error = CellSet::parse(&format!("\n\n{fine}")).unwrap_err();
    assert_eq!(
        error,
        CellSetError::TooFine {
            line: 3,
            cell: fine
        }
    );
}

#[test]
fn cells_within_others_are_absorbed() {
    let nine = cell("891f1b0960bffff");
    let ten = nine.center_child(Resolution::Ten).unwrap();
    let set = CellSet::new([ten, nine, nine, ten]);
    assert_eq!(set.cells(), [nine]);
    assert!((set.area_km2() - nine.area_km2()).abs() < 1e-12);
}

/// Data beside the repository; `None`, said plainly, where they are not there.
fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/geo")
        .join(name);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
    }
    path.exists().then_some(path)
}

#[test]
fn dresdens_quarters_have_the_cells_and_the_area_of_the_official_polygons() {
    let (Some(cells), Some(counts)) = (data("quarters_h3.json"), data("h3_counts.csv")) else {
        return;
    };
    let file: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(cells).unwrap()).unwrap();
    let mut rows = csv::Reader::from_path(counts).unwrap();
    let mut seen = 0;
    for row in rows.records().map(Result::unwrap) {
        let Some(listed) = file["quarters"][row[0].to_lowercase()].as_array() else {
            continue;
        };
        let lines: Vec<_> = listed.iter().map(|cell| cell.as_str().unwrap()).collect();
        let set = CellSet::parse(&lines.join("\n")).unwrap();
        let km2: f64 = row[2].parse().unwrap();
        assert!(
            (set.area_km2() / km2 - 1.0).abs() < 0.02,
            "{row:?}: {} km2",
            set.area_km2()
        );
        if &row[0] != "Dresden" {
            let tens: u64 = set
                .cells()
                .iter()
                .map(|cell| cell.children_count(Resolution::Ten))
                .sum();
            assert_eq!(tens, row[10].parse::<u64>().unwrap(), "{row:?}");
        }
        let centre = place(row[3].parse().unwrap(), row[4].parse().unwrap());
        assert!(set.contains(cell_of(centre).unwrap()), "{row:?}");
        seen += 1;
    }
    assert!(seen >= 3, "only {seen} quarters are in both files");
}
