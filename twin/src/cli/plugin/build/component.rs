//! Core modules to components, and what a component may import.

use anyhow::{Context as _, anyhow, bail};
use quartier_plugin_host::{Manifest, Package, WIT, componentize};
use wit_component::{DecodedWasm, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::cli::because;

const TWIN: &str = "quartier:rule/twin@1.0.0";
/// What the world of the interface offers.
const WORLD: [&str; 3] = ["quartier:rule/types@1.0.0", "quartier:rule/log@1.0.0", TWIN];

/// The component of a module that carries its interface.
pub(super) fn of_module(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    Ok(componentize(module)?)
}

/// The component of a module that does not: the interface is `wit`.
pub(super) fn with_interface(mut module: Vec<u8>, wit: &str) -> anyhow::Result<Vec<u8>> {
    let path = "vendor/wit/rule.wit";
    let mut resolve = Resolve::default();
    let package = resolve.push_str(path, wit).map_err(because(path))?;
    let world = resolve
        .select_world(&[package], Some("lab-rule"))
        .map_err(because(path))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    of_module(&module)
}

/// What the host will hold against it, before anybody tries to deploy it.
pub(super) fn check(component: &[u8], manifest: &Manifest) -> anyhow::Result<()> {
    if component.len() > Package::MAX_COMPONENT {
        bail!(
            "the component has {} bytes; a node takes {} at most",
            component.len(),
            Package::MAX_COMPONENT
        );
    }
    let decoded = wit_component::decode(component).context("what was built is not a component")?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        bail!("what was built is an interface, not a component");
    };
    let world = resolve
        .worlds
        .get(world)
        .ok_or_else(|| anyhow!("what was built has no world"))?;
    for key in world.imports.keys() {
        let import = resolve.name_world_key(key);
        if !WORLD.contains(&import.as_str()) {
            bail!("the component imports {import}, which {WIT} does not offer");
        }
        if import == TWIN && manifest.reads.properties.is_empty() {
            bail!("the component imports {TWIN}, but manifest.toml has no reads.properties");
        }
    }
    let rule = "quartier:rule/rule@1.0.0";
    let exports = |key| resolve.name_world_key(key) == rule;
    match world.exports.keys().any(exports) {
        true => Ok(()),
        false => Err(anyhow!("the component does not export {rule}")),
    }
}
