//! `quartier area`: the MQTT filter of the area around a place.

use anyhow::anyhow;
use clap::Args;
use h3o::Resolution;

use super::{Failure, Outcome};
use crate::grid::{area_filter, cell_of};
use crate::model::Place;

/// Print the filter of an area.
#[derive(Debug, Args)]
pub(super) struct AreaArgs {
    /// Latitude and longitude, degrees.
    #[arg(value_name = "LAT,LON", value_parser = place, allow_hyphen_values = true)]
    place: Place,
    /// H3 resolution, 6 (about 36 km2) to 10 (about 0.015 km2).
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u8).range(6..=10))]
    res: u8,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A place as an argument: `51.05,13.77`.
pub(super) fn place(text: &str) -> Result<Place, String> {
    let (lat, lon) = text
        .split_once(',')
        .ok_or("expected LAT,LON such as 51.05456,13.76997")?;
    let degrees = |text: &str| {
        text.trim()
            .parse::<f64>()
            .map_err(|_| format!("{text:?} is not a number"))
    };
    let (lat, lon) = (degrees(lat)?, degrees(lon)?);
    Place::new(lat, lon)
        .ok_or_else(|| format!("{lat}, {lon} is no place: latitude comes first, degrees"))
}

pub(super) fn run(args: &AreaArgs) -> Outcome {
    let resolution = Resolution::try_from(args.res).map_err(Failure::usage)?;
    // The cell of the hierarchy, as the topics are made, not the one nearest to the place.
    let cell = cell_of(args.place).and_then(|cell| cell.parent(resolution));
    let cell = cell.ok_or_else(|| Failure::usage(anyhow!("the place is in no cell")))?;
    let filter = area_filter(cell).map_err(Failure::usage)?;
    if args.json {
        let cell = cell.to_string();
        println!(
            "{}",
            serde_json::json!({ "filter": filter, "cell": cell, "resolution": args.res })
        );
    } else {
        println!("{filter}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_place_is_latitude_then_longitude() {
        let read = place("51.05456, -13.76997").unwrap();
        assert_eq!((read.lat(), read.lon()), (51.05456, -13.76997));
        assert!(place("13.7").is_err() && place("a,b").is_err());
        assert!(
            place("100,10")
                .unwrap_err()
                .contains("latitude comes first")
        );
    }
}
