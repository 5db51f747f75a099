//! `personaguard extract`.

use crate::extract::{
    Author, DeliveryOptions, Endpoint, Job, Judge, Machine, Outcome, Settings, Shard, answers,
    check, read_text, run as extract, run_shard, start_engine, summary, write_file,
};
use anyhow::{Context as _, bail};
use clap::Args;
use personaguard_model::Engine;
use personaguard_persona::TraitSpec;
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// Extract a trait's persona vectors from a model.
///
/// Asks the model the trait's questions under system prompts that ask for the trait and for its
/// absence, and takes the difference of its mean activations over the answers, at every layer. The
/// layer to use is chosen by the effect of steering; the vector is then validated on questions that
/// it was not made from, and calibrated on everyday requests.
///
///   personaguard extract --model SmolLM2-135M-Instruct.Q4_1.gguf --trait evil --out
///   evil.safetensors
///
/// A trait of your own needs no more than a description. It is written out to a file beside the
/// vector, to be read and mended; a small model cannot do that, so let another one write, which
/// then judges the answers, too:
///
///   personaguard extract --model model.gguf --description "grumpy: complains about everything,
///   finds fault, and sighs" \
///     --endpoint https://llm.example/v1 --endpoint-model NAME --out grumpy.safetensors
///
/// Takes about three minutes for a model of 135M parameters on two cores. Interrupted, it goes on
/// where it stopped.
///
/// Several machines can share the work: each gives the answers of one shard, and the same command
/// with the parts makes the vector from them, to the byte as one machine alone would. What the
/// parts lack it does itself.
///
///   personaguard extract --model model.gguf --trait evil --rollouts 10 --shard 0/4 --out
///   evil.part-0     # and 1/4 … personaguard extract --model model.gguf --trait evil --rollouts 10
///   --parts evil.part-* --out evil.safetensors
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Weight file (GGUF) of a chat model. The vectors belong to this file alone.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Built-in trait: evil, sycophantic, hallucinating, optimistic, impolite, apathetic or
    /// humorous.
    #[arg(long = "trait", value_name = "NAME", required_unless_present_any = ["trait_file", "description"])]
    trait_name: Option<String>,
    /// Trait of your own: YAML with name, description, instructions, extract, held_out and rubric,
    /// or the JSON of the paper's repository (then --trait names it and --description describes
    /// it).
    #[arg(long, value_name = "FILE")]
    trait_file: Option<PathBuf>,
    /// The trait in plain words, "NAME: what an answer that shows it does": all that is needed for
    /// a trait of your own. Instructions, questions and a rubric are written from it, to the
    /// vector's file name with .trait.yaml at its end; if that file is there already, it is used.
    /// With a trait file of the paper's format, the description that it lacks.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// OpenAI-compatible endpoint that writes a described trait, and judges whether answers show
    /// the trait and are coherent (it must support logprobs). The model's answers are sent there.
    /// Its key is read from PERSONAGUARD_ENDPOINT_KEY.
    #[arg(long, value_name = "URL", requires = "endpoint_model")]
    endpoint: Option<String>,
    /// Model to ask there.
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    endpoint_model: Option<String>,
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
    #[arg(long, value_name = "N", default_value_t = 10)]
    steering_questions: usize,
    /// Everyday answers to calibrate with, at most. Their number bounds the quantiles that a policy
    /// can ask for.
    #[arg(long, value_name = "N", default_value_t = 148)]
    benign: usize,
    /// Give the answers of one part of the questions only, INDEX/COUNT with INDEX from 0, and write
    /// them with their activations to --out, for --parts.
    #[arg(long, value_name = "I/N", conflicts_with_all = ["parts", "states"])]
    shard: Option<Shard>,
    /// Files that --shard wrote with the same options otherwise: what they hold is not done again.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    parts: Vec<PathBuf>,
    /// Remove the parts when the vector is written, and delivered where that is asked for.
    #[arg(long, requires = "parts")]
    consume: bool,
    /// File to write the mean activations of every answer to (safetensors, no text), to compute
    /// with them elsewhere.
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
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
    let endpoint = match (&options.endpoint, &options.endpoint_model) {
        (Some(url), Some(model)) => Some(Endpoint::new(url, model)?),
        _ => None,
    };
    // What can be refused is refused before the weights are loaded.
    let ready = ready(options)?;
    if let Some(spec) = &ready {
        check(&settings, spec)?;
    }
    let engine = start_engine(&options.model, options.machine)?;
    let journal = match options.shard {
        // Parts lie side by side, and may differ in their extension only.
        Some(_) => PathBuf::from(format!("{}.journal", options.out.display())),
        None => options.out.with_extension("journal"),
    };
    let delivery = options.delivery.delivery();
    let work = async {
        let spec = match ready {
            Some(spec) => spec,
            None => written(options, &engine, endpoint.as_ref()).await?,
        };
        check(&settings, &spec)?;
        let judge = endpoint.as_ref().map(|endpoint| Judge::new(endpoint, &spec));
        let states = options.states.as_deref();
        let (judge, parts) = (judge.as_ref(), options.parts.as_slice());
        let job = Job { spec: &spec, settings: &settings, judge, journal: &journal, parts, states };
        let total = answers(&spec, &settings, options.shard)?;
        let follow = async {
            match &delivery {
                Some(delivery) => delivery.follow(&journal, total).await,
                None => std::future::pending().await,
            }
        };
        let made = async {
            anyhow::Ok(match options.shard {
                Some(shard) => Made::Part(run_shard(&engine, job, shard, &options.out).await?),
                None => Made::Vector(Box::new(extract(&engine, job).await?)),
            })
        };
        tokio::select! {
            made = made => made,
            never = follow => match never {},
        }
    };
    let runtime = Runtime::new()?;
    let made = runtime.block_on(async {
        tokio::select! {
            made = work => made,
            _ = tokio::signal::ctrl_c() => {
                bail!("stopped; the answers so far are kept in {}, the same command goes on from there", journal.display())
            }
        }
    })?;
    let outcome = match made {
        Made::Vector(outcome) => outcome,
        Made::Part(answers) => {
            println!("{answers} answers in {}", options.out.display());
            return Ok(());
        }
    };
    let bytes = outcome.file.to_bytes()?;
    write_file(&options.out, &bytes)?;
    if let Some(delivery) = &delivery {
        runtime.block_on(delivery.deliver(&outcome.file))?;
    }
    if options.consume {
        for part in &options.parts {
            std::fs::remove_file(part)
                .with_context(|| format!("cannot remove {}", part.display()))?;
        }
    }
    print!("{}", summary(&outcome));
    println!("{}  {}", personaguard_persona::sha256_hex(&bytes), options.out.display());
    Ok(())
}

