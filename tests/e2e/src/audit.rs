//! The API server's audit log: who wrote what.

use crate::environment;
use anyhow::{Context, Result};
use serde_json::Value;
use std::io::{BufRead, BufReader, Seek, SeekFrom};

/// A position in the audit log.
pub struct Mark(u64);

/// The current end of the log.
///
/// # Errors
/// When the log cannot be read.
pub fn mark() -> Result<Mark> {
    let path = environment::path("PERSONAGUARD_TEST_AUDIT_LOG")?;
    let length = std::fs::metadata(&path).with_context(|| format!("{}", path.display()))?.len();
    Ok(Mark(length))
}

/// Writing requests since `mark` by users whose name contains `user`, as `verb resource
/// namespace/name`.
///
/// # Errors
/// When the log cannot be read.
pub fn writes_since(mark: &Mark, user: &str) -> Result<Vec<String>> {
    let path = environment::path("PERSONAGUARD_TEST_AUDIT_LOG")?;
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(mark.0))?;
    let mut writes = Vec::new();
    for line in BufReader::new(file).lines() {
        let Ok(event) = serde_json::from_str::<Value>(&line?) else { continue };
        let by_user = event["user"]["username"].as_str().is_some_and(|name| name.contains(user));
        let verb = event["verb"].as_str().unwrap_or_default();
        let changes = ["create", "update", "patch", "delete", "deletecollection"].contains(&verb);
        if by_user && changes && event["stage"] == "ResponseComplete" {
            let object = &event["objectRef"];
            writes.push(format!(
                "{verb} {} {}/{}",
                object["resource"].as_str().unwrap_or("?"),
                object["namespace"].as_str().unwrap_or("-"),
                object["name"].as_str().unwrap_or("-")
            ));
        }
    }
    Ok(writes)
}
