//! `personaguard replay`.

use clap::Args;
use personaguard_server::replay::{Replay, replay};
use std::path::PathBuf;

/// Compute the scores of recorded conversations anew, and compare them with those that were
/// recorded.
///
/// Takes the log of `serve --conversation-log`, and the model and vectors of a config folder. One
/// teacher-forced pass reads each conversation, with the steering and caps that acted on it; the
/// scores come out the same to the last bit. With --audit they are compared with the audit log, and
/// any difference is an error: the text was changed, or other weights or vectors were in use than
/// the log says.
///
/// Example:
///
///   personaguard replay --config ./policy --model ./model.gguf --conversations talk.jsonl --audit
///   audit.jsonl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Config folder that has the model and the vectors.
    #[arg(long, env = "PERSONAGUARD_CONFIG", value_name = "DIR")]
    config: PathBuf,
    /// Weight file in place of the one that the config names.
    #[arg(long, env = "PERSONAGUARD_MODEL", value_name = "FILE")]
    model: Option<PathBuf>,
    /// Log of conversations.
    #[arg(long, value_name = "FILE")]
    conversations: PathBuf,
    /// Audit log of the same time.
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// Only the response of this id.
    #[arg(long, value_name = "ID")]
    response: Option<String>,
}

/// Prints the scores, one line for each response and vector.
///
/// # Errors
/// A log is not as it was written, the model cannot be loaded, or a score differs.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let Options { config, model, conversations, audit, response } = options;
    replay(&Replay { config, model, conversations, audit, response }, |line| println!("{line}"))
}
