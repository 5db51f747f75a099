//! The scores of recorded conversations, computed again and compared with those that were recorded.

mod error;
mod scorer;

pub use error::{ReplayError, ScoringError};

use crate::audit::{self, entry::Conversation, entry::VectorScore};
use crate::config::{self, Source};
use scorer::Scorer;
use serde::Deserialize as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What to replay.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Config folder with the model and the vectors.
    pub config: PathBuf,
    /// Weight file in place of the one that the config names.
    pub model: Option<PathBuf>,
    /// Log of conversations.
    pub conversations: PathBuf,
    /// Audit log of the same time.
    pub audit: Option<PathBuf>,
    /// Only the response with this id.
    pub response: Option<String>,
}

/// Calls `print` with a line for each response and vector.
///
/// # Errors
/// If a log is not as it was written, the model cannot be loaded, or a score differs.
pub fn replay(options: &Replay, mut print: impl FnMut(&str)) -> Result<(), ReplayError> {
    let source = Source {
        folder: options.config.clone(),
        model_file: options.model.clone(),
        labels: None,
        identity: None,
    };
    let config = config::load(&source).map_err(ReplayError::Config)?;
    let file = config.weight_file().map_err(ReplayError::Config)?;
    let scorer = Scorer::load(&config, file).map_err(ReplayError::Model)?;
    let mut recorded = options.audit.as_deref().map(Recorded::read).transpose()?;
    for conversation in conversations(&options.conversations)? {
        let id = &conversation.response_id;
        if options.response.as_ref().is_some_and(|wanted| wanted != id) {
            continue;
        }
        let scores = scorer.scores(&conversation);
        for score in scores.map_err(|source| ReplayError::Response { id: id.clone(), source })? {
            let comparison = match &mut recorded {
                Some(recorded) => recorded.compare(id, &score).map_err(ReplayError::Unwritable)?,
                None => "",
            };
            let number = |value: Option<f64>| value.map_or("-".into(), |value| value.to_string());
            let sections = match score.reasoning_avg {
                None => String::new(),
                reasoning => format!(
                    "  reasoning_avg {}  answer_avg {}",
                    number(reasoning),
                    number(score.answer_avg)
                ),
            };
            print(&format!(
                "{id}  {}  prompt_last {}  response_avg {}{sections}{comparison}",
                score.vector,
                number(score.prompt_last),
                number(score.response_avg)
            ));
        }
    }
    match recorded {
        Some(Recorded { compared, differing, .. }) if differing > 0 => {
            return Err(ReplayError::Differs { differing, compared });
        }
        Some(Recorded { compared: 0, .. }) => return Err(ReplayError::NothingRecorded),
        Some(Recorded { compared, .. }) => {
            print(&format!("{compared} scores, each as recorded to the last bit"));
        }
        None => {}
    }
    Ok(())
}

/// The conversations of a log, after it was verified.
fn conversations(log: &Path) -> Result<Vec<Conversation>, ReplayError> {
    let mut conversations = Vec::new();
    audit::verify(log, None, |entry| {
        if entry["kind"] == Conversation::KIND {
            conversations.push(serde_json::from_value(entry));
        }
    })
    .map_err(ReplayError::Log)?;
    let conversations: Result<_, _> = conversations.into_iter().collect();
    conversations.map_err(ReplayError::Entry)
}

/// Scores of an audit log, and how many were compared.
struct Recorded {
    /// By response and vector.
    scores: BTreeMap<(String, String), VectorScore>,
    compared: u32,
    differing: u32,
}

impl Recorded {
    fn read(log: &Path) -> Result<Self, ReplayError> {
        let mut scores = BTreeMap::new();
        audit::verify(log, None, |entry| {
            let Some(id) = entry["response_id"].as_str() else { return };
            for score in entry["scores"].as_array().into_iter().flatten() {
                if let Ok(score) = VectorScore::deserialize(score) {
                    scores.insert((id.to_owned(), score.vector.clone()), score);
                }
            }
        })
        .map_err(ReplayError::Log)?;
        Ok(Self { scores, compared: 0, differing: 0 })
    }

    /// Compares a score with the recorded one; how it compares, for the printed line.
    fn compare(&mut self, id: &str, score: &VectorScore) -> serde_json::Result<&'static str> {
        let Some(recorded) = self.scores.get(&(id.to_owned(), score.vector.clone())) else {
            return Ok("  not in the audit log");
        };
        // As it reads after it was written.
        let computed: VectorScore = serde_json::from_str(&serde_json::to_string(score)?)?;
        self.compared += 1;
        if computed == *recorded {
            Ok("  as recorded")
        } else {
            self.differing += 1;
            Ok("  NOT as recorded")
        }
    }
}
