//! C: clang and wasm-ld, no library, no WASI; the interface is put in afterwards.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::super::project::Project;
use super::component;
use super::tool::{Need, Spinner, first_on_path, run};
use crate::cli::{Failure, because};

const NEED: Need = Need {
    what: "C needs clang with the target wasm32, and wasm-ld",
    debian: "apt-get install clang-19 lld-19",
    elsewhere: "LLVM 19 or later with clang and lld on the PATH",
};

pub(super) fn component(project: &Project, spinner: &Spinner) -> Result<Vec<u8>, Failure> {
    let clang = first_on_path(&["clang-19", "clang"])
        .ok_or_else(|| NEED.missing("clang-19 is not on the PATH"))?;
    let linker = first_on_path(&["wasm-ld-19", "wasm-ld"])
        .ok_or_else(|| NEED.missing("wasm-ld-19 is not on the PATH"))?;
    spinner.say("clang compiles");
    let build = project.dir.join("build");
    let sources = sources(project).map_err(Failure::fault)?;
    fs::create_dir_all(&build).map_err(|error| Failure::fault(because(build.display())(error)))?;
    let module = build.join("rule.wasm");
    let mut compile = Command::new(clang);
    compile
        .args([
            "--target=wasm32",
            "-mbulk-memory",
            "-std=c11",
            "-O2",
            "-Wall",
            "-Wextra",
        ])
        .args(["-ffreestanding", "-nostdlib", "-Iinclude"])
        .arg(format!("-fuse-ld={}", linker.display()))
        // The stack lies below everything else: what overflows it traps.
        .args([
            "-Wl,--no-entry",
            "-Wl,--gc-sections",
            "-Wl,--strip-all",
            "-Wl,--stack-first",
        ])
        .arg("-Wl,-z,stack-size=65536")
        .arg("-o")
        .arg(&module)
        .args(sources)
        .current_dir(&project.dir);
    run(&mut compile)?;
    spinner.say("making the component");
    let core =
        fs::read(&module).map_err(|error| Failure::fault(because(module.display())(error)))?;
    component::with_interface(core, &project.wit)
        .map_err(|error| Failure::fault(because(module.display())(error)))
}

/// `src/*.c`, in the order of their names.
fn sources(project: &Project) -> anyhow::Result<Vec<PathBuf>> {
    let src = project.dir.join("src");
    let entries = fs::read_dir(&src).map_err(because(src.display()))?;
    let mut sources = Vec::new();
    for entry in entries {
        let path = entry.map_err(because(src.display()))?.path();
        if path.extension().is_some_and(|ending| ending == "c") {
            sources.push(path);
        }
    }
    sources.sort();
    Ok(sources)
}
