//! Node.js and the packages of the clients that run in it, in the cache.

use crate::progress::Progress;
use anyhow::{Context, Result};
use personaguard_cluster::{Cache, find_program, run};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The packages with their exact versions, by which what is installed is known.
const LOCK: &str = include_str!("package-lock.json");
/// What is installed, with exact versions: npm would take older ones where the machine's own
/// Node.js is old.
const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("package.json")),
    ("package-lock.json", LOCK),
    ("ai_sdk.mjs", include_str!("ai_sdk.mjs")),
];

/// The folder with Node.js, the packages and the script; none where the machine has no npm.
///
/// # Errors
/// The packages cannot be downloaded.
pub(super) fn ensure(cache: &Cache, progress: &Progress) -> Result<Option<PathBuf>> {
    let Some(npm) = find_program("npm") else { return Ok(None) };
    let folder = cache.join("clients/node");
    fs::create_dir_all(&folder)?;
    for (name, text) in FILES {
        fs::write(folder.join(name), text)?;
    }
    // Written last, so that what was cut short is installed again.
    let stamp = folder.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == LOCK) {
        return Ok(Some(folder));
    }
    progress.step("installing Node.js and the AI SDK from npm (200 MB, once)");
    run(Command::new(npm).current_dir(&folder).args([
        "ci",
        "--prefer-offline",
        "--no-audit",
        "--no-fund",
    ]))
    .context("Node.js and the AI SDK cannot be downloaded from npm")?;
    fs::write(stamp, LOCK)?;
    progress.done();
    Ok(Some(folder))
}
