//! One test per bug that was found, named by what was wrong.

use transload_format::Scanner;

use crate::{samples::smallest, vectors::reseal};

fn footer(archive: &[u8]) -> usize {
    archive.len() - 140
}

#[test]
fn a_scanner_forgot_its_error_after_the_last_block() {
    let mut archive = smallest();
    let at = footer(&archive);
    archive[at + 64 + 60] ^= 1;
    reseal(&mut archive, at);
    let mut scanner = Scanner::new();
    scanner.push(&archive);
    let first = loop {
        match scanner.next() {
            Ok(event) => assert!(event.is_some(), "the error comes before the end"),
            Err(error) => break error.to_string(),
        }
    };
    for _ in 0..3 {
        assert_eq!(scanner.next().unwrap_err().to_string(), first);
    }
}
