//! Runs [`transload_format_fuzz::block`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| transload_format_fuzz::block(data));
