//! Makes a component of a guest's core module: `componentize CORE.wasm COMPONENT.wasm`.
//!
//! The module carries its interface as wit-bindgen left it; there is no adapter and no WASI, so a
//! module that imports anything else is an error here.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [core, component] = args.as_slice() else {
        eprintln!("usage: componentize CORE.wasm COMPONENT.wasm");
        return ExitCode::from(2);
    };
    match componentize(core, component) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("componentize: {}: {error:#}", core.display());
            ExitCode::FAILURE
        }
    }
}

fn componentize(core: &Path, component: &Path) -> Result<(), Box<dyn Error>> {
    let module = std::fs::read(core)?;
    let bytes = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&module)?
        .encode()?;
    let partial = component.with_extension("partial");
    std::fs::write(&partial, bytes)?;
    std::fs::rename(&partial, component)?;
    Ok(())
}
