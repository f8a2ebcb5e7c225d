//! Python: CPython around it by componentize-py, with WASI stubbed.

use std::fs;
use std::process::Command;

use anyhow::anyhow;

use super::super::project::Project;
use super::tool::{Need, Spinner, first_on_path, is_program, run};
use crate::cli::{Failure, because};

const NEED: Need = Need {
    what: "Python needs Python 3.10 or later with venv",
    debian: "apt-get install python3-venv",
    elsewhere: "Python 3 with venv on the PATH",
};

pub(super) fn component(project: &Project, spinner: &Spinner) -> Result<Vec<u8>, Failure> {
    let own = project.dir.join(".venv/bin/componentize-py");
    let found = Some(&own).filter(|path| is_program(path)).cloned();
    let Some(program) = found.or_else(|| first_on_path(&["componentize-py"])) else {
        first_on_path(&["python3"]).ok_or_else(|| NEED.missing("python3 is not on the PATH"))?;
        return Err(Failure::usage(anyhow!(
            "{} is missing\n  run: cd {} && python3 -m venv .venv && .venv/bin/pip install -r requirements.txt\n  \
             on Debian before that: {}",
            own.display(),
            project.dir.display(),
            NEED.debian
        )));
    };
    spinner.say("componentize-py makes the component");
    let build = project.dir.join("build");
    let fault = |what: String| move |error: std::io::Error| Failure::fault(because(what)(error));
    let (wit, built) = (build.join("rule.wit"), build.join("rule.wasm"));
    fs::create_dir_all(&build).map_err(fault(build.display().to_string()))?;
    fs::write(&wit, project.world()).map_err(fault(wit.display().to_string()))?;
    let mut make = Command::new(program);
    make.arg("--quiet")
        .arg("--wit-path")
        .arg(&wit)
        .args([
            "--world",
            "lab-rule",
            "componentize",
            "guest",
            "--python-path",
            "src",
            "--stub-wasi",
        ])
        .arg("--output")
        .arg(&built)
        .env_remove("VIRTUAL_ENV")
        .current_dir(&project.dir);
    run(&mut make)?;
    fs::read(&built).map_err(fault(built.display().to_string()))
}
