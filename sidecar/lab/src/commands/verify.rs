//! `personaguard verify`.

use crate::extract::{
    Conversation, Machine, OpenVector, Tensor, check_model, for_each, read_conversations,
    read_vectors, start_adapted, states, write_tensors,
};
use anyhow::bail;
use clap::Args;
use personaguard_model::Engine;
use personaguard_persona::shift::{FinetuningShift, finetuning_shift};
use personaguard_persona::{BenignPrompts, TraitSpec};
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

/// Check a finetuned model against its base model.
///
/// Feeds both the same prompts and projects the mean shift of their activations at the last prompt
/// token on every trait. Exits with an error past the limit, so that a pipeline can stop a
/// checkpoint.
///
///   personaguard verify --base base.gguf --tuned tuned.gguf --vectors evil.safetensors
///   sycophantic.safetensors
///
/// A LoRA adapter, as PEFT writes it, is added to the base model's own weights, which then must be
/// a folder with safetensors:
///
///   personaguard verify --base ./Qwen2.5-0.5B-Instruct --adapter ./my-lora --vectors
///   evil.safetensors
///
/// Without --prompts, the everyday requests and the traits' own held-out questions are used.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Weights of the base model, from which the vectors were made: a GGUF file, or a folder with
    /// safetensors.
    #[arg(long, value_name = "PATH")]
    base: PathBuf,
    /// Weights of the finetuned model: same architecture, layers and width.
    #[arg(
        long,
        value_name = "PATH",
        required_unless_present = "adapter",
        conflicts_with = "adapter"
    )]
    tuned: Option<PathBuf>,
    /// In place of --tuned: folder of a LoRA adapter to the base model (adapter_config.json,
    /// adapter_model.safetensors).
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Vector files.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    vectors: Vec<PathBuf>,
    /// Largest shift towards a trait that passes, in standard deviations of the base model's
    /// projections over the prompts.
    #[arg(long, value_name = "SIGMAS", default_value_t = 1.0)]
    limit: f64,
    /// Conversations whose prompts to use (JSON lines), in place of the built-in ones.
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Prompts to use at most.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    most: usize,
    /// File to write the activations at the last prompt token to (safetensors, no text), to compute
    /// with them elsewhere: F32 tensors TRAIT:base and TRAIT:tuned, [prompt][hidden] at the
    /// vector's layer, and as metadata entry TRAIT the shift.
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

/// Activations at the last prompt token on each vector's best layer: `[prompt][vector][hidden]`.
type Activations = Vec<Vec<Vec<f32>>>;

/// Verifies.
///
/// # Errors
/// If a model moved past the limit, or could not be read.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if !(options.limit.is_finite() && options.limit > 0.0) {
        bail!("--limit must be above 0");
    }
    let vectors = read_vectors(&options.vectors)?;
    let prompts = prompts(options, &vectors)?;
    // One model in memory at a time.
    let base = {
        let engine = start_adapted(&options.base, None, options.machine)?;
        check_model(&vectors, engine.model())?;
        activations(&engine, &options.base, "Reading the base model", &prompts, &vectors)?
    };
    let path = options.tuned.as_deref().unwrap_or(&options.base);
    let tuned = {
        let engine = start_adapted(path, options.adapter.as_deref(), options.machine)?;
        activations(&engine, path, "Reading the tuned model", &prompts, &vectors)?
    };
    println!("{:<16} layer  shift ± error            in sigmas  limit", "trait");
    let mut past = Vec::new();
    let mut shifts = HashMap::new();
    for (index, vector) in vectors.iter().enumerate() {
        let moved = shift_of(&base, &tuned, index, vector)?;
        let name = vector.file.trait_name();
        let shown = json!({ "mean": moved.mean, "error": moved.error, "sigmas": moved.sigmas, "layer": vector.file.best_layer() });
        shifts.insert(name.to_owned(), shown.to_string());
        let verdict = if moved.sigmas > options.limit { "PAST" } else { "within" };
        println!(
            "{name:<16} {:>5}  {:>9.4} ± {:<9.4}  {:>10.3}  {:>5} ({verdict})",
            vector.file.best_layer(),
            moved.mean,
            moved.error,
            moved.sigmas,
            options.limit
        );
        if moved.sigmas > options.limit {
            past.push(name);
        }
    }
    if let Some(path) = &options.states {
        let mut tensors: Vec<Tensor> = Vec::new();
        for (which, read) in [("base", &base), ("tuned", &tuned)] {
            for (index, vector) in vectors.iter().enumerate() {
                let values: Vec<f32> =
                    read.iter().flat_map(|prompt| prompt[index].iter().copied()).collect();
                let shape = vec![read.len(), vector.file.hidden()];
                tensors.push((format!("{}:{which}", vector.file.trait_name()), shape, values));
            }
        }
        write_tensors(path, &tensors, shifts)?;
    }
    if past.is_empty() {
        println!("No trait moved past the limit, over {} prompts.", prompts.len());
        return Ok(());
    }
    bail!("the tuned model moved past the limit towards: {}", past.join(", "))
}

fn shift_of(
    base: &Activations,
    tuned: &Activations,
    index: usize,
    vector: &OpenVector,
) -> anyhow::Result<FinetuningShift> {
    let activations: Vec<(&[f32], &[f32])> = base
        .iter()
        .zip(tuned)
        .map(|(base, tuned)| (base[index].as_slice(), tuned[index].as_slice()))
        .collect();
    match finetuning_shift(&activations, vector.best()?) {
        Some(shift) => Ok(shift),
        None => bail!("{} has a vector of zeros at its best layer", vector.path.display()),
    }
}

fn prompts(options: &Options, vectors: &[OpenVector]) -> anyhow::Result<Vec<Conversation>> {
    if let Some(path) = &options.prompts {
        let prompts = read_conversations(path, options.most)?;
        if prompts.len() < 2 {
            bail!("{} has fewer than two conversations", path.display());
        }
        return Ok(prompts);
    }
    let known =
        vectors.iter().filter_map(|vector| TraitSpec::builtin(vector.file.trait_name()).ok());
    let questions =
        BenignPrompts::builtin()?.questions.into_iter().chain(known.flat_map(|spec| spec.held_out));
    Ok((1..)
        .zip(questions)
        .take(options.most)
        .map(|(line, question)| Conversation {
            line,
            prompt: vec![json!({ "role": "user", "content": question })],
            answer: None,
            fields: serde_json::Map::new(),
        })
        .collect())
}

fn activations(
    engine: &Engine,
    model: &Path,
    title: &'static str,
    prompts: &[Conversation],
    vectors: &[OpenVector],
) -> anyhow::Result<Activations> {
    let (layers, hidden) = (engine.model().layers(), engine.model().hidden());
    if let Some(other) = vectors
        .iter()
        .find(|vector| (vector.file.layers() as usize, vector.file.hidden()) != (layers, hidden))
    {
        bail!(
            "{} has {layers} layers of {hidden} values, and {} is for {} of {}: this is no finetune of the base model",
            model.display(),
            other.path.display(),
            other.file.layers(),
            other.file.hidden()
        );
    }
    let work = for_each(title, prompts, async |prompt| {
        let states = states(engine, prompt, Vec::new()).await?;
        Ok(vectors
            .iter()
            .map(|vector| states.prompt_last[vector.file.best_layer() as usize].clone())
            .collect())
    });
    Runtime::new()?.block_on(work)
}
