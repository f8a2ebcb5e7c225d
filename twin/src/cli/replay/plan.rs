//! A mapping applied to the columns of one file: rows become publishes.

use std::path::Path;

use csv::StringRecord;
use hashbrown::HashMap;
use toml::Spanned;

use super::mapping::{Mapping, MappingError, MappingFile, Metric};
use super::report::Report;
use super::source::SourceError;
use super::time::Clock;
use crate::model::{Millis, Place, is_name};
use crate::vocabulary::Vocabulary;

/// What a device would have published.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Publish {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) time: Millis,
    pub(super) readings: u64,
}

/// Where the text of a column comes from.
#[derive(Debug, Clone)]
enum Field {
    Column(usize),
    Joined(usize),
    Fixed(String),
}

/// Text with columns in braces: `{sensor_id}`.
#[derive(Debug)]
struct Template(Vec<Field>);

#[derive(Debug)]
struct Joined {
    key: Field,
    rows: HashMap<String, StringRecord>,
}

#[derive(Debug)]
struct Planned {
    field: Field,
    column: String,
    /// `,"no":{"v":` or `,"no":`, and what follows the number.
    before: String,
    after: String,
    scale: f64,
    missing: Vec<String>,
}

#[derive(Debug, Default)]
struct Known {
    time: Option<Millis>,
    place: Option<Place>,
}

/// How rows become publishes; remembers each asset's last time and place.
#[derive(Debug)]
pub(super) struct Plan {
    quarter: Template,
    asset: Template,
    time: Vec<Field>,
    clock: Clock,
    place: Option<(Field, Field)>,
    joined: Option<Joined>,
    skip: Vec<(Field, String, String)>,
    metrics: Vec<Planned>,
    known: HashMap<String, Known>,
}

/// One row and the row of the second file that belongs to it.
#[derive(Clone, Copy)]
struct Row<'a> {
    fields: &'a StringRecord,
    joined: Option<&'a StringRecord>,
}

impl<'a> Row<'a> {
    fn get(self, field: &'a Field) -> &'a str {
        match field {
            Field::Column(index) => self.fields.get(*index).unwrap_or_default().trim(),
            Field::Joined(index) => self
                .joined
                .and_then(|row| row.get(*index))
                .unwrap_or_default()
                .trim(),
            Field::Fixed(text) => text,
        }
    }

    fn fill(self, template: &Template) -> String {
        template.0.iter().map(|field| self.get(field)).collect()
    }
}

impl Plan {
    /// Looks up all columns. `file` is the recorded file, `columns` its columns; `set` are the
    /// values of `--set`, `quarter` that of `--quarter`.
    ///
    /// # Errors
    /// A column is nowhere, or the second file cannot be read.
    pub(super) fn new(
        mapping: &MappingFile,
        file: &Path,
        columns: &[String],
        set: &[(String, String)],
        quarter: Option<&str>,
    ) -> anyhow::Result<Self> {
        let what = &mapping.mapping;
        let (more, rows) = read_join(mapping, file)?.unwrap_or_default();
        let names = Names {
            mapping,
            file,
            columns,
            joined: &more,
            set,
        };
        let joined = match &what.join {
            Some(join) => Some(Joined {
                key: names.find(&join.column)?,
                rows,
            }),
            None => None,
        };
        let quarter = match (quarter, &what.quarter) {
            (Some(quarter), _) => Template(vec![Field::Fixed(quarter.to_owned())]),
            (None, Some(quarter)) => names.template(quarter)?,
            (None, None) => anyhow::bail!("the mapping names no quarter; say --quarter"),
        };
        let fields = |columns: &[Spanned<String>]| -> Result<Vec<Field>, MappingError> {
            columns.iter().map(|column| names.find(column)).collect()
        };
        let zone = what.time.timezone.as_ref();
        let clock = Clock::new(&what.time.format, zone.map(|zone| zone.get_ref().as_str()))
            .map_err(|why| match zone {
                Some(zone) => mapping.wrong(zone, why),
                None => mapping.wrong(&what.asset, why),
            })?;
        let place = match &what.place {
            Some(place) => Some((names.find(&place.lat)?, names.find(&place.lon)?)),
            None => None,
        };
        let mut skip = Vec::new();
        for rule in &what.skip {
            skip.push((
                names.find(&rule.column)?,
                rule.equals.clone(),
                rule.reason.clone(),
            ));
        }
        let metrics = what
            .metric
            .iter()
            .map(|metric| Ok(planned(metric, names.find(&metric.column)?)));
        Ok(Self {
            quarter,
            asset: names.template(&what.asset)?,
            time: fields(&what.time.columns)?,
            clock,
            place,
            joined,
            skip,
            metrics: metrics.collect::<Result<_, MappingError>>()?,
            known: HashMap::new(),
        })
    }

