//! `personaguard verify`.

use crate::args::EngineArgs;
use anyhow::bail;
use clap::Args;
use personaguard_lab::verify::{TunedModel, VerifySettings, verify};
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// Check a finetuned model against its base model.
///
/// Gives both the same prompts, and projects the mean shift of their activations at the last prompt
/// token on every trait. Fails if a shift exceeds the limit, so that a pipeline can stop a
/// checkpoint.
///
///   personaguard verify --base base.gguf --tuned tuned.gguf \
///     --vectors evil.safetensors sycophantic.safetensors
///
/// A LoRA adapter, as PEFT writes it, is merged into the base model, which must then be a folder
/// with safetensors:
///
///   personaguard verify --base ./Qwen2.5-0.5B-Instruct --adapter ./my-lora \
///     --vectors evil.safetensors
///
/// Without --prompts, it uses everyday requests and the traits' own held-out questions.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
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
    /// In place of --tuned: folder of a LoRA adapter for the base model (adapter_config.json,
    /// adapter_model.safetensors).
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Vector files.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    vectors: Vec<PathBuf>,
    /// Largest shift towards a trait that passes, in standard deviations of the base model's
    /// projections on the prompts.
    #[arg(long, value_name = "SIGMAS", default_value_t = 1.0)]
    limit: f64,
    /// Conversations whose prompts are used, in place of the built-in ones: all that `screen`
    /// reads.
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Largest number of prompts to use.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_prompts: usize,
    /// File to write the activations at the last prompt token to (safetensors, no text), to compute
    /// with them elsewhere: F32 tensors TRAIT:base and TRAIT:tuned, [prompt][hidden], at the
    /// vector's layer; and the shift as metadata entry TRAIT.
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Verifies.
///
/// # Errors
/// If the model moved past the limit; or what a person should read.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let tuned = match (options.tuned, options.adapter) {
        (Some(weights), _) => TunedModel::Weights(weights),
        (None, Some(adapter)) => TunedModel::Adapter(adapter),
        (None, None) => bail!("give --tuned or --adapter"),
    };
    let settings = VerifySettings {
        base: options.base,
        tuned,
        engine: options.engine.into(),
        vectors: options.vectors,
        limit: options.limit,
        prompts: options.prompts,
        max_prompts: options.max_prompts,
        states: options.states,
    };
    let report = Runtime::new()?.block_on(verify(&settings))?;
    print!("{report}");
    match report.exceeded().as_slice() {
        [] => Ok(()),
        traits => bail!("the tuned model moved past the limit towards: {}", traits.join(", ")),
    }
}
