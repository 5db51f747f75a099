//! From a description to a trait: an endpoint, or without one the model itself, writes contrastive
//! instructions, questions and a rubric; what it writes is checked.

use super::endpoint::{Endpoint, Question};
use super::responder::{Answering, prompt, write};
use anyhow::Context as _;
use personaguard_model::Engine;
use personaguard_persona::{DraftPart, TraitDraft, TraitSpec};

/// Answers that are asked for, at most: pairs, questions and rubric, with a few more tries each.
const TRIES: usize = 12;
/// Longest answer in tokens.
fn longest(part: DraftPart) -> usize {
    match part {
        DraftPart::Pairs => 600,
        DraftPart::Questions => 1200,
        DraftPart::Rubric => 300,
    }
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub enum Author<'a> {
    /// A language model behind an endpoint.
    Endpoint(&'a Endpoint),
    /// The model from which the vector is to be extracted.
    Model(&'a Engine),
}

impl Author<'_> {
    /// Writes a trait.
    ///
    /// # Errors
    /// If what was written is not a complete trait after a dozen answers, or the author fails.
    pub async fn write(self, name: &str, description: &str) -> anyhow::Result<TraitSpec> {
        let mut draft = TraitDraft::new(name, description);
        for attempt in 0..TRIES {
            let Some(part) = draft.next_part() else { break };
            eprintln!("Writing the trait: {part:?} …");
            let answer = self.ask(&draft.prompt_for(part), longest(part), attempt as u64).await?;
            draft.add(part, &answer);
        }
        draft.finish().with_context(|| match self {
            Self::Endpoint(endpoint) => format!(
                "{} could not write the trait in {TRIES} answers: name a more capable model with --endpoint-model",
                endpoint.model()
            ),
            Self::Model(engine) => format!(
                "{} could not write the trait in {TRIES} answers, it is too small for that: have another model write it \
                 (--endpoint URL --endpoint-model NAME), or write it yourself (--trait-file)",
                engine.model().name()
            ),
        })
    }

    async fn ask(self, text: &str, tokens: usize, seed: u64) -> anyhow::Result<String> {
        match self {
            Self::Endpoint(endpoint) => {
                let question =
                    Question { text, tokens: 2 * tokens, temperature: 1.0, alternatives: false };
                Ok(endpoint.ask(question).await?.text)
            }
            Self::Model(engine) => {
                let prompt = prompt(engine.model(), "", text)?;
                let room = engine.model().context_length().saturating_sub(prompt.len());
                let how = Answering { tokens: tokens.min(room), temperature: 0.7, seed };
                let tokens = write(engine, prompt, how, None).await?;
                Ok(engine.model().tokenizer().decode(&tokens))
            }
        }
    }
}
