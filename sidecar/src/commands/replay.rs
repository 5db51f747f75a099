//! `personaguard replay`.

use clap::Args;
use personaguard_server::replay::{Replay, replay};
use std::path::PathBuf;

/// Recompute the scores of recorded conversations, and compare them with the recorded scores.
///
/// Reads the log of `serve --conversation-log`, and the model and vectors of a config folder. One
/// teacher-forced pass reads each conversation, under the steering and capping that acted on it;
/// the scores are the same to the last bit. With --audit, they are compared with the audit log, and
/// any difference is an error: the text was changed, or other weights or vectors were in use than
/// the log says.
///
///   personaguard replay --config ./policy --model ./model.gguf --conversations talk.jsonl \
///     --audit audit.jsonl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Config folder with the model and the vectors.
    #[arg(long, env = "PERSONAGUARD_CONFIG", value_name = "DIR")]
    config: PathBuf,
    /// Weight file to use in place of the one that the config names.
    #[arg(long, env = "PERSONAGUARD_MODEL", value_name = "FILE")]
    model: Option<PathBuf>,
    /// Conversation log.
    #[arg(long, value_name = "FILE")]
    conversations: PathBuf,
    /// Audit log of the same time.
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// Only the response with this id.
    #[arg(long, value_name = "ID")]
    response: Option<String>,
}

/// Prints the scores, one line for each response and vector.
///
/// # Errors
/// If a log was changed, the model cannot be loaded, or a score differs.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let Options { config, model, conversations, audit, response } = options;
    let options = Replay { config, model, conversations, audit, response };
    Ok(replay(&options, |line| println!("{line}"))?)
}
