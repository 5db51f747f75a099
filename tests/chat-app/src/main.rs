//! A small chat service for the demo and the tests.

fn main() {}
