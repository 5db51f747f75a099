//! Serves a language model and guards what it says by its own activations.

fn main() {}
