//! Runs [`transload_format_fuzz::scanner`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| transload_format_fuzz::scanner(data));
