//! The effect of steering, layer by layer. With a judge: how much more the trait shows in answers
//! that are written while the vector is added than while it is subtracted. Without one: how much
//! more likely the model finds answers that show the trait, against answers that don't, when its
//! own activations are moved along the vector.

use super::journal::{Journal, Rating};
use super::judge::Judge;
use super::plan::Settings;
use super::progress::Progress;
use super::responder::{Answering, IN_FLIGHT, Read, log_likelihood, prompt, write};
use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use personaguard_model::{Engine, Intervention, Positions};
use personaguard_persona::extraction::CrossFit;

/// Coefficient of the trial: the raw vector itself, once added and once subtracted.
const COEFFICIENT: f32 = 1.0;

/// Effects by layer and unit of coefficient, one value a question: points of the judge, without one
/// nats per token.
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

/// Tries steering at every `layer_step`-th layer. Each question is tried with the vector that it
/// had no part in, and its answers are read under no system prompt, so that only the steering
/// speaks for the trait. The last layer is left out: there is no block behind it, so a vector there
/// only moves the odds of single words.
///
/// # Errors
/// If the engine or the judge fails, or the journal cannot be written.
pub(super) async fn steering_curve(
    engine: &Engine,
    fit: &CrossFit,
    trials: &[Trial<'_>],
    settings: &Settings,
    judge: Option<&Judge<'_>>,
    journal: &mut Journal,
) -> anyhow::Result<SteeringCurve> {
    let all = engine.model().layers();
    let step = settings.layer_step.unwrap_or(all.div_ceil(8)).max(1);
    let layers: Vec<u32> = (step..all).step_by(step).map(|layer| layer as u32).collect();
    let bar = Progress::start("Trying layers by steering", layers.len() * trials.len());
    let work = layers.iter().flat_map(|layer| trials.iter().map(move |trial| (*layer, *trial)));
    let work: Vec<_> = work
        .map(|(layer, trial)| {
            let rated =
                [1, -1].map(|sign| format!("steering/l{layer}/q{}/{sign:+}", trial.question));
            let known = judge.and_then(|judge| {
                let [up, down] =
                    rated.each_ref().map(|name| journal.rating(name, judge.model()).cloned());
                Some([up?.shows, down?.shows])
            });
            (layer, trial, rated, known)
        })
        .collect();
    let mut trying = stream::iter(work)
        .map(|(layer, trial, rated, known)| async move {
            let vector = fit.vector_for(trial.question, layer).context("a layer has no vector")?;
            let at = Trying { engine, layer: layer as usize, vector };
            let found = match (judge, known) {
                (Some(_), Some(shows)) => Found::Judged { rated, shows, new: false },
                (Some(judge), None) => Found::Judged {
                    rated,
                    shows: at.judged(trial, judge, settings.tokens).await?,
                    new: true,
                },
                (None, _) => Found::Likelihood(at.likelihood(trial).await?),
            };
            anyhow::Ok((layer, found))
        })
        .buffered(IN_FLIGHT / 4);
    let mut effects: Vec<(u32, Option<f64>)> = Vec::new();
    while let Some(found) = trying.next().await {
        let (layer, found) = found?;
        let effect = match found {
            Found::Likelihood(effect) => Some(effect),
            Found::Judged { rated, shows, new } => {
                for (rated, shows) in rated.into_iter().zip(shows).filter(|_| new) {
                    let judge = judge.map(|judge| judge.model().to_owned()).unwrap_or_default();
                    journal.rate(rated, Rating { judge, shows, coherence: None })?;
                }
                let [up, down] = shows;
                up.zip(down).map(|(up, down)| (up - down) / f64::from(2.0 * COEFFICIENT))
            }
        };
        effects.push((layer, effect));
        bar.step();
    }
    bar.finish();
    Ok(layers
        .iter()
        .map(|layer| {
            (
                *layer,
                effects
                    .iter()
                    .filter(|(at, _)| at == layer)
                    .filter_map(|(_, effect)| *effect)
                    .collect(),
            )
        })
        .collect())
}

/// A vector under trial.
#[derive(Clone, Copy)]
struct Trying<'a> {
    engine: &'a Engine,
    layer: usize,
    vector: &'a [f32],
}

impl Trying<'_> {
    fn steering(&self, coefficient: f32) -> anyhow::Result<Intervention> {
        Ok(Intervention::add(self.layer, self.vector, coefficient, Positions::Response)?)
    }

    /// The log-likelihood ratio of the two answers that the vector itself brings about.
    async fn likelihood(self, trial: Trial<'_>) -> anyhow::Result<f64> {
        let per_token = async |read: &Read, coefficient: f32| {
            let steering = Some(self.steering(coefficient)?);
            let prompt = prompt(self.engine.model(), "", &read.ask.question)?;
            let nats = log_likelihood(self.engine, prompt, &read.tokens, steering).await?;
            anyhow::Ok(nats / read.tokens.len().max(1) as f64)
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

    /// How much the trait shows under steering up and down; `None` where the judge gives no number.
    async fn judged(
        self,
        trial: Trial<'_>,
        judge: &Judge<'_>,
        tokens: usize,
    ) -> anyhow::Result<[Option<f64>; 2]> {
        let question = &trial.positive.ask.question;
        let shows = async |coefficient: f32| {
            let how = Answering { tokens, temperature: 0.0, seed: 0 };
            let model = self.engine.model();
            let answer = write(
                self.engine,
                prompt(model, "", question)?,
                how,
                Some(self.steering(coefficient)?),
            )
            .await?;
            judge.shows(question, &model.tokenizer().decode(&answer)).await
        };
        let (up, down) = futures::try_join!(shows(COEFFICIENT), shows(-COEFFICIENT))?;
        Ok([up, down])
    }
}

/// What a trial gave.
enum Found {
    /// An effect in nats per token.
    Likelihood(f64),
    /// Ratings under steering up and down, the names under which they are kept, and whether they
    /// are new.
    Judged { rated: [String; 2], shows: [Option<f64>; 2], new: bool },
}
