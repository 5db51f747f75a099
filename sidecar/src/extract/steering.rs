//! The effect of steering, layer by layer, without a judge: how much more likely the model finds answers that show the
//! trait, against answers that don't, when its own activations are moved along the vector.

use super::plan::Settings;
use super::progress::Progress;
use super::responder::{IN_FLIGHT, Read, score};
use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use personaguard_model::{Capture, Engine, Intervention, Positions};
use personaguard_persona::extraction::CrossFit;

/// Coefficient of the trial: the raw vector itself, once added and once subtracted.
const COEFFICIENT: f32 = 1.0;

/// Effects by layer: nats per token and unit of coefficient, one value a question.
pub type SteeringCurve = Vec<(u32, Vec<f64>)>;

/// A question's contrasted answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial<'a> {
    /// Shows the trait.
    pub(super) positive: &'a Read,
    /// Does not.
    pub(super) negative: &'a Read,
    /// Index of the question.
    pub(super) question: u32,
}

/// Tries steering at every `layer_step`-th layer. Each question is tried with the vector that it had no part in, and its
/// answers are read under no system prompt, so that only the steering speaks for the trait. The last layer is left out:
/// there is no block behind it, so a vector there only moves the odds of single words.
///
/// # Errors
/// If the engine fails.
pub(super) async fn steering_curve(
    engine: &Engine,
    fit: &CrossFit,
    trials: &[Trial<'_>],
    settings: &Settings,
) -> anyhow::Result<SteeringCurve> {
    let all = engine.model().layers();
    let step = settings.layer_step.unwrap_or(all.div_ceil(8)).max(1);
    let layers: Vec<u32> = (step..all).step_by(step).map(|layer| layer as u32).collect();
    let bar = Progress::start("Trying layers by steering", layers.len() * trials.len());
    let work = layers.iter().flat_map(|layer| trials.iter().map(move |trial| (*layer, *trial)));
    let effects: Vec<(u32, f64)> = stream::iter(work)
        .map(|(layer, trial)| {
            let bar = &bar;
            async move {
                let effect = effect(engine, fit, trial, layer).await?;
                bar.step();
                anyhow::Ok((layer, effect))
            }
        })
        .buffered(IN_FLIGHT / 4)
        .try_collect()
        .await?;
    bar.finish();
    Ok(layers
        .iter()
        .map(|layer| (*layer, effects.iter().filter(|(at, _)| at == layer).map(|(_, effect)| *effect).collect()))
        .collect())
}

async fn effect(engine: &Engine, fit: &CrossFit, trial: Trial<'_>, layer: u32) -> anyhow::Result<f64> {
    let vector = fit.vector_for(trial.question, layer).context("a layer has no vector")?;
    let per_token = async |read: &Read, coefficient: f32| {
        let steering = Intervention::add(layer as usize, vector, coefficient, Positions::Response)?;
        let score = score(engine, "", &read.ask.question, &read.tokens, Some(steering), Capture::None).await?;
        anyhow::Ok(score.log_likelihood() / read.tokens.len().max(1) as f64)
    };
    let (up_positive, up_negative, down_positive, down_negative) = futures::try_join!(
        per_token(trial.positive, COEFFICIENT),
        per_token(trial.negative, COEFFICIENT),
        per_token(trial.positive, -COEFFICIENT),
        per_token(trial.negative, -COEFFICIENT),
    )?;
    Ok(((up_positive - up_negative) - (down_positive - down_negative)) / f64::from(2.0 * COEFFICIENT))
}
