//! The plan of an extraction: all of its requests.

use super::request::{Purpose, Request};
use super::settings::ExtractSettings;
use crate::error::Result;
use crate::shard::Shard;
use personaguard_persona::extraction::SampleKey;
use personaguard_persona::{BenignPrompts, Polarity, TraitSpec};

/// All requests of an extraction.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Contrasted extraction questions.
    pub(super) extract: Vec<Request>,
    /// Contrasted held-out questions.
    pub(super) held_out: Vec<Request>,
    /// Benign requests.
    pub(super) benign: Vec<Request>,
}

impl Plan {
    /// The requests for a trait.
    pub(super) fn new(
        spec: &TraitSpec,
        benign: &BenignPrompts,
        settings: &ExtractSettings,
    ) -> Self {
        let held_out_pairs = settings.held_out_pairs;
        Self {
            extract: contrasted(spec, &spec.extract, settings, settings.pairs, Purpose::Extract),
            held_out: contrasted(spec, &spec.held_out, settings, held_out_pairs, Purpose::HeldOut),
            benign: neutral(spec, benign, settings),
        }
    }

    /// The requests of one shard. Both sides of a contrast stay together, so that they have equal
    /// weight in each shard.
    pub(super) fn shard(self, shard: Shard) -> Self {
        let part = |requests: Vec<Request>, group: u64| {
            (0_u64..)
                .zip(requests)
                .filter(|(position, _)| shard.contains(position / group))
                .map(|(_, request)| request)
                .collect()
        };
        Self {
            extract: part(self.extract, 2),
            held_out: part(self.held_out, 2),
            benign: part(self.benign, 1),
        }
    }

    /// Every request.
    pub(super) fn all(&self) -> impl Iterator<Item = &Request> {
        self.extract.iter().chain(&self.held_out).chain(&self.benign)
    }
}

/// How many answers an extraction takes, or one shard of it.
///
/// # Errors
/// If the benign requests cannot be read.
pub(super) fn count_answers(
    spec: &TraitSpec,
    settings: &ExtractSettings,
    shard: Option<Shard>,
) -> Result<usize> {
    let plan = Plan::new(spec, &BenignPrompts::builtin()?, settings);
    let plan = match shard {
        Some(shard) => plan.shard(shard),
        None => plan,
    };
    Ok(plan.all().count())
}

/// Questions under both sides of `contrasts` contrasts each. Contrasts take turns over the
/// questions, so that each is used equally often.
fn contrasted(
    spec: &TraitSpec,
    questions: &[String],
    settings: &ExtractSettings,
    contrasts: usize,
    purpose: fn(Polarity, SampleKey) -> Purpose,
) -> Vec<Request> {
    let mut requests = Vec::new();
    for (question, text) in questions.iter().take(settings.questions).enumerate() {
        for turn in 0..contrasts.min(spec.instructions.len()) {
            let contrast = (question * contrasts + turn) % spec.instructions.len();
            for rollout in 0..settings.rollouts {
                for polarity in Polarity::BOTH {
                    let key = SampleKey {
                        question: question as u32,
                        contrast: contrast as u32,
                        rollout: rollout as u32,
                    };
                    let system = spec.system_prompt(&spec.instructions[contrast], polarity);
                    requests.push(Request {
                        purpose: purpose(polarity, key),
                        system,
                        question: text.clone(),
                    });
                }
            }
        }
    }
    requests
}

/// What benign users ask. First the trait's held-out questions without a system prompt, which come
/// close to the trait without asking for it; then everyday requests under each neutral system
/// prompt in turn.
fn neutral(spec: &TraitSpec, benign: &BenignPrompts, settings: &ExtractSettings) -> Vec<Request> {
    let held_out =
        spec.held_out.iter().take(settings.questions).map(|question| (String::new(), question));
    let prompts = &benign.system_prompts;
    let everyday = (0..prompts.len()).flat_map(|turn| {
        benign
            .questions
            .iter()
            .enumerate()
            .map(move |(i, question)| (prompts[(i + turn) % prompts.len()].clone(), question))
    });
    held_out
        .chain(everyday)
        .take(settings.benign)
        .zip(0..)
        .map(|((system, question), index)| Request {
            purpose: Purpose::Benign(index),
            system,
            question: question.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
