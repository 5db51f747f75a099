//! What becomes of a request or a file.

use serde::Deserialize;

/// Whether a request or a file is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It does what it says.
    Works,
    /// It is taken, and changes nothing.
    Ignored,
    /// It is taken, and something is said about it.
    Warns,
    /// It is not taken, and a sentence says why and what to do.
    Refused,
}

impl Answer {
    /// Its name in the list.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Ignored => "ignored",
            Self::Warns => "warns",
            Self::Refused => "refused",
        }
    }
}

/// What became of a request or a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Outcome {
    /// Whether it was taken.
    pub answer: Answer,
    /// The status of a refused request, unless it is 400.
    pub status: Option<u16>,
    /// The field that a refused request is told of.
    pub param: Option<String>,
    /// The sentence, word for word.
    pub message: Option<String>,
}

impl Outcome {
    /// It is taken, without a word.
    #[must_use]
    pub fn taken(answer: Answer) -> Self {
        Self { answer, status: None, param: None, message: None }
    }

    /// It is taken or not, and this is said.
    #[must_use]
    pub fn said(answer: Answer, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::taken(answer) }
    }
}
