//! `cargo xtask crdgen`.

#[path = "../src/crdgen.rs"]
mod crdgen;

fn main() -> anyhow::Result<()> {
    crdgen::run(std::env::args().any(|argument| argument == "--check"))
}
