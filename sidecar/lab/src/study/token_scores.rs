//! Two answers token by token.

use super::held_out::HeldOutAnswer;
use crate::engine::{LabEngine, best_layer_probes, project_token_by_token, single_turn_prompt};
use crate::error::{Context as _, Result};
use crate::files::LoadedVector;
use personaguard_model::Engine;
use personaguard_persona::Polarity;
use personaguard_persona::page::TokenScores;

/// Token by token, the answer with the highest score among those that were asked to show the trait,
/// and the one with the lowest score among the others. `index` is that of the vector.
///
/// # Errors
/// If the engine fails, or the vector is zero at its best layer.
pub(super) async fn extremes(
    own: &Engine,
    vector: &LoadedVector,
    answers: &[HeldOutAnswer],
    index: usize,
) -> Result<Vec<TokenScores>> {
    let with = |polarity| answers.iter().filter(move |answer| answer.polarity == polarity);
    let by_score =
        |a: &&HeldOutAnswer, b: &&HeldOutAnswer| a.scores[index].total_cmp(&b.scores[index]);
    let highest = with(Polarity::Positive).max_by(by_score);
    let lowest = with(Polarity::Negative).min_by(by_score);
    let mut shown = Vec::new();
    let engine = LabEngine::Own(own.clone());
    let probe = best_layer_probes(std::slice::from_ref(vector))?;
    let probe = probe.first().context("there is no probe")?;
    for (answer, asked) in [(highest, "asked to show the trait"), (lowest, "asked not to")] {
        let Some(answer) = answer else { continue };
        let prompt = single_turn_prompt(&engine, &answer.system, &answer.question).await?;
        let scores = project_token_by_token(own, prompt, answer.tokens.clone(), probe).await?;
        let mut text = own.model().tokenizer().decode_stream();
        let tokens =
            answer.tokens.iter().zip(scores).map(|(token, score)| (text.push(*token), score));
        let tokens = tokens.collect();
        shown.push(TokenScores { title: format!("{} ({asked})", answer.question), tokens });
    }
    Ok(shown)
}
