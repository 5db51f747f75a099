//! What is asked: the design of an extraction, as a list of requests.

use super::shard::Shard;
use personaguard_persona::extraction::SampleKey;
use personaguard_persona::{BenignPrompts, Polarity, TraitSpec};
use serde::Serialize;

/// What a user chooses.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Longest answer in tokens.
    pub tokens: usize,
    /// Questions to extract from, and as many held out.
    pub questions: usize,
    /// Instruction pairs with which each extraction question is asked.
    pub pairs: usize,
    /// Instruction pairs with which each held-out question is asked; they take turns.
    pub held_out_pairs: usize,
    /// Answers to each question under each instruction.
    pub rollouts: usize,
    /// Sampling temperature; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Seed of sampling, bootstrap and permutations.
    pub seed: u64,
    /// Bootstrap resamples and permutations.
    pub draws: usize,
    /// Layers between those at which steering is tried; an eighth of the model's where not given.
    pub layer_step: Option<usize>,
    /// Extraction questions with which steering is tried.
    pub steering_questions: usize,
    /// Benign answers for the calibration, at most.
    pub benign: usize,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Purpose {
    /// Makes the vector.
    Extract(Polarity, SampleKey),
    /// Validates it.
    HeldOut(Polarity, SampleKey),
    /// Calibrates it.
    Benign(u32),
}

impl Purpose {
    /// A name that is the same in every run: key of the journal, and of the request's random
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
pub(super) struct Ask {
    /// What for.
    pub(super) purpose: Purpose,
    /// System prompt; empty for none.
    pub(super) system: String,
    /// The user's message.
    pub(super) question: String,
}

/// All requests of an extraction.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Contrasted, to extract.
    pub(super) extract: Vec<Ask>,
    /// Contrasted, held out.
    pub(super) held_out: Vec<Ask>,
    /// Benign.
    pub(super) benign: Vec<Ask>,
}

impl Plan {
    /// The requests for a trait.
    pub(super) fn new(spec: &TraitSpec, benign: &BenignPrompts, settings: &Settings) -> Self {
        Self {
            extract: contrasted(spec, &spec.extract, settings, settings.pairs, Purpose::Extract),
            held_out: contrasted(
                spec,
                &spec.held_out,
                settings,
                settings.held_out_pairs,
                Purpose::HeldOut,
            ),
            benign: neutral(spec, benign, settings),
        }
    }

    /// The requests of one shard. Both sides of a contrast stay together, so that shards weigh
    /// alike.
    pub(super) fn part(self, shard: Shard) -> Self {
        let of = |asks: Vec<Ask>, together: u64| {
            let places = (0_u64..).zip(asks).filter(|(place, _)| shard.takes(place / together));
            places.map(|(_, ask)| ask).collect()
        };
        Self {
            extract: of(self.extract, 2),
            held_out: of(self.held_out, 2),
            benign: of(self.benign, 1),
        }
    }

    /// Every request.
    pub(super) fn all(&self) -> impl Iterator<Item = &Ask> {
        self.extract.iter().chain(&self.held_out).chain(&self.benign)
    }
}

/// Answers that an extraction takes in all, or one shard of it.
///
/// # Errors
/// If the everyday requests cannot be read.
pub fn answers(
    spec: &TraitSpec,
    settings: &Settings,
    shard: Option<Shard>,
) -> anyhow::Result<usize> {
    let plan = Plan::new(spec, &BenignPrompts::builtin()?, settings);
    let plan = match shard {
        Some(shard) => plan.part(shard),
        None => plan,
    };
    Ok(plan.all().count())
}

