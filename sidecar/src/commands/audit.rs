//! `personaguard audit`.

use anyhow::bail;
use clap::{Args, Subcommand};
use personaguard_server::audit::{self, Verified};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Check a log that `serve --audit-log` or `--conversation-log` wrote.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Verify(Verify),
}

/// Detect any edit, gap, truncation or reordering in a log, including its rotated files.
///
/// Each line holds the hash of the line before. Whether lines are missing at the end is told by
/// FILE.head beside the log; whoever can change that file too can truncate the log unnoticed. Keep
/// the last hash elsewhere, therefore: the sidecar writes it to its own log whenever it stops or
/// rotates a file, and --head compares with it.
///
///   kubectl exec POD -c personaguard -- personaguard audit verify /tmp/audit.jsonl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
struct Verify {
    /// The log.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Hash of the last line, as kept elsewhere.
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
}

/// Verifies a log, and prints what it holds.
///
/// # Errors
/// If the log was changed, or cannot be read.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let Action::Verify(Verify { file, head }) = &options.action;
    if head
        .as_ref()
        .is_some_and(|hash| hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        bail!("--head takes a SHA-256 of 64 hexadecimal digits");
    }
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let count = |entry: Value| {
        *kinds.entry(entry["kind"].as_str().unwrap_or("other").to_owned()).or_default() += 1;
    };
    let Verified { first, head, lost } = audit::verify(file, head.as_deref(), count)?;
    println!("whole: lines {first} to {}, last hash {}", head.seq, head.hash);
    let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    println!("entries: {}; lost by the sidecar's own account: {lost}", kinds.join(", "));
    Ok(())
}
