//! The ladder: what answers become when a vector is added with rising coefficients, under no system
//! prompt. Two measures of each answer: its projection as the unsteered model reads it, and one
//! that owes nothing to the vector, how much likelier the unsteered model finds it under a system
//! prompt that asks for the trait than under one that asks for its absence.

use super::progress::Progress;
use super::responder::{Answering, IN_FLIGHT, Projected, log_likelihood, prompt, steered};
use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use personaguard_model::{Engine, Intervention, Positions, Probe};
use personaguard_persona::{Polarity, SteeredAnswer, SteeringPoint, TraitSpec};
use std::sync::Arc;

/// Coefficients at which steering is shown.
const COEFFICIENTS: [f32; 5] = [-2.0, -1.0, 0.0, 1.0, 2.0];

/// An answer under steering.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// `response_avg` at the steered layer, as the unsteered model reads it under no system prompt.
    pub score: f64,
    /// Log-likelihood ratio, nats per token.
    pub ratio: f64,
}

impl Step {
    /// Both measures.
    pub(super) fn measures(&self) -> SteeredAnswer {
        SteeredAnswer { response_avg: self.score, likelihood_ratio: self.ratio }
    }
}

/// A ladder to climb.
#[derive(Clone, Copy)]
pub struct Ladder<'a> {
    /// Engine.
    pub engine: &'a Engine,
    /// Trait.
    pub spec: &'a TraitSpec,
    /// Layer at which the vector is added.
    pub layer: u32,
    /// Longest answer.
    pub tokens: usize,
}

impl Ladder<'_> {
    /// Greedy answers to questions, given with their numbers in the trait's list, under the vector
    /// for each: `[coefficient][question]`.
    ///
    /// # Errors
    /// If the engine fails, or a vector is zero.
    pub async fn climb<'v>(
        self,
        questions: &[(usize, &str)],
        vector: impl Fn(usize) -> Option<&'v [f32]>,
    ) -> anyhow::Result<Vec<Vec<Step>>> {
        let written = self.write(questions, vector).await?;
        self.weigh(questions, written).await
    }

    /// The answers as they were written, with the first measure.
    ///
    /// # Errors
    /// As [`Self::climb`].
    pub(super) async fn write<'v>(
        self,
        questions: &[(usize, &str)],
        vector: impl Fn(usize) -> Option<&'v [f32]>,
    ) -> anyhow::Result<Vec<Vec<Projected>>> {
        let asked = |coefficient: f32| {
            questions.iter().map(move |(index, question)| (coefficient, *index, *question))
        };
        in_rows(
            "Steering",
            questions.len(),
            COEFFICIENTS.into_iter().flat_map(asked),
            |(coefficient, index, question)| {
                let vector = vector(index);
                async move {
                    self.answer(coefficient, vector.context("a layer has no vector")?, question)
                        .await
                }
            },
        )
        .await
    }

    /// Takes the second measure of answers, which [`Self::write`] gave to these questions.
    ///
    /// # Errors
    /// If the engine fails.
    pub(super) async fn weigh(
        self,
        questions: &[(usize, &str)],
        written: Vec<Vec<Projected>>,
    ) -> anyhow::Result<Vec<Vec<Step>>> {
        let work = written.into_iter().flat_map(|answers| questions.iter().copied().zip(answers));
        in_rows(
            "Weighing what was steered",
            questions.len(),
            work,
            |((index, question), answer)| async move {
                let Projected { tokens, projection } = answer;
                let ratio =
                    likelihood_ratio(self.engine, self.spec, index, question, &tokens).await?;
                Ok(Step { tokens, score: projection, ratio })
            },
        )
        .await
    }

    async fn answer(
        self,
        coefficient: f32,
        vector: &[f32],
        question: &str,
    ) -> anyhow::Result<Projected> {
        let layer = self.layer as usize;
        let steering = match coefficient {
            0.0 => None,
            _ => Some(Intervention::add(layer, vector, coefficient, Positions::Response)?),
        };
        let probes: Arc<[Probe]> = Arc::new([Probe::new(layer, vector)?]);
        let how = Answering { tokens: self.tokens, temperature: 0.0, seed: 0 };
        // What is read at the steered layer before the vector is added there owes nothing to the
        // steering but the tokens: the unsteered model reads the same. So the answer need not be
        // read again.
        steered(self.engine, prompt(self.engine.model(), "", question)?, how, steering, probes)
            .await
    }
}

/// Does the work in order, many pieces at a time; the results in rows of a width.
async fn in_rows<W, T: Clone, F: Future<Output = anyhow::Result<T>>>(
    title: &'static str,
    width: usize,
    work: impl Iterator<Item = W>,
    of: impl Fn(W) -> F,
) -> anyhow::Result<Vec<Vec<T>>> {
    let work: Vec<_> = work.map(of).collect();
    let bar = Progress::start(title, work.len());
    let done = stream::iter(work).buffered(IN_FLIGHT).inspect_ok(|_| bar.step());
    let done: Vec<T> = done.try_collect().await?;
    bar.finish();
    Ok(done.chunks(width.max(1)).map(<[T]>::to_vec).collect())
}

/// The first of a trait's questions, with their numbers.
pub(super) fn first(questions: &[String], most: usize) -> Vec<(usize, &str)> {
    questions.iter().map(String::as_str).enumerate().take(most).collect()
}

/// What answers under each coefficient have in common, from [`Ladder::climb`].
pub(super) fn rungs(steps: &[Vec<Step>]) -> Vec<SteeringPoint> {
    let rung = |(coefficient, steps): (&f32, &Vec<Step>)| {
        let measures: Vec<SteeredAnswer> =
            steps.iter().filter(|step| !step.tokens.is_empty()).map(Step::measures).collect();
        SteeringPoint::from_answers((*coefficient).into(), &measures)
    };
    COEFFICIENTS.iter().zip(steps).map(rung).collect()
}

/// Nats per token by which an answer is likelier under a contrast's positive side. The contrast is
/// one that a question's answers are not written under elsewhere.
///
/// # Errors
/// If the engine fails.
pub(super) async fn likelihood_ratio(
    engine: &Engine,
    spec: &TraitSpec,
    index: usize,
    question: &str,
    tokens: &[u32],
) -> anyhow::Result<f64> {
    if tokens.is_empty() {
        return Ok(0.0);
    }
    let contrast = &spec.instructions[(index + 1) % spec.instructions.len()];
    let under = async |polarity| {
        let system = spec.system_prompt(contrast, polarity);
        log_likelihood(engine, prompt(engine.model(), &system, question)?, tokens, None).await
    };
    let (positive, negative) =
        futures::try_join!(under(Polarity::Positive), under(Polarity::Negative))?;
    Ok((positive - negative) / tokens.len() as f64)
}
