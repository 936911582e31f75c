//! The transload binary.

fn main() {}
