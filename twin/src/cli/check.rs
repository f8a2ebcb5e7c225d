//! `quartier config check`: is the configuration right, and all the files it names?

use std::path::Path;

use super::{Failure, Outcome};
use crate::config::Config;
use crate::registry::{load_assets, load_cells};

/// `rules`: print the rules instead, of everybody or of one user.
pub(super) fn run(path: &Path, rules: Option<Option<&str>>, json: bool) -> Outcome {
    if let Some(user) = rules {
        let config = Config::load(path).map_err(Failure::usage)?;
        return super::rules::print(&config.mqtt, user, json);
    }
    let (checked, warnings) = match Config::load(path) {
        Ok(config) => (check(path, &config), config.warnings()),
        Err(error) => (vec![Err(error.to_string())], Vec::new()),
    };
    if json {
        let errors: Vec<String> = checked
            .iter()
            .flat_map(|r| r.as_ref().err())
            .cloned()
            .collect();
        let ok = errors.is_empty();
        let report = serde_json::json!({
            "file": path, "ok": ok, "errors": errors, "warnings": warnings,
        });
        println!("{report}");
    } else {
        for line in checked.iter().flatten() {
            println!("{line}");
        }
        for warning in &warnings {
            eprintln!("warning: {warning}");
        }
    }
    let errors: Vec<String> = checked.into_iter().filter_map(Result::err).collect();
    match errors.as_slice() {
        [] => Ok(()),
        _ => Err(Failure::usage(anyhow::anyhow!(errors.join("\n")))),
    }
}

/// A line for what is right, an error for what is not; all errors, not the first only.
fn check(path: &Path, config: &Config) -> Vec<Result<String, String>> {
    let mut report = vec![Ok(format!(
        "{}: node {} ({}), data in {}",
        path.display(),
        config.node.name,
        config.node.role.as_str(),
        config.node.data.display()
    ))];
    for quarter in &config.quarters {
        let cells = quarter.cells_file.as_deref().map(load_cells).transpose();
        let assets = quarter
            .assets_file
            .as_deref()
            .map(|p| load_assets(p, &quarter.id))
            .transpose();
        report.push(match (cells, assets) {
            (Ok(cells), Ok(assets)) => Ok(format!(
                "quarter {}: {} cells, {} assets",
                quarter.id,
                cells.map_or(0, |c| c.len()),
                assets.map_or(0, |a| a.len())
            )),
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
        });
    }
    for plugin in &config.plugins {
        let manifest = plugin.path.join("manifest.toml");
        report.push(if manifest.is_file() {
            Ok(format!(
                "plugin {} in {}",
                plugin.path.display(),
                plugin.quarter
            ))
        } else {
            Err(format!(
                "{}: there is no manifest.toml",
                plugin.path.display()
            ))
        });
    }
    report
}
