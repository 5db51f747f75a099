//! What all bodies of one response share.

use crate::openai::{CompletionBody, Object, ScoreReport, Usage};

/// The fields that a whole response, or every chunk of it, begins with.
#[derive(Clone, Debug)]
pub(super) struct ResponseHead {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) model: String,
    pub(super) system_fingerprint: String,
    /// How many choices there are.
    pub(super) choices: usize,
}

/// Where a choice's scores are reported.
#[derive(Debug)]
pub(super) struct PlacedScores {
    /// In the choice, where there are several.
    pub(super) in_choice: Option<ScoreReport>,
    /// Beside the only one.
    pub(super) beside: Option<ScoreReport>,
}

impl ResponseHead {
    pub(super) fn place(&self, scores: Option<ScoreReport>) -> PlacedScores {
        if self.choices == 1 {
            PlacedScores { in_choice: None, beside: scores }
        } else {
            PlacedScores { in_choice: scores, beside: None }
        }
    }

    pub(super) fn body<C>(
        &self,
        object: Object,
        choices: Vec<C>,
        usage: Option<Option<Usage>>,
        personaguard: Option<ScoreReport>,
    ) -> CompletionBody<'_, C> {
        CompletionBody {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            system_fingerprint: Some(&self.system_fingerprint),
            choices,
            usage,
            personaguard,
        }
    }
}
