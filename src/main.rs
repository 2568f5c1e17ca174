//! The `raftkv` program.

fn main() {}
