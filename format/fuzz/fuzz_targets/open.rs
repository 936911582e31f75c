//! Runs [`transload_format_fuzz::open`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| transload_format_fuzz::open(data));
