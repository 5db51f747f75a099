//! Reconciles persona policies into guarded pods.

fn main() {}
