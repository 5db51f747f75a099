//! The effect of steering, layer by layer.
//!
//! With a judge, it is how much more the trait shows in answers that are generated while the vector
//! is added than while it is subtracted. Without one, it is how much likelier the model finds
//! answers that show the trait, relative to answers that do not, when the vector is added to its
//! activations.

use super::journal::{Journal, Rating};
use super::judge::Judge;
use super::scored_answer::ScoredAnswer;
use super::settings::ExtractSettings;
use crate::engine::{
    GenerationSettings, IN_FLIGHT, LabEngine, Steering, generate, log_likelihood,
    single_turn_prompt,
};
use crate::error::{Context as _, LabError, Result};
use crate::progress::Progress;
use futures::{StreamExt as _, stream};
use personaguard_persona::extraction::CrossFit;

/// The coefficient that is tried: the raw vector itself, once added and once subtracted.
const COEFFICIENT: f32 = 1.0;

/// Effects at a layer per unit of coefficient, one value for each question: in points of the judge,
/// or without one in nats per token.
pub(super) type LayerEffects = (u32, Vec<f64>);

/// The contrasted answers to one question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial<'a> {
    /// Asked to show the trait.
    pub(super) positive: &'a ScoredAnswer,
    /// Asked not to.
    pub(super) negative: &'a ScoredAnswer,
    /// Index of the question.
    pub(super) question: u32,
}

/// Tries steering at every `layer_step`-th layer. Each question is tried with the vector that was
/// made without it. Its answers are read under no system prompt, so that only steering brings the
/// trait in. The last layer is left out: with no block after it, a vector there only changes the
/// odds of single words.
///
/// # Errors
/// If the engine or the judge fails, or the journal cannot be written.
pub(super) async fn steering_effects(
    engine: &LabEngine,
    fit: &CrossFit,
    trials: &[Trial<'_>],
    settings: &ExtractSettings,
    judge: Option<&Judge<'_>>,
    journal: &mut Journal,
) -> Result<Vec<LayerEffects>> {
    let all = engine.layers();
    let step = settings.layer_step.unwrap_or(all.div_ceil(8)).max(1);
    let layers: Vec<u32> = (step..all).step_by(step).map(|layer| layer as u32).collect();
    let bar = Progress::start("Trying layers by steering", layers.len() * trials.len());
    let work = layers.iter().flat_map(|layer| trials.iter().map(move |trial| (*layer, *trial)));
    let work: Vec<_> = work
        .map(|(layer, trial)| {
            let names =
                [1, -1].map(|sign| format!("steering/l{layer}/q{}/{sign:+}", trial.question));
            let known = judge.and_then(|judge| {
                let [up, down] =
                    names.each_ref().map(|name| journal.rating(name, judge.model()).cloned());
                Some([up?.trait_score, down?.trait_score])
            });
            (layer, trial, names, known)
        })
        .collect();
    let mut arriving = stream::iter(work)
        .map(|(layer, trial, names, known)| async move {
            let vector = fit.vector_for(trial.question, layer).context("a layer has no vector")?;
            let steered = SteeredModel { engine, layer: layer as usize, vector };
            let effect = match (judge, known) {
                (Some(_), Some(scores)) => Effect::Judged { names, scores, new: false },
                (Some(judge), None) => {
                    let scores = steered.trait_scores(trial, judge, settings.tokens).await?;
                    Effect::Judged { names, scores, new: true }
                }
                (None, _) => Effect::Likelihood(steered.likelihood_change(trial).await?),
            };
            Ok::<_, LabError>((layer, effect))
        })
        .buffered(IN_FLIGHT / 4);
    let mut effects: Vec<(u32, Option<f64>)> = Vec::new();
    while let Some(effect) = arriving.next().await {
        let (layer, effect) = effect?;
        let effect = match effect {
            Effect::Likelihood(effect) => Some(effect),
            Effect::Judged { names, scores, new } => {
                for (rated, trait_score) in names.into_iter().zip(scores).filter(|_| new) {
                    let judge = judge.map(|judge| judge.model().to_owned()).unwrap_or_default();
                    journal.add_rating(rated, Rating { judge, trait_score, coherence: None })?;
                }
                let [up, down] = scores;
                up.zip(down).map(|(up, down)| (up - down) / f64::from(2.0 * COEFFICIENT))
            }
        };
        effects.push((layer, effect));
        bar.step();
    }
    bar.finish();
    let at = |layer: u32| {
        let here = effects.iter().filter(move |(other, _)| *other == layer);
        here.filter_map(|(_, effect)| *effect).collect()
    };
    Ok(layers.into_iter().map(|layer| (layer, at(layer))).collect())
}

/// The effect of steering on one question.
enum Effect {
    /// Change of the log-likelihood ratio, in nats per token and unit of coefficient.
    Likelihood(f64),
    /// The judge's trait scores with the vector added and subtracted, the names that they have in
    /// the journal, and whether they are new.
    Judged { names: [String; 2], scores: [Option<f64>; 2], new: bool },
}

/// A model to steer at one layer.
#[derive(Clone, Copy)]
struct SteeredModel<'a> {
    engine: &'a LabEngine,
    layer: usize,
    vector: &'a [f32],
}

impl SteeredModel<'_> {
    fn steering(&self, coefficient: f32) -> Steering<'_> {
        Steering { layer: self.layer, vector: self.vector, coefficient }
    }

    /// How steering changes the log-likelihood of the positive answer relative to the negative one,
    /// in nats per token and unit of coefficient.
    async fn likelihood_change(self, trial: Trial<'_>) -> Result<f64> {
        let per_token = async |answer: &ScoredAnswer, coefficient: f32| {
            let steering = Some(self.steering(coefficient));
            let prompt = single_turn_prompt(self.engine, "", &answer.request.question).await?;
            let nats = log_likelihood(self.engine, prompt, &answer.tokens, steering).await?;
            Ok::<_, LabError>(nats / answer.tokens.len().max(1) as f64)
        };
        let (up_positive, up_negative, down_positive, down_negative) = futures::try_join!(
            per_token(trial.positive, COEFFICIENT),
            per_token(trial.negative, COEFFICIENT),
            per_token(trial.positive, -COEFFICIENT),
            per_token(trial.negative, -COEFFICIENT),
        )?;
        Ok(((up_positive - up_negative) - (down_positive - down_negative))
            / f64::from(2.0 * COEFFICIENT))
    }

    /// Trait scores of greedy answers with the vector added and subtracted; `None` if the judge
    /// gives no number.
    async fn trait_scores(
        self,
        trial: Trial<'_>,
        judge: &Judge<'_>,
        max_tokens: usize,
    ) -> Result<[Option<f64>; 2]> {
        let question = &trial.positive.request.question;
        let score = async |coefficient: f32| {
            let prompt = single_turn_prompt(self.engine, "", question).await?;
            let settings = GenerationSettings::greedy(max_tokens);
            let steering = Some(self.steering(coefficient));
            let answer = generate(self.engine, prompt, settings, steering).await?;
            judge.trait_score(question, &self.engine.decode(&answer).await?).await
        };
        let (up, down) = futures::try_join!(score(COEFFICIENT), score(-COEFFICIENT))?;
        Ok([up, down])
    }
}
