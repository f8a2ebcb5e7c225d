//! From a guest's core module to a component.
//!
//! The module carries its interface as wit-bindgen left it; there is no adapter and no WASI, so a
//! module that imports anything else is an error here.

/// A module is not a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a module of a rule: {0}; it must import nothing beyond quartier:rule@1.0.0: no WASI, and \
     target wasm32-unknown-unknown"
)]
pub struct ComponentizeError(String);

/// Makes a component of a core module; the same module gives the same bytes.
///
/// # Errors
/// Not a core module, one without the interface, or one that imports more.
pub fn componentize(core: &[u8]) -> Result<Vec<u8>, ComponentizeError> {
    let encode = || {
        wit_component::ComponentEncoder::default()
            .validate(true)
            .module(core)?
            .encode()
    };
    encode().map_err(|error| ComponentizeError(format!("{error:#}")))
}
