//! Any bytes into the codec.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quartier_broker::fuzz::packet(bytes));
