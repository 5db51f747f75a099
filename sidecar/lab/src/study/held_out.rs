//! Answers to held-out questions, scored by all vectors.

use super::settings::StudySettings;
use crate::engine::{
    GenerationSettings, LabEngine, best_layer_probes, generate, project, request_seed,
    run_in_order, single_turn_prompt,
};
use crate::error::Result;
use crate::files::LoadedVector;
use personaguard_persona::stats::{LabelledScore, auroc};
use personaguard_persona::{Polarity, TraitSpec};

/// An answer to a held-out question of one trait.
pub(super) struct HeldOutAnswer {
    /// Whether it was asked to show the trait.
    pub(super) polarity: Polarity,
    /// System prompt.
    pub(super) system: String,
    /// Question.
    pub(super) question: String,
    /// Its tokens.
    pub(super) tokens: Vec<u32>,
    /// Its score by each of the vectors.
    pub(super) scores: Vec<f64>,
    /// Its score by each of the vectors after rescoring under a neutral system prompt.
    pub(super) rescored: Vec<f64>,
}

/// Answers to a trait's held-out questions, each under both sides of one contrast. Empty answers
/// are left out.
///
/// # Errors
/// If the engine fails, or a vector is zero at its best layer.
pub(super) async fn contrasted_answers(
    engine: &LabEngine,
    vectors: &[LoadedVector],
    spec: &TraitSpec,
    settings: &StudySettings,
) -> Result<Vec<HeldOutAnswer>> {
    let probes = best_layer_probes(vectors)?;
    let work = spec
        .held_out
        .iter()
        .take(settings.questions)
        .enumerate()
        .flat_map(|(index, question)| Polarity::BOTH.map(|polarity| (index, question, polarity)))
        .collect();
    let answers =
        run_in_order("Answering under contrasts", work, async |(index, question, polarity)| {
            let contrast = &spec.instructions[index % spec.instructions.len()];
            let system = spec.system_prompt(contrast, polarity);
            let name = format!("study/{}/{index}/{polarity:?}", spec.name);
            let generation = GenerationSettings {
                max_tokens: settings.max_tokens,
                temperature: 1.0,
                seed: request_seed(settings.seed, &name),
            };
            let prompt = async |system: &str| single_turn_prompt(engine, system, question).await;
            let tokens = generate(engine, prompt(&system).await?, generation, None).await?;
            let generated =
                project(engine, prompt(&system).await?, tokens.clone(), &probes).await?;
            let rescored = project(engine, prompt("").await?, tokens.clone(), &probes).await?;
            let scores = generated.response_avg.zip(rescored.response_avg);
            let question: &String = question;
            Ok(scores.map(|(scores, rescored)| HeldOutAnswer {
                polarity,
                system,
                question: question.clone(),
                tokens,
                scores,
                rescored,
            }))
        });
    Ok(answers.await?.into_iter().flatten().collect())
}

/// AUROC of a score on answers; NaN unless both polarities occur.
pub(super) fn cross_auroc(answers: &[HeldOutAnswer], score: impl Fn(&HeldOutAnswer) -> f64) -> f64 {
    let scores: Vec<LabelledScore> = answers
        .iter()
        .map(|answer| LabelledScore {
            score: score(answer),
            positive: answer.polarity == Polarity::Positive,
            cluster: 0,
        })
        .collect();
    auroc(&scores).unwrap_or(f64::NAN)
}
