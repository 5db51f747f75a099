//! What `cargo xtask test` passes to the tests.

use anyhow::{Context, Result};
use std::path::PathBuf;

/// Reads a variable that `cargo xtask test` sets.
///
/// # Errors
/// When it is not set. A test without its cluster fails; it is not skipped.
pub fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| {
        format!(
            "{name} is not set: run `cargo xtask test --only e2e`, which starts what these tests \
             need"
        )
    })
}

/// The same, as a path.
///
/// # Errors
/// When it is not set.
pub fn path(name: &str) -> Result<PathBuf> {
    variable(name).map(PathBuf::from)
}
