//! Developer commands: crdgen, image, cluster, demo, test.

fn main() {}
