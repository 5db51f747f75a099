//! Dose response with examples.

use super::settings::StudySettings;
use crate::dose_response::{DoseResponse, indexed, steering_points};
use crate::engine::LabEngine;
use crate::error::Result;
use crate::files::LoadedVector;
use personaguard_persona::TraitSpec;
use personaguard_persona::page::SteeringExample;

/// The dose response on held-out questions, with the answers to the first of them.
///
/// # Errors
/// If the engine fails, or the vector is zero at its best layer.
pub(super) async fn examples(
    engine: &LabEngine,
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
    let mut examples = Vec::new();
    for (point, answers) in steering_points(&answers).into_iter().zip(&answers) {
        let answer = match answers.first() {
            Some(answer) => engine.decode(&answer.tokens).await?,
            None => String::new(),
        };
        examples.push(SteeringExample { point, question: question.to_owned(), answer });
    }
    Ok(examples)
}
