//! The requests of an extraction.

use personaguard_persona::Polarity;
use personaguard_persona::extraction::SampleKey;

/// What the answer to a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Purpose {
    /// Making the vector.
    Extract(Polarity, SampleKey),
    /// Validating it.
    HeldOut(Polarity, SampleKey),
    /// Calibrating it.
    Benign(u32),
}

impl Purpose {
    /// A name that is the same in every run: the key in the journal, and of the request's random
    /// stream.
    pub(super) fn name(&self) -> String {
        let contrasted = |set: &str, polarity: &Polarity, key: &SampleKey| {
            let side = if *polarity == Polarity::Positive { "positive" } else { "negative" };
            format!("{set}/{side}/q{}/p{}/r{}", key.question, key.contrast, key.rollout)
        };
        match self {
            Self::Extract(polarity, key) => contrasted("extract", polarity, key),
            Self::HeldOut(polarity, key) => contrasted("held-out", polarity, key),
            Self::Benign(index) => format!("benign/{index}"),
        }
    }
}

/// One request to the model.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// What its answer is for.
    pub(super) purpose: Purpose,
    /// System prompt; empty for none.
    pub(super) system: String,
    /// The user's message.
    pub(super) question: String,
}
