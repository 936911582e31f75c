//! The committed corpora of the fuzz targets, run through the same code as the fuzzer runs, on any toolchain.

use std::{fs, path::PathBuf};

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library when it is fuzzed")]
mod targets;

#[test]
fn every_input_of_the_corpora_keeps_the_promises_of_its_target() {
    for (name, run) in targets::TARGETS {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let mut inputs: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{name} has a corpus");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            let ran = std::panic::catch_unwind(|| run(&bytes));
            assert!(ran.is_ok(), "{name} fails on {}", input.display());
        }
    }
}
