//! Rust: cargo for wasm32-unknown-unknown, by a toolchain that has the target, else by one that can
//! build the standard library for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::anyhow;

use super::super::project::Project;
use super::component;
use super::tool::{Need, Spinner, first_on_path, is_program, on_path, run};
use crate::cli::{Failure, because};

const TARGET: &str = "wasm32-unknown-unknown";
const NEED: Need = Need {
    what: "Rust needs a compiler that can build for wasm32-unknown-unknown",
    debian: "apt-get install rustc-web cargo-web rust-web-src lld-19",
    elsewhere: "rustup target add wasm32-unknown-unknown",
};

pub(super) fn component(project: &Project, spinner: &Spinner) -> Result<Vec<u8>, Failure> {
    let toolchain = Toolchain::find(&project.dir)?;
    spinner.say("cargo builds");
    run(&mut toolchain.cargo(&project.dir))?;
    spinner.say("making the component");
    let module = module(&project.dir).map_err(Failure::fault)?;
    let bytes =
        fs::read(&module).map_err(|error| Failure::fault(because(module.display())(error)))?;
    component::of_module(&bytes).map_err(|error| Failure::fault(because(module.display())(error)))
}

struct Toolchain {
    folder: PathBuf,
    /// Where the standard library has to be built: the linker for it.
    linker: Option<PathBuf>,
}

impl Toolchain {
    fn find(dir: &Path) -> Result<Self, Failure> {
        let mut found = Vec::new();
        for rustc in on_path("rustc") {
            let Some(folder) = rustc
                .parent()
                .filter(|folder| is_program(&folder.join("cargo")))
            else {
                continue;
            };
            let asked = run(Command::new(&rustc)
                .args(["--print", "sysroot"])
                .current_dir(dir));
            let Ok(sysroot) = asked else { continue };
            found.push((
                folder.to_owned(),
                PathBuf::from(sysroot.trim()).join("lib/rustlib"),
            ));
        }
        let ready = found
            .iter()
            .find(|(_, lib)| lib.join(TARGET).join("lib").is_dir());
        if let Some((folder, _)) = ready {
            return Ok(Self {
                folder: folder.clone(),
                linker: None,
            });
        }
        let with_source =
            |(_, lib): &&(PathBuf, PathBuf)| lib.join("src/rust/library/std/Cargo.toml").is_file();
        let linker = first_on_path(&["wasm-ld-19", "wasm-ld"]);
        match (found.iter().rfind(with_source), linker) {
            (Some((folder, _)), Some(linker)) => Ok(Self {
                folder: folder.clone(),
                linker: Some(linker),
            }),
            (Some(_), None) => Err(NEED.missing("wasm-ld-19 is not on the PATH")),
            (None, _) if found.is_empty() => {
                Err(NEED.missing("no rustc with a cargo beside it is on the PATH"))
            }
            (None, _) => Err(NEED.missing(&missing_target(&found))),
        }
    }

    fn cargo(&self, dir: &Path) -> Command {
        let mut cargo = Command::new(self.folder.join("cargo"));
        cargo
            .args(["build", "--quiet", "--release", "--target", TARGET])
            .current_dir(dir);
        // A caller's own flags are for other programs than rules.
        for flags in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTC_WRAPPER",
            "CARGO_BUILD_TARGET",
            "RUSTUP_TOOLCHAIN",
        ] {
            cargo.env_remove(flags);
        }
        if let Some(linker) = &self.linker {
            cargo
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC", self.folder.join("rustc"))
                .env("RUSTDOC", self.folder.join("rustdoc"))
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        cargo
    }
}

fn missing_target(found: &[(PathBuf, PathBuf)]) -> String {
    let folders: Vec<_> = found
        .iter()
        .map(|(folder, _)| folder.display().to_string())
        .collect();
    format!(
        "the one in {} has neither the target nor its library's source",
        folders.join(", ")
    )
}

/// The core module that cargo made.
fn module(dir: &Path) -> anyhow::Result<PathBuf> {
    let path = dir.join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(because(path.display()))?;
    let cargo: toml::Table = toml::from_str(&text).map_err(because(path.display()))?;
    let name = |section: &str| cargo.get(section)?.get("name")?.as_str();
    let name = name("lib")
        .or_else(|| name("package"))
        .ok_or_else(|| anyhow!("{}: no package.name", path.display()))?
        .replace('-', "_");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Ok(dir
        .join(target)
        .join(TARGET)
        .join("release")
        .join(format!("{name}.wasm")))
}