    /// The publish of a row; `None` where there is nothing to publish, and the report says why.
    pub(super) fn publish(
        &mut self,
        line: u64,
        fields: &StringRecord,
        report: &mut Report,
    ) -> Option<Publish> {
        let mut row = Row {
            fields,
            joined: None,
        };
        row.joined = self
            .joined
            .as_ref()
            .and_then(|joined| joined.rows.get(row.get(&joined.key)));
        for (field, equals, reason) in &self.skip {
            if row.get(field) == equals {
                report.skip(reason);
                return None;
            }
        }
        let (quarter, asset) = (row.fill(&self.quarter), row.fill(&self.asset));
        for (what, name) in [("quarter", &quarter), ("asset", &asset)] {
            if !is_name(name) {
                report.reject(line, &format!("the {what} is not one topic level"), name);
                return None;
            }
        }
        let text = self
            .time
            .iter()
            .map(|field| row.get(field))
            .collect::<Vec<_>>()
            .join(" ");
        let topic = format!("dt/{quarter}/{asset}");
        let known = self.known.entry_ref(topic.as_str()).or_default();
        let time = match self.clock.read(&text, known.time) {
            Ok(time) => time,
            Err(reason) => {
                report.reject(line, reason, &text);
                return None;
            }
        };
        known.time = Some(time);
        let place = self
            .place
            .as_ref()
            .and_then(|columns| place(row, columns, line, report));
        let mut payload = format!("{{\"t\":\"{time}\"");
        if let Some(place) = place.filter(|place| known.place != Some(*place)) {
            payload.push_str(&format!(",\"lat\":{},\"lon\":{}", place.lat(), place.lon()));
        }
        let readings = values(&self.metrics, row, line, report, &mut payload);
        payload.push('}');
        if readings == 0 {
            report.skip("no value");
            return None;
        }
        known.place = place.or(known.place);
        report.taken(readings);
        Some(Publish {
            topic,
            payload,
            time,
            readings,
        })
    }
}

/// Where a row says that its asset is.
fn place(row: Row<'_>, columns: &(Field, Field), line: u64, report: &mut Report) -> Option<Place> {
    let (lat, lon) = (row.get(&columns.0), row.get(&columns.1));
    if lat.is_empty() && lon.is_empty() {
        return None;
    }
    let place = match (lat.parse(), lon.parse()) {
        (Ok(lat), Ok(lon)) => Place::new(lat, lon),
        _ => None,
    };
    if place.is_none() {
        report.reject(
            line,
            "latitude and longitude are no place",
            &format!("{lat}, {lon}"),
        );
    }
    place
}

/// Appends the values of a row to its payload; how many there are.
fn values(
    metrics: &[Planned],
    row: Row<'_>,
    line: u64,
    report: &mut Report,
    payload: &mut String,
) -> u64 {
    let mut readings = 0;
    for metric in metrics {
        let text = row.get(&metric.field);
        if text.is_empty() || metric.missing.iter().any(|missing| missing == text) {
            continue;
        }
        match number(text, metric.scale) {
            Some(number) => {
                readings += 1;
                payload.extend([metric.before.as_str(), &number, &metric.after]);
            }
            None => {
                report.reject(
                    line,
                    &format!("column {} is not a number", metric.column),
                    text,
                );
            }
        }
    }
    readings
}

/// The names of all columns that a mapping uses, but those of the second file and of `set`.
pub(super) fn columns_of(mapping: &Mapping, set: &[(String, String)]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str| {
        let fixed = mapping.set.contains_key(name) || set.iter().any(|(key, _)| key == name);
        if !fixed && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    };
    for template in mapping.quarter.iter().chain([&mapping.asset]) {
        for part in template.get_ref().split('{').skip(1) {
            add(part.split('}').next().unwrap_or_default());
        }
    }
    mapping
        .time
        .columns
        .iter()
        .for_each(|column| add(column.get_ref()));
    mapping.place.iter().for_each(|place| {
        [&place.lat, &place.lon]
            .iter()
            .for_each(|c| add(c.get_ref()))
    });
    mapping
        .join
        .iter()
        .for_each(|join| add(join.column.get_ref()));
    mapping
        .skip
        .iter()
        .for_each(|skip| add(skip.column.get_ref()));
    mapping
        .metric
        .iter()
        .for_each(|metric| add(metric.column.get_ref()));
    names
}

/// The value of a unit that the metric has anyway is published bare.
fn planned(metric: &Metric, field: Field) -> Planned {
    let name = metric.metric.get_ref();
    let known = Vocabulary::builtin()
        .get(name)
        .is_some_and(|known| known.unit == metric.unit);
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let (before, after) = if known {
        (format!(",{}:", text(name)), String::new())
    } else {
        (
            format!(",{}:{{\"v\":", text(name)),
            format!(",\"u\":{}}}", text(&metric.unit)),
        )
    };
    let column = metric.column.get_ref().clone();
    Planned {
        field,
        column,
        before,
        after,
        scale: metric.scale,
        missing: metric.missing.clone(),
    }
}

/// The number in JSON, with the digits of the file where it is not scaled.
fn number(text: &str, scale: f64) -> Option<String> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
    #[expect(clippy::float_cmp, reason = "exactly the default")]
    let same = scale == 1.0 && serde_json::from_str::<serde_json::Number>(text).is_ok();
    let scaled = value * scale;
    if same {
        Some(text.to_owned())
    } else {
        scaled.is_finite().then(|| scaled.to_string())
    }
}

