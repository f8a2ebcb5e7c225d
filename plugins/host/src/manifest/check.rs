//! Values that make no sense are errors that name the key.

use super::{CommandRule, Interlock, MAX_MEMORY, Manifest, ManifestError, Source, WIT};

impl Manifest {
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        level("id", &self.id)?;
        level("version", &self.version)?;
        level("lab", &self.lab)?;
        ensure(self.wit == WIT, "wit", || {
            format!("{:?}; this host speaks {WIT}", self.wit)
        })?;
        let digest = self.component_sha256.as_deref();
        ensure(digest.is_none_or(is_sha256), "component_sha256", || {
            "not 64 lowercase hex digits".to_owned()
        })?;
        self.check_reads()?;
        self.check_emits()?;
        unique("commands.name", self.commands.iter().map(|c| &*c.name))?;
        self.commands.iter().try_for_each(check_command)?;
        self.check_quotas()?;
        self.check_public()
    }

    fn check_reads(&self) -> Result<(), ManifestError> {
        let reads = &self.reads;
        for window in &reads.windows {
            ensure(
                [600, 900, 3600, 28_800, 86_400].contains(&window.span_s),
                "reads.windows",
                || {
                    format!(
                        "span_s {} is none of 600, 900, 3600, 28800, 86400",
                        window.span_s
                    )
                },
            )?;
        }
        ensure((1..=65_536).contains(&reads.batch), "reads.batch", || {
            "not from 1 to 65536".to_owned()
        })?;
        ensure(
            reads.tick_s.is_none_or(|s| (1..=86_400).contains(&s)),
            "reads.tick_s",
            || "not from 1 to 86400".to_owned(),
        )?;
        for name in &reads.properties {
            text("reads.properties", name)?;
        }
        unique("reads.properties", reads.properties.iter().map(|p| &**p))
    }

    fn check_emits(&self) -> Result<(), ManifestError> {
        let emits = &self.emits;
        unique("emits.derived", emits.derived.iter().map(|m| &**m))?;
        unique("emits.alerts.topic", emits.alerts.iter().map(|a| &*a.topic))?;
        for alert in &emits.alerts {
            level("emits.alerts.topic", &alert.topic)?;
            for limit in &alert.codes {
                ensure(limit.limit.is_finite(), "emits.alerts.codes.limit", || {
                    format!("{}, code {}: not finite", alert.topic, limit.code)
                })?;
                let codes = alert.codes.iter().map(|other| other.code);
                let same = codes.filter(|&code| code == limit.code).count();
                ensure(same == 1, "emits.alerts.codes.code", || {
                    format!("{}: {} stands there twice", alert.topic, limit.code)
                })?;
            }
        }
        Ok(())
    }

    fn check_quotas(&self) -> Result<(), ManifestError> {
        let quotas = &self.quotas;
        ensure(
            (1..=MAX_MEMORY).contains(&quotas.memory_bytes),
            "quotas.memory_bytes",
            || format!("not from 1 to {MAX_MEMORY}"),
        )?;
        ensure(
            quotas.state_bytes <= quotas.memory_bytes,
            "quotas.state_bytes",
            || "more than memory_bytes".to_owned(),
        )?;
        ensure(
            (1..=60_000).contains(&quotas.deadline_ms),
            "quotas.deadline_ms",
            || "not from 1 to 60000".to_owned(),
        )
    }

    /// What the public reads.
    fn check_public(&self) -> Result<(), ManifestError> {
        for Source { title, url } in &self.sources {
            text("sources.title", title)?;
            // It becomes a link on a page of the city.
            let page = ["https://", "http://"]
                .iter()
                .any(|web| url.starts_with(web));
            ensure(page, "sources.url", || {
                format!("{url:?} is not the address of a page, https://..")
            })?;
        }
        for (key, parameter) in &self.parameters {
            ensure(self.config.contains_key(key), "parameters", || {
                format!("{key:?} is no key of [config]")
            })?;
            text("parameters.title", &parameter.title)?;
        }
        for vector in &self.vectors {
            text("vectors.title", &vector.title)?;
            text("vectors.given", &vector.given)?;
            text("vectors.then", &vector.then)?;
        }
        Ok(())
    }
}

fn check_command(command: &CommandRule) -> Result<(), ManifestError> {
    let CommandRule { name, min, max, .. } = command;
    ensure(min.is_finite(), "commands.min", || {
        format!("{name}: not finite")
    })?;
    ensure(max.is_finite(), "commands.max", || {
        format!("{name}: not finite")
    })?;
    ensure(min <= max, "commands.min", || {
        format!("{name}: {min} is not below max {max}")
    })?;
    command
        .interlocks
        .iter()
        .try_for_each(|interlock| check_interlock(name, interlock))
}

fn check_interlock(command: &str, interlock: &Interlock) -> Result<(), ManifestError> {
    let bad = |why: &str| format!("{command}, {}: {why}", interlock.metric);
    let (above, below) = (interlock.above, interlock.below);
    text("commands.interlocks.metric", &interlock.metric)?;
    text("commands.interlocks.reason", &interlock.reason)?;
    let mut bounds = above.iter().chain(&below);
    ensure(
        bounds.all(|bound| bound.is_finite()),
        "commands.interlocks",
        || bad("a bound is not finite"),
    )?;
    ensure(
        above.is_some() || below.is_some(),
        "commands.interlocks",
        || bad("neither above nor below"),
    )?;
    let overlap = above.zip(below).is_some_and(|(above, below)| below > above);
    ensure(!overlap, "commands.interlocks", || {
        bad("below is more than above: the command could never be sent")
    })
}

/// Whether `text` is a SHA-256 as this host writes it.
fn is_sha256(text: &str) -> bool {
    let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 64 && text.as_bytes().iter().all(hex)
}

/// Something that people or the vocabulary need.
fn text(key: &str, text: &str) -> Result<(), ManifestError> {
    ensure(!text.trim().is_empty(), key, || "is empty".to_owned())
}

fn ensure(holds: bool, key: &str, message: impl FnOnce() -> String) -> Result<(), ManifestError> {
    match holds {
        true => Ok(()),
        false => Err(ManifestError::Value {
            key: key.to_owned(),
            message: message(),
        }),
    }
}

/// A name that can be one level of a topic.
fn level(key: &str, name: &str) -> Result<(), ManifestError> {
    let bad = |c: char| matches!(c, '/' | '+' | '#') || c.is_control() || c.is_whitespace();
    let good =
        (1..=128).contains(&name.len()) && !name.starts_with(['$', '.']) && !name.contains(bad);
    ensure(good, key, || format!("{name:?} cannot be a topic level"))
}

fn unique<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Result<(), ManifestError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        ensure(seen.insert(name), key, || {
            format!("{name:?} stands there twice")
        })?;
    }
    Ok(())
}
