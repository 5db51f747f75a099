//! How well the prompt predicts the answer.

use super::settings::StudySettings;
use crate::dose_response::likelihood_ratio;
use crate::engine::{
    GenerationSettings, LabEngine, best_layer_probes, generate, project, request_seed,
    run_in_order, single_turn_prompt,
};
use crate::error::{Context as _, Result};
use crate::files::LoadedVector;
use personaguard_persona::page::PromptCorrelation;
use personaguard_persona::stats::{pearson, pearson_within};
use personaguard_persona::{Polarity, TraitSpec};

/// Correlation of `prompt_last` with the answer's log-likelihood ratio, under system prompts that
/// range from suppressing the trait to inducing it.
///
/// # Errors
/// If the engine fails, or the vector is zero at its best layer.
pub(super) async fn correlation(
    engine: &LabEngine,
    vector: &LoadedVector,
    spec: &TraitSpec,
    settings: &StudySettings,
) -> Result<Option<PromptCorrelation>> {
    let sides = |polarity| {
        spec.instructions.iter().map(move |contrast| spec.system_prompt(contrast, polarity))
    };
    let systems: Vec<String> =
        sides(Polarity::Negative).chain([String::new()]).chain(sides(Polarity::Positive)).collect();
    let questions: Vec<&String> = spec.held_out.iter().take(settings.questions).collect();
    let probes = best_layer_probes(std::slice::from_ref(vector))?;
    let work = systems
        .iter()
        .enumerate()
        .flat_map(|(place, system)| {
            questions
                .iter()
                .enumerate()
                .map(move |(index, question)| (place, system.as_str(), index, question.as_str()))
        })
        .collect();
    let point = async |(place, system, index, question)| {
        let name = format!("monitoring/{}/{place}/{index}", spec.name);
        let generation = GenerationSettings {
            max_tokens: settings.max_tokens,
            temperature: 1.0,
            seed: request_seed(settings.seed, &name),
        };
        let prompt = single_turn_prompt(engine, system, question).await?;
        let tokens = generate(engine, prompt.clone(), generation, None).await?;
        // Under another contrast than the one that the answer was generated under.
        let ratio = likelihood_ratio(engine, spec, place, question, &tokens).await?;
        let projections = project(engine, prompt, Vec::new(), &probes).await?;
        let prompt_last = *projections.prompt_last.first().context("a probe read nothing")?;
        Ok((prompt_last, ratio))
    };
    let points = run_in_order("Predicting answers from prompts", work, point).await?;
    let groups: Vec<Vec<(f64, f64)>> =
        points.chunks(questions.len().max(1)).map(<[_]>::to_vec).collect();
    let correlation = pearson(&points).zip(pearson_within(&groups));
    Ok(correlation.map(|(overall, within)| PromptCorrelation { overall, within }))
}
