//! From a description to a trait: a language model writes contrastive instructions, questions and a
//! rubric, and what it writes is checked.

use crate::endpoint::{Endpoint, Question};
use crate::engine::{GenerationSettings, LabEngine, generate, single_turn_prompt};
use crate::error::{Context as _, Result};
use personaguard_persona::{DraftPart, TraitDraft, TraitSpec};

/// How many replies are asked for at most. A complete trait takes at least three: pairs, questions
/// and rubric.
const MAX_REPLIES: usize = 12;

/// Longest reply, in tokens.
fn max_tokens(part: DraftPart) -> usize {
    match part {
        DraftPart::Pairs => 600,
        DraftPart::Questions => 1200,
        DraftPart::Rubric => 300,
    }
}

/// Which language model writes a trait.
#[derive(Clone, Copy, Debug)]
pub enum TraitGenerator<'a> {
    /// A model behind an endpoint.
    Endpoint(&'a Endpoint),
    /// The model that the vector is to be extracted from.
    Model(&'a LabEngine),
}

impl TraitGenerator<'_> {
    /// Generates a trait.
    ///
    /// # Errors
    /// If the model fails, or has not written a complete trait after a dozen replies.
    pub async fn generate(self, name: &str, description: &str) -> Result<TraitSpec> {
        let mut draft = TraitDraft::new(name, description);
        for attempt in 0..MAX_REPLIES {
            let Some(part) = draft.next_part() else { break };
            eprintln!("Writing the trait: {part:?} …");
            let prompt = draft.prompt_for(part);
            let reply = self.ask(&prompt, max_tokens(part), attempt as u64).await?;
            draft.add(part, &reply);
        }
        draft.finish().with_context(|| match self {
            Self::Endpoint(endpoint) => format!(
                "{} could not write the trait in {MAX_REPLIES} replies: name a more capable model \
                 with --endpoint-model",
                endpoint.model()
            ),
            Self::Model(engine) => format!(
                "{} could not write the trait in {MAX_REPLIES} replies, it is too small for that: \
                 have another model write it (--endpoint URL --endpoint-model NAME), or write it \
                 yourself (--trait-file)",
                engine.name()
            ),
        })
    }

    async fn ask(self, text: &str, max_tokens: usize, seed: u64) -> Result<String> {
        match self {
            Self::Endpoint(endpoint) => {
                let question = Question {
                    text,
                    max_tokens: 2 * max_tokens,
                    temperature: 1.0,
                    alternatives: false,
                };
                Ok(endpoint.ask(question).await?.text)
            }
            Self::Model(engine) => {
                let prompt = single_turn_prompt(engine, "", text).await?;
                let room = engine.context_length().saturating_sub(prompt.len());
                let settings =
                    GenerationSettings { max_tokens: max_tokens.min(room), temperature: 0.7, seed };
                let tokens = generate(engine, prompt, settings, None).await?;
                engine.decode(&tokens).await
            }
        }
    }
}
