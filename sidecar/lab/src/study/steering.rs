//! Dose response with examples.

use super::settings::StudySettings;
use crate::dose_response::{DoseResponse, MeasuredAnswer, indexed, steering_points};
use crate::error::Result;
use crate::files::LoadedVector;
use personaguard_model::Engine;
use personaguard_persona::TraitSpec;
use personaguard_persona::page::SteeringExample;

/// The dose response on held-out questions, with the answers to the first of them.
///
/// # Errors
/// If the engine fails, or the vector is zero at its best layer.
pub(super) async fn examples(
    engine: &Engine,
    vector: &LoadedVector,
    spec: &TraitSpec,
    settings: &StudySettings,
) -> Result<Vec<SteeringExample>> {
    let layer = vector.file.best_layer();
    let response = DoseResponse { engine, spec, layer, max_tokens: settings.max_tokens };
    let best = vector.best()?;
    let questions = indexed(&spec.held_out, settings.questions);
    let answers = response.measure(&questions, |_| Some(best)).await?;
    let question = questions.first().map(|(_, question)| *question).unwrap_or_default();
    let text = |answers: &Vec<MeasuredAnswer>| {
        answers
            .first()
            .map(|answer| engine.model().tokenizer().decode(&answer.tokens))
            .unwrap_or_default()
    };
    Ok(steering_points(&answers)
        .into_iter()
        .zip(&answers)
        .map(|(point, answers)| SteeringExample {
            point,
            question: question.to_owned(),
            answer: text(answers),
        })
        .collect())
}
