//! Mappings and times as recorded files have them.

use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::mapping::{Format, MappingFile};
use super::plan::{Plan, Publish, columns_of};
use super::report::Report;
use super::source::{Next, Source};
use crate::vocabulary::Vocabulary;

const STATION: &str = r#"quarter = "q"
asset = "{asset}"
[time]
columns = ["Datum", "Zeit"]
format = "%Y-%m-%d %H:%M"
timezone = "+01:00"
[[skip]]
column = "Zeit"
equals = ""
reason = "daily mean"
[[metric]]
column = "NO"
metric = "no"
unit = "ug/m3"
missing = ["-999"]
[[metric]]
column = "CO"
metric = "co"
unit = "ug/m3"
scale = 0.5
"#;

fn replayed(
    mapping: &str,
    file: (&str, &str),
    set: &[(&str, &str)],
) -> Result<(Vec<Publish>, Report), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file.0);
    std::fs::write(&path, file.1).unwrap();
    std::fs::write(
        folder.path().join("lots.csv"),
        "id,capacity,lat,lon\na,7,51.0,13.7\nb,,,\n",
    )
    .unwrap();
    let set: Vec<_> = set
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let run = || -> anyhow::Result<_> {
        let mapping = MappingFile::parse(Path::new("map.toml"), mapping.to_owned())?;
        let named = columns_of(&mapping.mapping, &set);
        let delimiter = mapping
            .mapping
            .delimiter
            .as_ref()
            .map_or(b',', |d| *d.get_ref() as u8);
        let (mut source, _) = Source::open(&path, mapping.mapping.format, delimiter, named)?;
        let mut plan = Plan::new(&mapping, &path, source.columns(), &set, None)?;
        let (mut row, mut report, mut publishes) =
            (StringRecord::new(), Report::default(), Vec::new());
        loop {
            match source.next(&mut row)? {
                Next::End => return Ok((publishes, report)),
                Next::Bad(reason) => report.reject(source.line(), reason, ""),
                Next::Row => publishes.extend(plan.publish(source.line(), &row, &mut report)),
            }
        }
    };
    run().map_err(|error| format!("{error:#}"))
}

fn station(rows: &str) -> (Vec<Publish>, Report) {
    let text = format!("Datum,Zeit,NO,CO\n{rows}");
    replayed(STATION, ("a.csv", &text), &[("asset", "nord")]).unwrap()
}

#[test]
fn a_row_becomes_one_publish_with_its_time() {
    let (publishes, report) = station("2018-01-01,01:00,9,400\n2018-12-31,24:00,1.50,\n");
    let payloads: Vec<_> = publishes
        .iter()
        .map(|publish| publish.payload.as_str())
        .collect();
    assert_eq!(
        payloads,
        [
            r#"{"t":"2018-01-01T00:00:00Z","no":9,"co":{"v":200,"u":"ug/m3"}}"#,
            r#"{"t":"2018-12-31T23:00:00Z","no":1.50}"#,
        ]
    );
    assert_eq!(publishes.first().unwrap().topic, "dt/q/nord");
    assert_eq!((report.messages, report.readings), (2, 3));
}

#[test]
fn what_is_not_published_is_counted_by_reason_and_line() {
    let (publishes, report) = station(
        "2018-01-01,,20,\n2018-01-01,01:00,-999,\n2018-01-01,25:00,1,1\n2018-01-01,02:00,n/a,2\n\
         2018-01-01,03:00,1\n2018-01-01,04:00,NaN,inf\n",
    );
    assert_eq!(publishes.len(), 1);
    assert_eq!(report.skipped.get("daily mean"), Some(&1));
    assert_eq!(report.skipped.get("no value"), Some(&2));
    let lines = |reason: &str| report.rejected.get(reason).unwrap().first_lines.clone();
    assert_eq!(lines("the time does not fit the format"), [4]);
    assert_eq!(lines("column NO is not a number"), [5, 7]);
    assert_eq!(lines("column CO is not a number"), [7]);
    assert_eq!(lines("the row has not as many fields as the header"), [6]);
}

#[test]
fn lines_are_counted_right_where_they_end_with_cr_lf() {
    let text = "Datum,Zeit,NO,CO\r\n2018-01-01,01:00,9,1\r\n2018-01-01,02:00,1,n/a\r\n";
    let (publishes, report) = replayed(STATION, ("a.csv", text), &[("asset", "nord")]).unwrap();
    assert_eq!(publishes.len(), 2);
    let rejected = report.rejected.get("column CO is not a number").unwrap();
    assert_eq!(
        (rejected.first_lines.as_slice(), rejected.example.as_str()),
        ([3].as_slice(), "n/a")
    );
}

