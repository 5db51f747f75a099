//! `personaguard extract`.

use crate::extract::{
    DeliveryOptions, Machine, Settings, answers, check, run as extract, start_engine, summary, write_file,
};
use anyhow::{Context as _, bail};
use clap::Args;
use personaguard_persona::TraitSpec;
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// Extract a trait's persona vectors from a model.
///
/// Asks the model the trait's questions under system prompts that ask for the trait and for its absence, and takes the
/// difference of its mean activations over the answers, at every layer. The layer to use is chosen by the effect of
/// steering; the vector is then validated on questions that it was not made from, and calibrated on everyday requests.
///
///   personaguard extract --model SmolLM2-135M-Instruct.Q4_1.gguf --trait evil --out evil.safetensors
///
/// Takes two to three minutes for a model of 135M parameters on two cores. Interrupted, it goes on where it stopped.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Weight file (GGUF) of a chat model. The vectors belong to this file alone.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Built-in trait: evil, sycophantic, hallucinating, optimistic, impolite, apathetic or humorous.
    #[arg(long = "trait", value_name = "NAME", required_unless_present = "trait_file")]
    trait_name: Option<String>,
    /// Trait of your own: YAML with name, description, instructions, extract, held_out and rubric, or the JSON of the
    /// paper's repository (then --trait names it and --description describes it).
    #[arg(long, value_name = "FILE")]
    trait_file: Option<PathBuf>,
    /// The trait in plain words, for a trait file that does not say.
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Vector file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Longest answer in tokens.
    #[arg(long, value_name = "N", default_value_t = 48)]
    tokens: usize,
    /// Questions to extract from; as many others are held out for validation.
    #[arg(long, value_name = "N", default_value_t = 20)]
    questions: usize,
    /// Pairs of contrasted system prompts with which each question is asked.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pairs: usize,
    /// Pairs with which each held-out question is asked; the pairs take turns.
    #[arg(long, value_name = "N", default_value_t = 2)]
    held_out_pairs: usize,
    /// Answers to each question under each system prompt. The paper takes 10.
    #[arg(long, value_name = "N", default_value_t = 1)]
    rollouts: usize,
    /// Sampling temperature.
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f32,
    /// Seed: the same seed, model and settings give the same file.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Bootstrap resamples for the interval, and permutations for the control.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    draws: usize,
    /// Try steering at every N-th layer. Default: an eighth of the layers.
    #[arg(long, value_name = "N")]
    layer_step: Option<usize>,
    /// Questions to try steering with.
    #[arg(long, value_name = "N", default_value_t = 6)]
    steering_questions: usize,
    /// Everyday answers to calibrate with, at most. Their number bounds the quantiles that a policy can ask for.
    #[arg(long, value_name = "N", default_value_t = 148)]
    benign: usize,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    delivery: DeliveryOptions,
}

/// Extracts, and writes the file.
///
/// # Errors
/// With what to do about it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let spec = spec(options)?;
    let settings = Settings {
        tokens: options.tokens,
        questions: options.questions,
        pairs: options.pairs,
        held_out_pairs: options.held_out_pairs,
        rollouts: options.rollouts,
        temperature: options.temperature,
        seed: options.seed,
        draws: options.draws,
        layer_step: options.layer_step,
        steering_questions: options.steering_questions,
        benign: options.benign,
    };
    check(&settings, &spec)?;
    let engine = start_engine(&options.model, options.machine)?;
    let journal = options.out.with_extension("journal");
    let delivery = options.delivery.delivery();
    let total = answers(&spec, &settings)?;
    let follow = async {
        match &delivery {
            Some(delivery) => delivery.follow(&journal, total).await,
            None => std::future::pending().await,
        }
    };
    let runtime = Runtime::new()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = extract(&engine, &spec, &settings, &journal) => outcome,
            never = follow => match never {},
            _ = tokio::signal::ctrl_c() => {
                bail!("stopped; the answers so far are kept in {}, the same command goes on from there", journal.display())
            }
        }
    })?;
    let bytes = outcome.file.to_bytes()?;
    write_file(&options.out, &bytes)?;
    if let Some(delivery) = &delivery {
        runtime.block_on(delivery.deliver(&outcome.file))?;
    }
    print!("{}", summary(&outcome));
    println!("{}  {}", personaguard_persona::sha256_hex(&bytes), options.out.display());
    Ok(())
}

fn spec(options: &Options) -> anyhow::Result<TraitSpec> {
    let Some(path) = &options.trait_file else {
        return Ok(TraitSpec::builtin(options.trait_name.as_deref().unwrap_or_default())?);
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the trait file {}", path.display()))?;
    if path.extension().is_some_and(|extension| extension == "json") {
        let name = options.trait_name.as_deref().context("a trait file of the paper's format needs --trait NAME")?;
        return Ok(TraitSpec::parse_paper(name, &options.description, &text)?);
    }
    Ok(TraitSpec::parse(&text)?)
}
