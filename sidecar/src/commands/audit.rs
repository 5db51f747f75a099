//! `personaguard audit`.

use anyhow::bail;
use clap::{Args, Subcommand};
use personaguard_server::audit::{self, Compared, Head, RecordedGap, Verified};
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
/// FILE.head beside the log. Whoever can change both is found out by an anchor, a head that was
/// kept elsewhere: the PersonaReport has one of each pod (status.pods[].auditLog), and the sidecar
/// writes it to its own log whenever it stops or rotates a file.
///
/// What a start found wrong is told by the log itself, in an entry of kind `gap`. It fails the
/// check if lines are gone; --from passes over what is told of before a line, once it was looked
/// into.
///
///   kubectl exec POD -c personaguard -- personaguard audit verify /tmp/audit.jsonl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
struct Verify {
    /// The log.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Number and hash of a line, as kept elsewhere.
    #[arg(long, value_name = "SEQUENCE:HASH")]
    head: Option<Head>,
    /// Pass over gaps that are told of before this line.
    #[arg(long, value_name = "LINE", default_value_t = 0)]
    from: u64,
}

/// Verifies a log, and prints what it holds.
///
/// # Errors
/// If the log was changed, lines are gone, or it cannot be read.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let Action::Verify(Verify { file, head: anchor, from }) = &options.action;
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let count = |entry: Value| {
        *kinds.entry(entry["kind"].as_str().unwrap_or("other").to_owned()).or_default() += 1;
    };
    let Verified { first, head, lost, gaps, anchor } = audit::verify(file, anchor.as_ref(), count)?;
    let gaps: Vec<_> = gaps.into_iter().filter(|told| told.seq >= *from).collect();
    for RecordedGap { seq, time, gap, .. } in &gaps {
        println!("gap: told by line {seq} at {time}: {}", gap.describe());
    }
    let verdict = if gaps.is_empty() { "whole" } else { "each line as it was written" };
    println!("{verdict}: lines {first} to {}, last hash {}", head.seq, head.hash);
    let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    println!("entries: {}; lost by the sidecar's own account: {lost}", kinds.join(", "));
    match anchor {
        Compared::Older => bail!(
            "the anchor is of a line that is no longer kept, so nothing was compared with it: give \
             a newer one"
        ),
        Compared::LeftOut(seq) if seq >= *from => bail!(
            "the line of the anchor is gone: the log leaves it out, see line {seq}; --from {} \
             passes over it once it was looked into",
            seq + 1
        ),
        Compared::LeftOut(_) => {
            println!("the line of the anchor is gone, by a gap that --from passes over");
        }
        Compared::Nothing | Compared::Same => {}
    }
    if let Some(told) = gaps.iter().rev().find(|told| told.loses_lines(file)) {
        bail!(
            "lines are gone, see line {}: find out who could write the log; --from {} passes over \
             it from then on",
            told.seq,
            told.seq + 1
        );
    }
    Ok(())
}
