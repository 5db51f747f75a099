//! The command `verify`: how far finetuning moved a model along each trait.

mod report;

use crate::engine::{
    EngineSource, LabEngine, conversation_prompt, mean_states, run_in_order, start,
};
use crate::error::{Context as _, Result, bail};
use crate::files::{
    Conversation, LoadedVector, ReadOptions, Tensor, check_model, read_conversations, read_vectors,
    write_tensors,
};
use personaguard_model::Capture;
use personaguard_persona::shift::{FinetuningShift, finetuning_shift};
use personaguard_persona::{BenignPrompts, TraitSpec};
use serde_json::json;
use std::path::{Path, PathBuf};

pub use report::{TraitShift, VerifyReport};

/// What the command is asked for.
#[derive(Clone, Debug)]
pub struct VerifySettings {
    /// The engine with the base model.
    pub base: EngineSource,
    /// The one with the finetuned model.
    pub tuned: EngineSource,
    /// Vector files.
    pub vectors: Vec<PathBuf>,
    /// Largest shift towards a trait that passes, in standard deviations of the base model's
    /// projections on the prompts.
    pub limit: f64,
    /// Conversations whose prompts are used, in place of the built-in ones.
    pub prompts: Option<PathBuf>,
    /// How many prompts are used at most.
    pub max_prompts: usize,
    /// File to write the activations to, if they are wanted.
    pub states: Option<PathBuf>,
}

/// Activations at the last prompt token on each vector's best layer, in shape
/// `[prompt][vector][hidden]`.
type Activations = Vec<Vec<Vec<f32>>>;

/// Compares a finetuned model with its base model.
///
/// # Errors
/// If a file cannot be read or written, or an engine fails. A shift past the limit is not an error.
pub async fn verify(settings: &VerifySettings) -> Result<VerifyReport> {
    if !(settings.limit.is_finite() && settings.limit > 0.0) {
        bail!("--limit must be above 0");
    }
    let vectors = read_vectors(&settings.vectors)?;
    let prompts = prompts(settings, &vectors)?;
    // One model in memory at a time.
    let base = {
        let engine = start(&settings.base).await?;
        check_model(&vectors, &engine.identity(), engine.made_on().as_ref())?;
        activations(&engine, &settings.base, "Reading the base model", &prompts, &vectors).await?
    };
    let tuned = {
        let engine = start(&settings.tuned).await?;
        activations(&engine, &settings.tuned, "Reading the tuned model", &prompts, &vectors).await?
    };
    let traits = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| {
            Ok(TraitShift {
                name: vector.file.trait_name().to_owned(),
                layer: vector.file.best_layer(),
                shift: shift_along(&base, &tuned, index, vector)?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    if let Some(path) = &settings.states {
        write_activations(path, &vectors, &base, &tuned, &traits)?;
    }
    Ok(VerifyReport { traits, limit: settings.limit, prompts: prompts.len() })
}

fn shift_along(
    base: &Activations,
    tuned: &Activations,
    index: usize,
    vector: &LoadedVector,
) -> Result<FinetuningShift> {
    let activations: Vec<(&[f32], &[f32])> = base
        .iter()
        .zip(tuned)
        .map(|(base, tuned)| (base[index].as_slice(), tuned[index].as_slice()))
        .collect();
    finetuning_shift(&activations, vector.best()?).with_context(|| {
        format!(
            "{}: its vector is zero at its best layer, or an activation of a model is no number",
            vector.path.display()
        )
    })
}

/// Prompts from a file, or else the built-in benign requests and the held-out questions of the
/// vectors' traits.
fn prompts(settings: &VerifySettings, vectors: &[LoadedVector]) -> Result<Vec<Conversation>> {
    if let Some(path) = &settings.prompts {
        let options = ReadOptions { limit: settings.max_prompts, skip_invalid: false };
        let (prompts, _) = read_conversations(path, options)?;
        if prompts.len() < 2 {
            bail!("{} has fewer than two conversations", path.display());
        }
        return Ok(prompts);
    }
    let builtin =
        vectors.iter().filter_map(|vector| TraitSpec::builtin(vector.file.trait_name()).ok());
    let benign = BenignPrompts::builtin()?.questions;
    let questions = benign.into_iter().chain(builtin.flat_map(|spec| spec.held_out));
    Ok((1..)
        .zip(questions)
        .take(settings.max_prompts)
        .map(|(line, question)| Conversation::from_question(line, &question))
        .collect())
}

async fn activations(
    engine: &LabEngine,
    source: &EngineSource,
    title: &'static str,
    prompts: &[Conversation],
    vectors: &[LoadedVector],
) -> Result<Activations> {
    let (layers, hidden) = (engine.layers(), engine.hidden_size());
    let other = vectors
        .iter()
        .find(|vector| (vector.file.layers() as usize, vector.file.hidden()) != (layers, hidden));
    if let Some(other) = other {
        bail!(
            "{} has {layers} layers of {hidden} values, and {} is for {} of {}: this is not a \
             finetune of the base model",
            source,
            other.path.display(),
            other.file.layers(),
            other.file.hidden()
        );
    }
    run_in_order(title, prompts.iter().collect(), async |prompt: &Conversation| {
        let context = || format!("line {}", prompt.line);
        let tokens = conversation_prompt(engine, prompt).await.with_context(context)?;
        let states = mean_states(engine, tokens, Vec::new(), Capture::PromptAndResponse)
            .await
            .with_context(context)?;
        Ok(vectors
            .iter()
            .map(|vector| states.prompt_last[vector.file.best_layer() as usize].clone())
            .collect())
    })
    .await
}

/// Writes F32 tensors `TRAIT:base` and `TRAIT:tuned`, shape `[prompt][hidden]`, and metadata entry
/// `TRAIT` with the shift.
fn write_activations(
    path: &Path,
    vectors: &[LoadedVector],
    base: &Activations,
    tuned: &Activations,
    traits: &[TraitShift],
) -> Result<()> {
    let mut tensors: Vec<Tensor> = Vec::new();
    for (which, activations) in [("base", base), ("tuned", tuned)] {
        for (index, vector) in vectors.iter().enumerate() {
            tensors.push(Tensor {
                name: format!("{}:{which}", vector.file.trait_name()),
                shape: vec![activations.len(), vector.file.hidden()],
                values: activations.iter().flat_map(|prompt| prompt[index].clone()).collect(),
            });
        }
    }
    let entry = |TraitShift { name, layer, shift }: &TraitShift| {
        let FinetuningShift { mean, error, sigmas } = shift;
        let shift = json!({ "mean": mean, "error": error, "sigmas": sigmas, "layer": layer });
        (name.clone(), shift.to_string())
    };
    write_tensors(path, &tensors, traits.iter().map(entry).collect())
}
