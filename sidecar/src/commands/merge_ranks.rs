//! `personaguard merge-ranks`.

use clap::Args;
use personaguard_lab::screen::{MergeSettings, Merged, merge};
use std::path::PathBuf;

/// Rank the shards of a data set together that `screen --shard` screened.
///
///   personaguard merge-ranks ranks.part-0 ranks.part-1 --out ranks.jsonl --report ranks.html
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Files that `screen` wrote (JSON lines), one for each shard.
    #[arg(required = true)]
    parts: Vec<PathBuf>,
    /// File to write: one JSON object per sample, in the order of the first trait's ranks; or a
    /// table, if its name ends with .parquet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Page to write: distributions and the samples at the top, without their text.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// File to write the number of samples to.
    #[arg(long, value_name = "FILE")]
    count_to: Option<PathBuf>,
    /// Remove the parts once they are ranked together.
    #[arg(long)]
    consume: bool,
}

/// Merges, and writes the ranks.
///
/// # Errors
/// What a person should read.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let Options { parts, out, report: page, count_to, consume } = options;
    let settings = MergeSettings { parts, out, page, count_to, consume };
    let Merged { samples } = merge(&settings)?;
    println!(
        "{samples} samples of {} parts; ranks in {}",
        settings.parts.len(),
        settings.out.display()
    );
    Ok(())
}