#[test]
fn a_joined_place_is_sent_once_and_an_unknown_key_joins_nothing() {
    let mapping = r#"quarter = "q"
asset = "lot-{id}"
delimiter = ";"
[time]
columns = ["t"]
[join]
file = "lots.csv"
column = "id"
[place]
lat = "lat"
lon = "lon"
[[metric]]
column = "free"
metric = "parking_free"
unit = "1"
[[metric]]
column = "capacity"
metric = "parking_capacity"
unit = "1"
"#;
    let rows = "t; id ;free\n2026-06-01T00:00:00+00:00;a;3\n2026-06-01T00:01:00+00:00;a;4\n\
        2026-06-01T00:00:00Z;b;5\n2026-06-01T00:00:00Z;c;6\n2026-06-01T00:00:00Z;x/y;6\n";
    let (publishes, report) = replayed(mapping, ("a.csv", rows), &[]).unwrap();
    let bodies: Vec<_> = publishes
        .iter()
        .map(|p| p.payload.split_once("00Z\"").unwrap().1)
        .collect();
    assert_eq!(
        bodies,
        [
            r#","lat":51,"lon":13.7,"parking_free":3,"parking_capacity":7}"#,
            r#","parking_free":4,"parking_capacity":7}"#,
            r#","parking_free":5}"#,
            r#","parking_free":6}"#,
        ]
    );
    assert_eq!(
        report
            .rejected
            .get("the asset is not one topic level")
            .unwrap()
            .first_lines,
        [6]
    );
}

#[test]
fn a_row_without_a_value_does_not_use_up_the_place() {
    let mapping = format!("{STATION}[place]\nlat = \"lat\"\nlon = \"lon\"\n");
    let text = "Datum,Zeit,NO,CO\n2018-01-01,01:00,,\n2018-01-01,02:00,9,\n2018-01-01,03:00,8,\n";
    let set = [("asset", "nord"), ("lat", "51.5"), ("lon", "13.7")];
    let (publishes, _) = replayed(&mapping, ("a.csv", text), &set).unwrap();
    let payloads: Vec<_> = publishes
        .iter()
        .map(|publish| publish.payload.as_str())
        .collect();
    assert_eq!(
        payloads,
        [
            r#"{"t":"2018-01-01T01:00:00Z","lat":51.5,"lon":13.7,"no":9}"#,
            r#"{"t":"2018-01-01T02:00:00Z","no":8}"#,
        ]
    );
}

#[test]
fn json_lines_are_read_by_key() {
    let mapping = "format = \"jsonl\"\nquarter = \"q\"\nasset = \"{s}\"\n[time]\ncolumns = [\"t\"]\n\
        format = \"unix\"\n[[metric]]\ncolumn = \"v\"\nmetric = \"laeq\"\nunit = \"dB(A)\"\n";
    let rows = "{\"t\":1780272001,\"s\":\"a\",\"v\":51.5,\"more\":[]}\n[]\n{\"t\":1780272002,\"s\":7,\"v\":null}\n";
    let (publishes, report) = replayed(mapping, ("a.jsonl", rows), &[]).unwrap();
    assert_eq!(publishes.len(), 1);
    assert_eq!(
        publishes.first().unwrap().payload,
        r#"{"t":"2026-06-01T00:00:01Z","laeq":51.5}"#
    );
    assert_eq!(
        report
            .rejected
            .get("the line is not a JSON object")
            .unwrap()
            .first_lines,
        [2]
    );
    assert_eq!(report.skipped.get("no value"), Some(&1));
}

#[test]
fn a_wrong_mapping_is_named_with_its_line() {
    let file = ("a.csv", "Datum,Zeit,NO,CO\n");
    let wrong = |mapping: String, set: &[(&str, &str)]| replayed(&mapping, file, set).unwrap_err();
    let error = wrong(STATION.replace("missing", "sentinel"), &[]);
    assert!(
        error.starts_with("map.toml:15: unknown field `sentinel`"),
        "{error}"
    );
    let error = wrong(STATION.to_owned(), &[]);
    assert!(
        error.starts_with("map.toml:2: column \"asset\" is not in"),
        "{error}"
    );
    assert!(error.contains("--set asset="), "{error}");
    let error = wrong(STATION.replace("+01:00", "Mars"), &[("asset", "a")]);
    assert!(
        error.starts_with("map.toml:6: timezone \"Mars\""),
        "{error}"
    );
    let error = wrong(STATION.replace("\"no\"", "\"n o\""), &[("asset", "a")]);
    assert!(error.starts_with("map.toml:13: metric"), "{error}");
}

fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/replay");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect()
}

#[test]
fn the_shipped_mappings_use_the_vocabulary_and_its_units() {
    let files = shipped();
    assert!(files.len() >= 5);
    for file in files {
        let mapping = MappingFile::load(&file).unwrap().mapping;
        assert_eq!(mapping.format, Format::Csv);
        for metric in mapping.metric {
            let known = Vocabulary::builtin().get(metric.metric.get_ref());
            let unit = known.map(|known| known.unit.as_str());
            assert_eq!(
                unit,
                Some(metric.unit.as_str()),
                "{}: {:?}",
                file.display(),
                metric.metric
            );
        }
    }
}
