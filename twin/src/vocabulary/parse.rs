//! Reads a vocabulary file: TOML with `[[metric]]` entries and an `[alias]` table.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::Deserialize;
use toml::Spanned;

use super::units::Target;
use super::{Known, Metric, Vocabulary};
use crate::model::is_name;

/// A vocabulary file was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("vocabulary, line {line}: {key}: {reason}")]
pub struct VocabularyError {
    /// Line in the file, counted from 1.
    pub line: usize,
    /// The metric, the alias or the key that is wrong.
    pub key: String,
    /// What is wrong and what to do.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    alias: BTreeMap<Spanned<String>, String>,
    metric: Vec<Spanned<Metric>>,
}

impl Vocabulary {
    /// Reads a vocabulary from the text of a file.
    ///
    /// # Errors
    /// The first thing that breaks the format or the invariant, with its line.
    pub fn parse(text: &str) -> Result<Self, VocabularyError> {
        let file: File = toml::from_str(text).map_err(|error| VocabularyError {
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            key: "TOML".to_owned(),
            reason: error.message().to_owned(),
        })?;
        let mut known = Vec::with_capacity(file.metric.len());
        let mut by_name = HashMap::with_capacity(file.metric.len() + file.alias.len());
        for entry in file.metric {
            let line = line_of(text, entry.span().start);
            let metric = entry.into_inner();
            let error = |reason: String| VocabularyError {
                line,
                key: metric.name.clone(),
                reason,
            };
            check(&metric).map_err(error)?;
            let target = Target::of(&metric.unit).ok_or_else(|| {
                error(format!(
                    "unit {:?} is not in the table of units",
                    metric.unit
                ))
            })?;
            if by_name.insert(metric.name.clone(), known.len()).is_some() {
                return Err(error("the name is there twice".to_owned()));
            }
            known.push(Known { metric, target });
        }
        for (alias, name) in file.alias {
            let line = line_of(text, alias.span().start);
            let alias = alias.into_inner();
            let error = |reason: String| VocabularyError {
                line,
                key: alias.clone(),
                reason,
            };
            let place = *by_name
                .get(name.as_str())
                .ok_or_else(|| error(format!("alias of {name:?}, which is no metric")))?;
            if by_name.insert(alias.clone(), place).is_some() {
                return Err(error(
                    "an alias must not be the name of a metric".to_owned(),
                ));
            }
        }
        Ok(Self { known, by_name })
    }
}

fn check(metric: &Metric) -> Result<(), String> {
    let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !is_name(&metric.name) || !metric.name.chars().all(snake) {
        return Err("a name is snake_case: a-z, 0-9 and _".to_owned());
    }
    let (low, high) = metric.range;
    if !(low.is_finite() && high.is_finite() && low < high) {
        return Err(format!("range [{low}, {high}] is empty or not finite"));
    }
    if metric.interval_s == Some(0) {
        return Err("interval_s must be at least 1".to_owned());
    }
    if metric.description.is_empty() {
        return Err("description is empty".to_owned());
    }
    if !metric.definition.starts_with("http") {
        return Err("definition must be a URL".to_owned());
    }
    Ok(())
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::{Domain, MeanKind};

    const ONE: &str = r#"
[[metric]]
name = "co2"
domain = "environment"
unit = "ppm"
range = [0, 1e5]
description = "Carbon dioxide"
definition = "https://example.org/co2"
"#;

    fn fault(text: &str) -> (usize, String, String) {
        let error = Vocabulary::parse(text).unwrap_err();
        (error.line, error.key, error.reason)
    }

    #[test]
    fn the_compiled_in_file_is_valid_and_covers_every_domain() {
        let vocabulary = Vocabulary::builtin();
        assert!(vocabulary.iter().len() >= 70);
        for domain in [
            Domain::Energy,
            Domain::Mobility,
            Domain::Environment,
            Domain::Health,
            Domain::Science,
            Domain::Device,
        ] {
            assert!(
                vocabulary.iter().any(|metric| metric.domain == domain),
                "{domain:?}"
            );
        }
    }

    #[test]
    fn exactly_the_household_metrics_are_personal() {
        for metric in Vocabulary::builtin().iter() {
            assert_eq!(
                metric.personal,
                metric.name.starts_with("household_"),
                "{}",
                metric.name
            );
        }
    }

    #[test]
    fn equivalent_sound_levels_and_only_they_have_an_energetic_mean() {
        let energetic: Vec<&str> = Vocabulary::builtin()
            .iter()
            .filter(|metric| metric.mean == MeanKind::Energetic)
            .map(|metric| metric.name.as_str())
            .collect();
        let of_years = ["laeq", "lday", "levening", "lnight", "lden"];
        let of_days = ["laeq_day_16h", "laeq_night_8h", "laeq_night_hour"];
        assert_eq!(energetic, [&of_years[..], &of_days[..]].concat());
    }

    #[test]
    fn an_alias_leads_to_the_metric_but_is_not_its_name() {
        let vocabulary = Vocabulary::builtin();
        assert_eq!(vocabulary.resolve("PM2.5").unwrap().metric.name, "pm2_5");
        assert!(vocabulary.get("PM2.5").is_none());
        assert_eq!(vocabulary.get("pm2_5").unwrap().unit, "ug/m3");
        assert!(vocabulary.resolve("Pm2.5").is_none());
    }

    #[test]
    fn a_fault_is_named_with_line_and_key() {
        assert!(Vocabulary::parse(ONE).is_ok());
        let (line, key, reason) = fault(&ONE.replace("\"ppm\"", "\"furlong\""));
        assert_eq!((line, key.as_str()), (2, "co2"));
        assert!(reason.contains("furlong"), "{reason}");
        assert!(
            fault(&ONE.replace("co2\"\n", "CO2\"\n"))
                .2
                .contains("snake_case")
        );
        assert!(
            fault(&ONE.replace("[0, 1e5]", "[5, 5]"))
                .2
                .contains("range")
        );
        assert!(
            fault(&ONE.replace("[0, 1e5]", "[0, inf]"))
                .2
                .contains("range")
        );
        assert!(fault(&ONE.replace("https://", "")).2.contains("URL"));
        let (line, _, reason) = fault(&ONE.replace("range", "rang"));
        assert_eq!(line, 6, "{reason}");
        assert!(reason.contains("rang"), "{reason}");
        let (line, key, reason) = fault(&format!("{ONE}{ONE}"));
        assert_eq!((line, key.as_str()), (10, "co2"), "{reason}");
        assert!(reason.contains("twice"));
    }

    #[test]
    fn an_alias_of_nothing_or_over_a_name_is_refused() {
        let (line, key, reason) = fault(&format!("[alias]\nCO2 = \"co3\"\n{ONE}"));
        assert_eq!((line, key.as_str()), (2, "CO2"));
        assert!(reason.contains("co3"));
        assert!(
            fault(&format!("[alias]\nco2 = \"co2\"\n{ONE}"))
                .2
                .contains("must not")
        );
    }
}
