//! Makes a component of a guest's core module: `componentize CORE.wasm COMPONENT.wasm`.

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
    let bytes = quartier_plugin_host::componentize(&std::fs::read(core)?)?;
    let partial = component.with_extension("partial");
    std::fs::write(&partial, bytes)?;
    std::fs::rename(&partial, component)?;
    Ok(())
}