/// Everything that has a name in a mapping.
struct Names<'a> {
    mapping: &'a MappingFile,
    file: &'a Path,
    columns: &'a [String],
    joined: &'a [String],
    set: &'a [(String, String)],
}

impl Names<'_> {
    fn find(&self, name: &Spanned<String>) -> Result<Field, MappingError> {
        self.named(name, name.get_ref())
    }

    /// `--set` goes before the mapping's `set`, and this before the columns.
    fn named(&self, at: &Spanned<String>, name: &str) -> Result<Field, MappingError> {
        if let Some((_, value)) = self.set.iter().rev().find(|(key, _)| key == name) {
            return Ok(Field::Fixed(value.clone()));
        }
        if let Some(value) = self.mapping.mapping.set.get(name) {
            return Ok(Field::Fixed(value.clone()));
        }
        let index = |columns: &[String]| columns.iter().position(|column| column == name);
        if let Some(index) = index(self.columns) {
            return Ok(Field::Column(index));
        }
        if let Some(index) = index(self.joined) {
            return Ok(Field::Joined(index));
        }
        let all: Vec<&str> = self
            .columns
            .iter()
            .chain(self.joined)
            .map(String::as_str)
            .collect();
        let what = format!(
            "column {name:?} is not in {}, which has {}; rename it, or give it a value with --set {name}=..",
            self.file.display(),
            all.join(", ")
        );
        Err(self.mapping.wrong(at, what))
    }

    fn template(&self, text: &Spanned<String>) -> Result<Template, MappingError> {
        let (mut fields, mut rest) = (Vec::new(), text.get_ref().as_str());
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(self
                    .mapping
                    .wrong(text, format!("{rest:?}: a brace is not closed")));
            };
            fields.push(Field::Fixed(before.to_owned()));
            fields.push(self.named(text, name)?);
            rest = after;
        }
        fields.push(Field::Fixed(rest.to_owned()));
        Ok(Template(fields))
    }
}

type SecondFile = (Vec<String>, HashMap<String, StringRecord>);

fn read_join(mapping: &MappingFile, file: &Path) -> anyhow::Result<Option<SecondFile>> {
    let Some(join) = &mapping.mapping.join else {
        return Ok(None);
    };
    let path = file
        .parent()
        .unwrap_or(Path::new("."))
        .join(join.file.get_ref());
    let fault = |error: csv::Error| SourceError::Line {
        path: path.clone(),
        line: error.position().map_or(1, csv::Position::line),
        what: error.to_string(),
    };
    let mut reader = csv::Reader::from_path(&path).map_err(fault)?;
    let columns: Vec<String> = reader
        .headers()
        .map_err(fault)?
        .iter()
        .map(|name| name.trim().to_owned())
        .collect();
    let Some(key) = columns
        .iter()
        .position(|name| name == join.column.get_ref())
    else {
        let what = format!(
            "column {:?} is not in {}",
            join.column.get_ref(),
            path.display()
        );
        return Err(mapping.wrong(&join.column, what).into());
    };
    let mut rows = HashMap::new();
    for record in reader.records() {
        let record = record.map_err(fault)?;
        rows.insert(
            record.get(key).unwrap_or_default().trim().to_owned(),
            record,
        );
    }
    Ok(Some((columns, rows)))
}
