//! How much likelier an answer is if the trait is asked for.

use crate::engine::{LabEngine, log_likelihood, messages_prompt};
use crate::error::Result;
use crate::files::Conversation;
use personaguard_persona::{Polarity, TraitSpec};
use serde_json::json;

/// How many contrasts of a trait the likelihood ratio averages over.
const CONTRASTS: usize = 3;

/// The conversation's prompt under system prompts that replace its own: for each of the trait's
/// first contrasts, the one that asks for the trait and the one that asks for its absence.
///
/// # Errors
/// If the chat template refuses the messages, or vLLM fails.
pub(super) async fn contrasted_prompts(
    engine: &LabEngine,
    conversation: &Conversation,
    spec: &TraitSpec,
) -> Result<Vec<[Vec<u32>; 2]>> {
    let rest = conversation.prompt.iter().skip_while(|message| message["role"] == "system");
    let prompt = async |system: String| {
        let messages: Vec<_> = [json!({ "role": "system", "content": system })]
            .into_iter()
            .chain(rest.clone().cloned())
            .collect();
        messages_prompt(engine, &messages, &conversation.tools).await
    };
    let mut prompts = Vec::new();
    for contrast in spec.instructions.iter().take(CONTRASTS) {
        let [positive, negative] =
            Polarity::BOTH.map(|polarity| prompt(spec.system_prompt(contrast, polarity)));
        prompts.push([positive.await?, negative.await?]);
    }
    Ok(prompts)
}

/// Log-likelihood ratio of a response in nats: how much likelier it is if the trait is asked for
/// than if its absence is, mean over the trait's first contrasts.
///
/// # Errors
/// If the engine refuses or fails.
pub(super) async fn likelihood_ratio(
    engine: &LabEngine,
    conversation: &Conversation,
    response: &[u32],
    spec: &TraitSpec,
) -> Result<f64> {
    let prompts = contrasted_prompts(engine, conversation, spec).await?;
    let signed =
        prompts.iter().flat_map(|[positive, negative]| [(positive, 1.0), (negative, -1.0)]);
    let mut ratio = 0.0;
    for (prompt, sign) in signed {
        let nats = log_likelihood(engine, prompt.clone(), response, None).await?;
        ratio += sign * nats / prompts.len() as f64;
    }
    Ok(ratio)
}
