//! Where the scores of another server's answer come from.

use super::row_scorer::RowScorer;
use super::scorer::PassScorer;
use super::transcript::Transcript;

/// Where the scores of an answer come from.
#[derive(Debug)]
pub(super) enum Scorer {
    /// Passes of our own engine over its text (placement Proxy).
    Passes(PassScorer),
    /// The plugin in the engine that writes it (placement Engine).
    Rows(Box<RowScorer>),
}

impl Scorer {
    /// Scores what can be scored by now. False where nothing can. Cancel-safe.
    pub(super) async fn step(&mut self, transcript: &mut Transcript, force: bool) -> bool {
        match self {
            Self::Passes(scorer) => scorer.step(transcript, force).await,
            Self::Rows(scorer) => scorer.step(transcript).await,
        }
    }

    /// Scores all of an answer that has come to its end.
    pub(super) async fn finish(&mut self, transcript: &mut Transcript) {
        loop {
            while self.step(transcript, true).await {}
            if !self.expects_more(transcript) {
                return;
            }
            self.woken().await;
        }
    }

    /// Tokens of all prompts.
    pub(super) fn prompt_tokens(&self) -> usize {
        match self {
            Self::Passes(scorer) => scorer.prompt_tokens(),
            Self::Rows(scorer) => scorer.prompt_tokens(),
        }
    }

    /// Whether another step may get further, although the server has sent nothing.
    pub(super) fn expects_more(&self, transcript: &Transcript) -> bool {
        matches!(self, Self::Rows(_)) && transcript.awaits_rows()
    }

    /// Waits until another step may get further, although the server has sent nothing.
    pub(super) async fn woken(&self) {
        match self {
            Self::Passes(_) => std::future::pending().await,
            Self::Rows(scorer) => scorer.woken().await,
        }
    }
}
