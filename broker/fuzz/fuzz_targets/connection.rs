//! Scripts of hostile clients into one broker, which lives as long as the fuzzer.
#![no_main]

use std::sync::OnceLock;

use quartier_broker::fuzz::Connections;

static BROKER: OnceLock<Connections> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|script: &[u8]| BROKER.get_or_init(Connections::start).run(script));
