//! `personaguard extract`.

use crate::args::{EngineArgs, VllmArgs};
use clap::Args;
use personaguard_lab::endpoint::Endpoint;
use personaguard_lab::extract::{
    Delivery, ExtractSettings, Extracted, Extraction, TraitSource, extract,
};
use personaguard_lab::shard::Shard;
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// Extract a trait's persona vectors from a model.
///
/// Asks the model the trait's questions under system prompts that ask for the trait and for its
/// absence. The vectors are the differences of its mean activations over the answers, one at every
/// layer. The layer to use is chosen by the effect of steering. The vector is then validated on
/// questions that it was not made from, and calibrated on everyday requests.
///
///   personaguard extract --model SmolLM2-135M-Instruct.Q4_1.gguf --trait evil \
///     --out evil.safetensors
///
/// This takes about three minutes for a model of 135M parameters on two cores. If interrupted, the
/// same command resumes where it stopped.
///
/// A trait of your own needs no more than a description. Its instructions, questions and rubric are
/// generated to a file beside the vector, to be read and corrected. A small model cannot write
/// them, so name a more capable one, which then also judges the answers:
///
///   personaguard extract --model model.gguf \
///     --description "grumpy: complains about everything, finds fault, and sighs" \
///     --endpoint https://llm.example/v1 --endpoint-model NAME --out grumpy.safetensors
///
/// Several machines can share the work. Each answers one shard; then the same command makes the
/// vector from the parts, identical to the byte to that of one machine. It answers whatever the
/// parts lack.
///
///   personaguard extract --model model.gguf --trait evil --rollouts 10 \
///     --shard 0/2 --out evil.part-0
///   personaguard extract --model model.gguf --trait evil --rollouts 10 \
///     --shard 1/2 --out evil.part-1
///   personaguard extract --model model.gguf --trait evil --rollouts 10 \
///     --parts evil.part-0 evil.part-1 --out evil.safetensors
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Weight file (GGUF) of a chat model. The vectors belong to this file alone.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "engine",
        conflicts_with = "engine"
    )]
    model: Option<PathBuf>,
    /// Built-in trait: evil, sycophantic, hallucinating, optimistic, impolite, apathetic or
    /// humorous.
    #[arg(
        long = "trait",
        value_name = "NAME",
        required_unless_present_any = ["trait_file", "description"]
    )]
    trait_name: Option<String>,
    /// Trait of your own: YAML with name, description, instructions, extract, held_out and rubric;
    /// or JSON of the paper's repository (then --trait names it and --description describes it).
    #[arg(long, value_name = "FILE")]
    trait_file: Option<PathBuf>,
    /// Description of a trait of your own, "NAME: what an answer that shows it does". Its trait
    /// file is generated, named like the vector file with the extension .trait.yaml; if that exists
    /// already, it is used.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// OpenAI-compatible endpoint that generates a described trait, and judges whether answers show
    /// the trait and are coherent. It must support logprobs. The model's answers are sent there.
    /// Its key is read from PERSONAGUARD_ENDPOINT_KEY.
    #[arg(long, value_name = "URL", requires = "endpoint_model")]
    endpoint: Option<String>,
    /// Model to ask at the endpoint.
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
    /// Pairs of contrasted system prompts under which each question is asked.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pairs: usize,
    /// Pairs under which each held-out question is asked; the pairs take turns.
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
    /// Try steering at every N-th layer. Default: an eighth of the number of layers.
    #[arg(long, value_name = "N")]
    layer_step: Option<usize>,
    /// Questions to try steering with.
    #[arg(long, value_name = "N", default_value_t = 10)]
    steering_questions: usize,
    /// Largest number of everyday answers to calibrate with. It bounds the quantiles that a policy
    /// can ask for.
    #[arg(long, value_name = "N", default_value_t = 148)]
    benign: usize,
    /// Answer one shard of the requests only, and write a part to --out, for --parts. INDEX counts
    /// from 0.
    #[arg(long, value_name = "INDEX/COUNT", conflicts_with_all = ["parts", "states"])]
    shard: Option<Shard>,
    /// Parts that --shard wrote with otherwise the same options.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    parts: Vec<PathBuf>,
    /// Remove the parts once the vector is written, and delivered if that is asked for.
    #[arg(long, requires = "parts")]
    consume: bool,
    /// File to write the mean activations of every answer to (safetensors, no text), to compute
    /// with them elsewhere.
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
    #[command(flatten)]
    own: EngineArgs,
    #[command(flatten)]
    vllm: VllmArgs,
    #[command(flatten)]
    delivery: DeliveryArgs,
}

/// Options about delivery to the operator.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "In a Job of the operator")]
struct DeliveryArgs {
    /// Deliver the vector file to the operator at this URL (https://HOST:PORT), besides writing it.
    #[arg(long, value_name = "URL", requires = "token_file")]
    deliver_to: Option<String>,
    /// File with the projected ServiceAccount token by which the operator knows this pod.
    #[arg(long, value_name = "FILE", requires = "deliver_to")]
    token_file: Option<PathBuf>,
    /// PEM bundle of the certificate authorities that the operator may use. Default: the system's.
    #[arg(long, value_name = "FILE", requires = "deliver_to")]
    ca_file: Option<PathBuf>,
}

/// Extracts, and writes the file.
///
/// # Errors
/// What a person should read.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let out = options.out.clone();
    match Runtime::new()?.block_on(extract(&extraction(options)?))? {
        Extracted::Vector { summary, sha256 } => println!("{summary}{sha256}  {}", out.display()),
        Extracted::Part { answers } => println!("{answers} answers in {}", out.display()),
    }
    Ok(())
}

fn extraction(options: Options) -> anyhow::Result<Extraction> {
    let endpoint = match (&options.endpoint, &options.endpoint_model) {
        (Some(url), Some(model)) => Some(Endpoint::new(url, model)?),
        _ => None,
    };
    let DeliveryArgs { deliver_to, token_file, ca_file } = options.delivery;
    let delivery =
        deliver_to.zip(token_file).map(|(url, token_file)| Delivery::new(url, token_file, ca_file));
    Ok(Extraction {
        engine: options.vllm.source(options.model, options.own)?,
        source: TraitSource {
            name: options.trait_name,
            file: options.trait_file,
            description: options.description,
            generated: options.out.with_extension("trait.yaml"),
        },
        endpoint,
        settings: ExtractSettings {
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
        },
        shard: options.shard,
        parts: options.parts,
        consume: options.consume,
        states: options.states,
        out: options.out,
        delivery,
    })
}