fn contrasted(
    spec: &TraitSpec,
    questions: &[String],
    settings: &Settings,
    pairs: usize,
    purpose: fn(Polarity, SampleKey) -> Purpose,
) -> Vec<Ask> {
    let mut asks = Vec::new();
    for (question, text) in questions.iter().take(settings.questions).enumerate() {
        for turn in 0..pairs.min(spec.instructions.len()) {
            // Every pair takes its turn equally often, whatever the number of questions.
            let pair = (question * pairs + turn) % spec.instructions.len();
            for rollout in 0..settings.rollouts {
                for polarity in Polarity::BOTH {
                    let key = SampleKey {
                        question: question as u32,
                        contrast: pair as u32,
                        rollout: rollout as u32,
                    };
                    let system = spec.system_prompt(&spec.instructions[pair], polarity);
                    asks.push(Ask {
                        purpose: purpose(polarity, key),
                        system,
                        question: text.clone(),
                    });
                }
            }
        }
    }
    asks
}

/// Everyday requests under each neutral system prompt in turn, and the trait's held-out questions
/// under none: what benign users ask, and the questions that come nearest to the trait without
/// asking for it.
fn neutral(spec: &TraitSpec, benign: &BenignPrompts, settings: &Settings) -> Vec<Ask> {
    let near =
        spec.held_out.iter().take(settings.questions).map(|question| (String::new(), question));
    let systems = benign.system_prompts.len();
    let everyday = (0..systems).flat_map(|turn| {
        benign.questions.iter().enumerate().map(move |(i, question)| {
            (benign.system_prompts[(i + turn) % systems].clone(), question)
        })
    });
    near.chain(everyday)
        .take(settings.benign)
        .zip(0..)
        .map(|((system, question), index)| Ask {
            purpose: Purpose::Benign(index),
            system,
            question: question.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn settings() -> Settings {
        Settings {
            tokens: 48,
            questions: 20,
            pairs: 5,
            held_out_pairs: 2,
            rollouts: 1,
            temperature: 1.0,
            seed: 1,
            draws: 100,
            layer_step: None,
            steering_questions: 10,
            benign: 1000,
        }
    }

    #[test]
    fn every_request_has_a_name_of_its_own_and_both_sides_are_equal_in_number() {
        let plan = Plan::new(
            &TraitSpec::builtin("evil").unwrap(),
            &BenignPrompts::builtin().unwrap(),
            &settings(),
        );
        let all: Vec<&Ask> = plan.all().collect();
        let names: BTreeSet<String> = all.iter().map(|ask| ask.purpose.name()).collect();
        assert_eq!(names.len(), all.len());
        assert_eq!((plan.extract.len(), plan.held_out.len()), (200, 80));
        let positive = |asks: &[Ask]| {
            asks.iter().filter(|ask| ask.purpose.name().contains("positive")).count()
        };
        assert_eq!((positive(&plan.extract), positive(&plan.held_out)), (100, 40));
    }

    #[test]
    fn shards_share_the_requests_and_keep_contrasts_together() {
        let plan = Plan::new(
            &TraitSpec::builtin("evil").unwrap(),
            &BenignPrompts::builtin().unwrap(),
            &settings(),
        );
        let mut names = Vec::new();
        for shard in ["0/3", "1/3", "2/3"] {
            let part = plan.clone().part(shard.parse().unwrap());
            assert!(
                part.extract
                    .chunks(2)
                    .all(|pair| pair[0].question == pair[1].question && pair.len() == 2)
            );
            names.extend(part.all().map(|ask| ask.purpose.name()).collect::<Vec<_>>());
        }
        names.sort();
        let mut all: Vec<String> = plan.all().map(|ask| ask.purpose.name()).collect();
        all.sort();
        assert_eq!(names, all);
    }

    #[test]
    fn pairs_take_turns_over_the_held_out_questions() {
        let plan = Plan::new(
            &TraitSpec::builtin("evil").unwrap(),
            &BenignPrompts::builtin().unwrap(),
            &settings(),
        );
        let mut uses = [0; 5];
        for ask in &plan.held_out {
            if let Purpose::HeldOut(_, key) = ask.purpose {
                uses[key.contrast as usize] += 1;
            }
        }
        assert_eq!(uses, [16; 5]);
    }
}
