//! Dose response: what answers become when a vector is added with rising coefficients, under no
//! system prompt.
//!
//! Each answer has two measures: its projection as the unsteered model reads it, and a
//! log-likelihood ratio that does not depend on the vector, namely how much likelier the unsteered
//! model finds the answer under a system prompt that asks for the trait than under one that asks
//! for its absence.

use crate::engine::{
    GenerationSettings, LabEngine, Probe, ProjectedAnswer, Steering, generate_projected,
    log_likelihood, run_in_order, single_turn_prompt,
};
use crate::error::{Context as _, Result};
use personaguard_persona::{Polarity, SteeredAnswer, SteeringPoint, TraitSpec};

/// The steering coefficients, in ascending order.
const COEFFICIENTS: [f32; 5] = [-2.0, -1.0, 0.0, 1.0, 2.0];

/// An answer under steering, with its measures.
#[derive(Clone, Debug)]
pub(crate) struct MeasuredAnswer {
    /// Its tokens.
    pub(crate) tokens: Vec<u32>,
    /// Its measures.
    pub(crate) measures: SteeredAnswer,
}

/// A dose response to measure.
#[derive(Clone, Copy)]
pub(crate) struct DoseResponse<'a> {
    /// Engine with the model.
    pub(crate) engine: &'a LabEngine,
    /// Trait.
    pub(crate) spec: &'a TraitSpec,
    /// Layer at which the vector is added.
    pub(crate) layer: u32,
    /// Longest answer, in tokens.
    pub(crate) max_tokens: usize,
}

impl DoseResponse<'_> {
    /// Greedy answers to questions under each coefficient, with both measures, in shape
    /// `[coefficient][question]`. Questions are given with their index in the trait's list;
    /// `vector` gives the vector for each of them.
    ///
    /// # Errors
    /// If the engine fails, or a vector is missing or zero.
    pub(crate) async fn measure<'v>(
        self,
        questions: &[(usize, &str)],
        vector: impl Fn(usize) -> Option<&'v [f32]>,
    ) -> Result<Vec<Vec<MeasuredAnswer>>> {
        let answers = self.generate(questions, vector).await?;
        self.measure_likelihood(questions, answers).await
    }

    /// As [`Self::measure`], with the projection only.
    ///
    /// # Errors
    /// As [`Self::measure`].
    pub(crate) async fn generate<'v>(
        self,
        questions: &[(usize, &str)],
        vector: impl Fn(usize) -> Option<&'v [f32]>,
    ) -> Result<Vec<Vec<ProjectedAnswer>>> {
        let under = |coefficient: f32| {
            questions.iter().map(move |(index, question)| (coefficient, *index, *question))
        };
        let work = COEFFICIENTS.into_iter().flat_map(under).collect();
        let answers = run_in_order("Steering", work, async |(coefficient, index, question)| {
            let vector = vector(index).context("a layer has no vector")?;
            self.answer(coefficient, vector, question).await
        });
        Ok(rows(&answers.await?, questions.len()))
    }

    /// Adds the second measure to answers from [`Self::generate`].
    ///
    /// # Errors
    /// If the engine fails.
    pub(crate) async fn measure_likelihood(
        self,
        questions: &[(usize, &str)],
        answers: Vec<Vec<ProjectedAnswer>>,
    ) -> Result<Vec<Vec<MeasuredAnswer>>> {
        let work = answers
            .into_iter()
            .flat_map(|answers| questions.iter().copied().zip(answers))
            .collect();
        let measured = run_in_order(
            "Measuring likelihood ratios",
            work,
            async |((index, question), answer)| {
                let ProjectedAnswer { tokens, projection } = answer;
                let ratio =
                    likelihood_ratio(self.engine, self.spec, index, question, &tokens).await?;
                let measures = SteeredAnswer { response_avg: projection, likelihood_ratio: ratio };
                Ok(MeasuredAnswer { tokens, measures })
            },
        );
        Ok(rows(&measured.await?, questions.len()))
    }

    async fn answer(
        self,
        coefficient: f32,
        vector: &[f32],
        question: &str,
    ) -> Result<ProjectedAnswer> {
        let layer = self.layer as usize;
        let steering = match coefficient {
            0.0 => None,
            _ => Some(Steering { layer, vector, coefficient }),
        };
        // The probe reads the steered layer before the vector is added there, so steering affects
        // what it reads only through the tokens: the unsteered model would read the same. The
        // answer therefore need not be read again.
        let probe = Probe::new(layer, vector)?;
        let prompt = single_turn_prompt(self.engine, "", question).await?;
        let settings = GenerationSettings::greedy(self.max_tokens);
        generate_projected(self.engine, prompt, settings, steering, &probe).await
    }
}

/// A flat list as rows of a width.
fn rows<T: Clone>(list: &[T], width: usize) -> Vec<Vec<T>> {
    list.chunks(width.max(1)).map(<[T]>::to_vec).collect()
}

/// The first of a trait's questions, at most `limit`, with their indices.
pub(crate) fn indexed(questions: &[String], limit: usize) -> Vec<(usize, &str)> {
    questions.iter().map(String::as_str).enumerate().take(limit).collect()
}

/// The points of a dose response from [`DoseResponse::measure`], without empty answers.
pub(crate) fn steering_points(answers: &[Vec<MeasuredAnswer>]) -> Vec<SteeringPoint> {
    let point = |(coefficient, answers): (&f32, &Vec<MeasuredAnswer>)| {
        let measures: Vec<SteeredAnswer> = answers
            .iter()
            .filter(|answer| !answer.tokens.is_empty())
            .map(|answer| answer.measures)
            .collect();
        SteeringPoint::from_answers((*coefficient).into(), &measures)
    };
    COEFFICIENTS.iter().zip(answers).map(point).collect()
}

/// Log-likelihood ratio of an answer under a contrast's positive side against its negative side, in
/// nats per token; 0 for an empty answer. The contrast is the one after `index`: answers that are
/// generated under contrast `index` are thus measured under another one.
///
/// # Errors
/// If the engine fails.
pub(crate) async fn likelihood_ratio(
    engine: &LabEngine,
    spec: &TraitSpec,
    index: usize,
    question: &str,
    tokens: &[u32],
) -> Result<f64> {
    if tokens.is_empty() {
        return Ok(0.0);
    }
    let contrast = &spec.instructions[(index + 1) % spec.instructions.len()];
    let under = async |polarity| {
        let system = spec.system_prompt(contrast, polarity);
        let prompt = single_turn_prompt(engine, &system, question).await?;
        log_likelihood(engine, prompt, tokens, None).await
    };
    let (positive, negative) =
        futures::try_join!(under(Polarity::Positive), under(Polarity::Negative))?;
    Ok((positive - negative) / tokens.len() as f64)
}