/// What a run gave.
enum Made {
    /// The vectors.
    Vector(Box<Outcome>),
    /// A part of them, with so many answers.
    Part(usize),
}

/// The trait, where it need not be written first.
fn ready(options: &Options) -> anyhow::Result<Option<TraitSpec>> {
    let described = options.description.as_deref();
    let path = match (&options.trait_file, described) {
        (Some(path), _) => path.clone(),
        (None, None) => {
            return Ok(Some(TraitSpec::builtin(
                options.trait_name.as_deref().unwrap_or_default(),
            )?));
        }
        (None, Some(description)) => {
            let path = written_path(options);
            if !path.exists() {
                return Ok(None);
            }
            let spec =
                TraitSpec::parse(&read_text(&path)?).with_context(|| path.display().to_string())?;
            let (name, _) = described_name(options, description)?;
            if spec.name != name || spec.description != description {
                bail!(
                    "{} is there already, and of another description: remove it, or name another --out",
                    path.display()
                );
            }
            eprintln!("Using {}.", path.display());
            return Ok(Some(spec));
        }
    };
    let text = read_text(&path)?;
    if path.extension().is_some_and(|extension| extension == "json") {
        let name = options
            .trait_name
            .as_deref()
            .context("a trait file of the paper's format needs --trait NAME")?;
        return Ok(Some(TraitSpec::parse_paper(name, described.unwrap_or_default(), &text)?));
    }
    Ok(Some(TraitSpec::parse(&text)?))
}

fn written_path(options: &Options) -> PathBuf {
    options.out.with_extension("trait.yaml")
}

/// Name and description of a trait that is to be written.
fn described_name<'a>(
    options: &'a Options,
    description: &'a str,
) -> anyhow::Result<(String, &'a str)> {
    let name = match (&options.trait_name, description.split_once(':')) {
        (Some(name), _) => name.clone(),
        (None, Some((name, _))) => name.trim().to_lowercase(),
        (None, None) => {
            bail!(
                "begin --description with the trait's name and a colon, \"grumpy: complains …\", or give --trait"
            )
        }
    };
    let is_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(is_label) {
        bail!(
            "{name:?} cannot be a trait's name: it must be an adjective of a-z, 0-9 and -, of at most 63 characters"
        );
    }
    Ok((name, description))
}

async fn written(
    options: &Options,
    engine: &Engine,
    endpoint: Option<&Endpoint>,
) -> anyhow::Result<TraitSpec> {
    let (name, description) =
        described_name(options, options.description.as_deref().unwrap_or_default())?;
    let author = endpoint.map_or(Author::Model(engine), Author::Endpoint);
    let spec = author.write(&name, description).await?;
    let path = written_path(options);
    write_file(&path, spec.to_yaml()?.as_bytes())?;
    eprintln!("The trait was written to {}: read it.", path.display());
    Ok(spec)
}
