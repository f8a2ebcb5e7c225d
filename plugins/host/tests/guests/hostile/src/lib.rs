//! Test guest. It counts readings of assets it was told of, refuses others, and derives the count
//! for each; at a reading of -1 it does what its configuration key `mode` says, and then, where it
//! still can, goes on.

#[cfg(target_arch = "wasm32")]
mod guest;
