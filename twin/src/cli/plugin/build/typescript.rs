//! TypeScript: tsc, then QuickJS around it by componentize-qjs, with WASI stubbed.

use std::fs;
use std::process::Command;

use anyhow::anyhow;

use super::super::project::Project;
use super::tool::{Need, Spinner, first_on_path, is_program, run};
use crate::cli::{Failure, because};

const NEED: Need = Need {
    what: "TypeScript needs Node.js 20 or later with npm",
    debian: "apt-get install nodejs npm",
    elsewhere: "Node.js with npm on the PATH",
};

pub(super) fn component(project: &Project, spinner: &Spinner) -> Result<Vec<u8>, Failure> {
    first_on_path(&["node"]).ok_or_else(|| NEED.missing("node is not on the PATH"))?;
    let programs = project.dir.join("node_modules/.bin");
    let program = |name: &str| {
        let path = programs.join(name);
        let missing = || {
            anyhow!(
                "{} is missing\n  run: cd {} && npm ci",
                path.display(),
                project.dir.display()
            )
        };
        match is_program(&path) {
            true => Ok(path),
            false => Err(Failure::usage(missing())),
        }
    };
    let (tsc, qjs) = (program("tsc")?, program("componentize-qjs")?);
    spinner.say("tsc compiles");
    run(Command::new(tsc).current_dir(&project.dir))?;
    spinner.say("componentize-qjs makes the component");
    let fault = |what: String| move |error: std::io::Error| Failure::fault(because(what)(error));
    let (wit, built) = (
        project.dir.join("build/rule.wit"),
        project.dir.join("build/rule.wasm"),
    );
    fs::write(&wit, project.world()).map_err(fault(wit.display().to_string()))?;
    let mut make = Command::new(qjs);
    make.args([
        "--sync",
        "--stub-wasi",
        "--minify",
        "--js",
        "build/guest.js",
        "--module-root",
        "build",
    ])
    .arg("--wit")
    .arg(&wit)
    .arg("--output")
    .arg(&built)
    .current_dir(&project.dir);
    run(&mut make)?;
    fs::read(&built).map_err(fault(built.display().to_string()))
}
