//! `personaguard verify`.

use crate::args::{EngineArgs, VllmArgs};
use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args};
use personaguard_lab::engine::{EngineSource, VllmSettings};
use personaguard_lab::verify::{VerifySettings, verify};
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
#[command(group(ArgGroup::new("finetuned").required(true)))]
pub(crate) struct Options {
    /// Weights of the base model, from which the vectors were made: a GGUF file, or a folder with
    /// safetensors.
    #[arg(
        long,
        value_name = "PATH",
        required_unless_present = "engine",
        conflicts_with = "engine"
    )]
    base: Option<PathBuf>,
    /// Weights of the finetuned model: same architecture, layers and width.
    #[arg(long, value_name = "PATH", group = "finetuned")]
    tuned: Option<PathBuf>,
    /// In place of --tuned: folder of a LoRA adapter for the base model (adapter_config.json,
    /// adapter_model.safetensors).
    #[arg(long, value_name = "DIR", group = "finetuned", conflicts_with = "engine")]
    adapter: Option<PathBuf>,
    /// In place of --tuned, with --engine: name of an adapter or model that the same vLLM serves.
    #[arg(long, value_name = "NAME", group = "finetuned", requires = "engine")]
    tuned_engine_model: Option<String>,
    /// In place of --tuned, with --engine: URL of another vLLM, with the finetuned model.
    #[arg(
        long,
        value_name = "URL",
        group = "finetuned",
        requires = "engine",
        requires = "tuned_engine_socket"
    )]
    tuned_engine: Option<String>,
    /// Unix socket that the plugin of that one connects to.
    #[arg(long, value_name = "FILE", requires = "tuned_engine")]
    tuned_engine_socket: Option<PathBuf>,
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
    own: EngineArgs,
    #[command(flatten)]
    vllm: VllmArgs,
}

/// Verifies.
///
/// # Errors
/// If the model moved past the limit; or what a person should read.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let tuned = tuned(&options)?;
    let settings = VerifySettings {
        base: options.vllm.source(options.base, options.own)?,
        tuned,
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

/// The finetuned model: weights of its own, an adapter, or what a vLLM serves.
fn tuned(options: &Options) -> anyhow::Result<EngineSource> {
    let own = |weights: &PathBuf, adapter: Option<&PathBuf>| EngineSource::Own {
        weights: weights.clone(),
        adapter: adapter.cloned(),
        settings: options.own.into(),
    };
    match (&options.tuned, &options.adapter, options.vllm.settings()) {
        (Some(weights), ..) => Ok(own(weights, None)),
        (None, Some(adapter), _) => {
            Ok(own(options.base.as_ref().context("--adapter needs --base")?, Some(adapter)))
        }
        (None, None, Some(base)) => Ok(EngineSource::Vllm(VllmSettings {
            url: options.tuned_engine.clone().unwrap_or(base.url),
            socket: options.tuned_engine_socket.clone().unwrap_or(base.socket),
            model: options.tuned_engine_model.clone(),
            wait: base.wait,
        })),
        (None, None, None) => bail!("give --tuned or --adapter"),
    }
}
