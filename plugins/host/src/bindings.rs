//! The interface of `plugins/wit/rule.wit` as wasmtime sees it; not visible outside the crate.
#![allow(missing_docs, reason = "generated from rule.wit, which is documented")]
#![allow(unreachable_pub, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "lab-rule",
    imports: { default: trappable },
    ownership: Borrowing { duplicate_if_necessary: true },
});
