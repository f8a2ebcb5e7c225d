//! quartier
fn main() {}
