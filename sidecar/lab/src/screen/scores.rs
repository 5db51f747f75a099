//! Scores of samples and of what they are compared with.

use super::likelihood::{contrasted_prompts, likelihood_ratio};
use super::settings::{Reference, ScreenSettings};
use crate::engine::{
    GenerationSettings, LabEngine, Probe, Projections, conversation_prompt, generate, mean_states,
    project, request_seed, run_in_order,
};
use crate::error::{Context as _, LabError, Result, bail};
use crate::files::{Conversation, LoadedVector};
use personaguard_model::Capture;
use personaguard_persona::TraitSpec;
use personaguard_persona::screening::{ProjectionScale, SampleScores};
use std::sync::Arc;

/// How many probes a request has at most.
const MAX_PROBES: usize = 256;
/// Seed of the model's own answers. They are greedy, so it has no effect.
const SEED: u64 = 1;

/// Scores samples by several vectors.
pub(super) struct Scorer<'a> {
    engine: &'a LabEngine,
    /// Traits whose likelihood ratio is measured, in the order of the vectors.
    specs: &'a [TraitSpec],
    reference: Reference,
    max_tokens: usize,
    /// Whether mean activations are wanted.
    keep_activations: bool,
    scales: Vec<ProjectionScale>,
    /// Probes at the layers of each scale, one scale after another.
    probes: Arc<[Probe]>,
}

/// Mean activations of a sample's answer and of the model's own, `[layer][hidden]`, flat. Empty
/// unless they are wanted.
#[derive(Default)]
pub(super) struct MeanActivations {
    pub(super) answer: Vec<f32>,
    pub(super) own: Vec<f32>,
}

impl<'a> Scorer<'a> {
    /// Prepares to score by vectors. Likelihood ratios are measured if there are `specs`.
    ///
    /// # Errors
    /// If there are too many vectors, or a vector is zero at one of its layers.
    pub(super) fn new(
        engine: &'a LabEngine,
        vectors: &[LoadedVector],
        specs: &'a [TraitSpec],
        settings: &ScreenSettings,
    ) -> Result<Self> {
        let scale =
            if settings.as_in_paper { ProjectionScale::raw } else { ProjectionScale::standardised };
        let scales: Vec<ProjectionScale> =
            vectors.iter().map(|vector| scale(&vector.file)).collect();
        Ok(Self {
            engine,
            specs,
            reference: settings.reference,
            max_tokens: settings.max_tokens,
            keep_activations: settings.states.is_some(),
            probes: probes(vectors, &scales)?,
            scales,
        })
    }

    /// Whether a sample with this prompt fits the context, under the system prompts of the traits
    /// too.
    ///
    /// # Errors
    /// If vLLM fails.
    pub(super) async fn fits(&self, sample: &Conversation, prompt: &[u32]) -> Result<bool> {
        let answer = self.engine.encode(sample.answer_text()).await?.len();
        let fits = |prompt: &[u32]| prompt.len() + answer < self.engine.context_length();
        let mut all_fit = fits(prompt);
        for spec in self.specs {
            all_fit = all_fit
                && match contrasted_prompts(self.engine, sample, spec).await {
                    Ok(prompts) => prompts.as_flattened().iter().all(|prompt| fits(prompt)),
                    Err(LabError::Template(_) | LabError::Refused(_)) => false,
                    Err(error) => return Err(error),
                };
        }
        Ok(all_fit)
    }

    /// Scores samples by each vector.
    ///
    /// # Errors
    /// If the engine fails; the message names the line.
    pub(super) async fn score_all(
        &self,
        samples: &[Conversation],
    ) -> Result<Vec<(Vec<SampleScores>, MeanActivations)>> {
        let work = samples.iter().collect();
        run_in_order("Screening", work, async |sample: &Conversation| {
            self.score(sample).await.with_context(|| format!("line {}", sample.line))
        })
        .await
    }

    async fn score(&self, sample: &Conversation) -> Result<(Vec<SampleScores>, MeanActivations)> {
        let prompt = conversation_prompt(self.engine, sample).await?;
        let answer = self.engine.encode(sample.answer_text()).await?;
        let mut activations = MeanActivations::default();
        if self.keep_activations {
            activations.answer = self.activations(prompt.clone(), answer.clone()).await?;
        }
        let mut ratios = vec![None; self.scales.len()];
        for (ratio, spec) in ratios.iter_mut().zip(self.specs) {
            *ratio = Some(likelihood_ratio(self.engine, sample, &answer, spec).await?);
        }
        let Projections { prompt_last, response_avg } =
            project(self.engine, prompt.clone(), answer, &self.probes).await?;
        let answers = self.scores(&response_avg.context("the answer is empty")?);
        let references = match self.reference {
            Reference::Nothing => vec![0.0; answers.len()],
            Reference::PromptLast => self.scores(&prompt_last),
            Reference::OwnAnswer => {
                let own = self.own_answer(prompt.clone(), sample.line).await?;
                if self.keep_activations {
                    activations.own = self.activations(prompt.clone(), own.clone()).await?;
                }
                let own = project(self.engine, prompt, own, &self.probes).await?;
                // An empty answer is where its prompt ends.
                self.scores(&own.response_avg.unwrap_or(own.prompt_last))
            }
        };
        let scores = answers.into_iter().zip(references).zip(ratios);
        let scores = scores.map(|((answer, reference), likelihood_ratio)| SampleScores {
            line: sample.line,
            answer,
            reference,
            likelihood_ratio,
        });
        let scores: Vec<_> = scores.collect();
        if !scores.iter().all(SampleScores::is_finite) {
            bail!("a score is no number: the model's activations or a calibration are not finite");
        }
        Ok((scores, activations))
    }

    async fn own_answer(&self, prompt: Vec<u32>, line: u64) -> Result<Vec<u32>> {
        let settings = GenerationSettings {
            seed: request_seed(SEED, &line.to_string()),
            ..GenerationSettings::greedy(self.max_tokens)
        };
        generate(self.engine, prompt, settings, None).await
    }

    async fn activations(&self, prompt: Vec<u32>, response: Vec<u32>) -> Result<Vec<f32>> {
        let states = mean_states(self.engine, prompt, response, Capture::PromptAndResponse).await?;
        Ok(states.response_mean.concat())
    }

    /// Scores by each vector, from projections in the order of the probes.
    fn scores(&self, projections: &[f64]) -> Vec<f64> {
        let mut rest = projections;
        let score = |scale: &ProjectionScale| {
            let (own, others) = rest.split_at(scale.layers().len().min(rest.len()));
            rest = others;
            scale.score(own)
        };
        self.scales.iter().map(score).collect()
    }
}

/// Probes at the layers of each vector's scale, one after another.
fn probes(vectors: &[LoadedVector], scales: &[ProjectionScale]) -> Result<Arc<[Probe]>> {
    let layers = vectors
        .iter()
        .zip(scales)
        .flat_map(|(vector, scale)| scale.layers().map(move |layer| (vector, layer)));
    let probes = layers
        .map(|(vector, layer)| {
            let context = || format!("{} at layer {layer}", vector.path.display());
            let row = vector.file.layer(layer).with_context(context)?;
            Probe::new(layer as usize, row).with_context(context)
        })
        .collect::<Result<Arc<[Probe]>>>()?;
    if probes.len() > MAX_PROBES {
        bail!("these are too many vectors at once: screen for fewer, or give --as-in-paper");
    }
    Ok(probes)
}
