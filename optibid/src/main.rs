//! optibid
fn main() {}
