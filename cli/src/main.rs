//! kilowatch: the one binary.

fn main() {}
