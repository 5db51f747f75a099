//! Choosing the layer by its dose response on the extraction questions.

use super::settings::ExtractSettings;
use crate::dose_response::{DoseResponse, indexed, steering_points};
use crate::engine::LabEngine;
use crate::error::{Context as _, Result};
use personaguard_persona::extraction::CrossFit;
use personaguard_persona::{SteeredAnswer, SteeringPoint, TraitSpec, min_z};

/// How many layers are tried at most.
const MAX_LAYERS: usize = 3;
/// With how many questions each of them is tried at most.
const MAX_QUESTIONS: usize = 12;

/// The dose responses that were measured on the extraction questions.
#[derive(Debug, Default)]
pub struct DoseResponses {
    /// Dose responses by layer, in order of preference.
    pub measured: Vec<(u32, Vec<SteeringPoint>)>,
    /// Layers that were abandoned after their first measure, because their z-score could no longer
    /// exceed that of another layer.
    pub abandoned: Vec<u32>,
}

/// Chooses the first of the preferred layers whose dose response rises at each step by more than
/// its standard error. If none of the first few does, it is the one with the largest z-score. Each
/// question is steered by the vector that was made without it.
///
/// # Errors
/// If the engine fails, or no layer could be tried.
pub(super) async fn choose_layer(
    engine: &LabEngine,
    spec: &TraitSpec,
    settings: &ExtractSettings,
    fit: &CrossFit,
    preferred: &[u32],
) -> Result<(u32, DoseResponses)> {
    let mut responses = DoseResponses::default();
    let mut best: Option<(u32, f64)> = None;
    let questions = indexed(&spec.extract, settings.questions.min(MAX_QUESTIONS));
    for layer in preferred.iter().copied().take(MAX_LAYERS) {
        let response = DoseResponse { engine, spec, layer, max_tokens: settings.tokens };
        let vector = |question: usize| fit.vector_for(u32::try_from(question).ok()?, layer);
        let answers = response.generate(&questions, vector).await?;
        // The z-score of both measures is at most that of the first, so the second is not measured
        // if the first decides already.
        let by_projection = z_score(&answers, |answer| SteeredAnswer {
            response_avg: answer.projection,
            likelihood_ratio: answer.projection,
        });
        if best.is_some_and(|(_, other)| by_projection <= other) {
            responses.abandoned.push(layer);
            continue;
        }
        let measured = response.measure_likelihood(&questions, answers).await?;
        responses.measured.push((layer, steering_points(&measured)));
        let z = z_score(&measured, |answer| answer.measures);
        if best.is_none_or(|(_, other)| z > other) {
            best = Some((layer, z));
        }
        if z > 1.0 {
            break;
        }
    }
    let (layer, _) = best.context(
        "no layer could be tried by steering: lower --layer-step, or raise --steering-questions",
    )?;
    Ok((layer, responses))
}

fn z_score<T>(answers: &[Vec<T>], measures: impl Fn(&T) -> SteeredAnswer) -> f64 {
    let measures: Vec<Vec<SteeredAnswer>> =
        answers.iter().map(|answers| answers.iter().map(&measures).collect()).collect();
    min_z(&measures).unwrap_or(f64::NEG_INFINITY)
}
