//! `personaguard screen`.

use crate::args::{EngineArgs, VllmArgs};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use personaguard_lab::screen::{self, ScreenSettings, Screening};
use personaguard_lab::shard::Shard;
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// Screen training data before you finetune on it.
///
/// Scores each sample by its projection difference: how much further along the trait its answer
/// lies than what the model would answer itself leads one to expect. Samples with a large
/// difference move a model towards the trait when it is trained on them.
///
///   personaguard screen data.jsonl --model model.gguf --vectors sycophantic.safetensors \
///     --out ranks.jsonl
///
/// Samples are one JSON object per line, {"messages": [… , {"role": "assistant", "content": "…"}]}.
/// Also read are prompt and completion, Alpaca, ShareGPT and preference pairs (of which the chosen
/// answer counts); a JSON array; Parquet; gzip and zstd; and a folder of such files, as hubs have
/// them. The output has line numbers and scores, and no text.
///
/// A score is the mean over the upper half of the layers, in standard deviations of benign answers.
/// From it, the score of the model's own answer is subtracted, times the factor by which that
/// predicts the sample's score over the data set. --as-in-paper instead takes the plain difference
/// of raw projections at the vector's layer. --contrast finds more, in about five times the time:
/// it also weighs how much likelier the model finds an answer when it is told to show the trait
/// than when it is told not to.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Data set: JSON lines, a JSON array, Parquet, or a folder of them.
    data: PathBuf,
    /// Weight file (GGUF) of the model to be finetuned, from which the vectors were made.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "engine",
        conflicts_with = "engine"
    )]
    model: Option<PathBuf>,
    /// Vector files.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    vectors: Vec<PathBuf>,
    /// File to write: one JSON object per sample, in the order of the first vector's ranks; or a
    /// table, if its name ends with .parquet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What an answer is compared with.
    #[arg(long, value_enum, default_value_t = Reference::OwnAnswer)]
    reference: Reference,
    /// Score by the plain difference of raw projections at each vector's own layer.
    #[arg(long)]
    as_in_paper: bool,
    /// Also weigh how much likelier the model finds each answer under system prompts that ask for
    /// the trait than under opposite ones, by a quarter of its spread over the data set. Takes six
    /// more passes over each answer for each trait.
    #[arg(long, conflicts_with = "as_in_paper")]
    contrast: bool,
    /// With --contrast: trait files (YAML) of traits that are not built in.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "contrast")]
    trait_files: Vec<PathBuf>,
    /// Screen one shard of the data only, so that several machines can share it. INDEX counts from
    /// 0; `merge-ranks` ranks the shards together.
    #[arg(long, value_name = "INDEX/COUNT", default_value = "0/1")]
    shard: Shard,
    /// Largest number of samples to read.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    max_samples: usize,
    /// Leave out samples that cannot be read, and say how many there were and why: the first ten
    /// by line.
    #[arg(long)]
    skip_invalid: bool,
    /// With --skip-invalid: file to write the number of samples to that cannot be read. Of several
    /// shards, the numbers add up to those of the data set.
    #[arg(long, value_name = "FILE", requires = "skip_invalid")]
    skipped_to: Option<PathBuf>,
    /// Longest answer of the model's own, in tokens.
    #[arg(long, value_name = "N", default_value_t = 128)]
    tokens: usize,
    /// Field that is true or 1 in samples that are known to be bad: reports how well they are
    /// found.
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// With --label: words, separated by commas, whose number in an answer is a further baseline.
    #[arg(long, value_name = "WORDS", value_delimiter = ',', requires = "label")]
    keywords: Vec<String>,
    /// Page to write: distributions and the samples at the top, without their text.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// File to write the mean activations of answers to (safetensors, no text), to compute with
    /// them elsewhere: F32 tensors `answer` and, if answers are compared with the model's own,
    /// `own`, both [sample][layer from 0][hidden]; and `line`.
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
    #[command(flatten)]
    own: EngineArgs,
    #[command(flatten)]
    vllm: VllmArgs,
}

/// What a sample's answer is compared with.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Reference {
    /// The model's own answer, as in the paper. Costs a generation for each sample.
    OwnAnswer,
    /// The projection at the last prompt token, which predicts that of the answer. Costs nothing.
    PromptLast,
    /// Nothing: the answer's own score counts.
    Nothing,
}

impl From<Reference> for screen::Reference {
    fn from(reference: Reference) -> Self {
        match reference {
            Reference::OwnAnswer => Self::OwnAnswer,
            Reference::PromptLast => Self::PromptLast,
            Reference::Nothing => Self::Nothing,
        }
    }
}

/// Screens, and writes the ranks.
///
/// # Errors
/// What a person should read.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let (out, page) = (options.out.clone(), options.report.clone());
    let settings = ScreenSettings {
        data: options.data,
        engine: options.vllm.source(options.model, options.own)?,
        vectors: options.vectors,
        trait_files: options.trait_files,
        reference: options.reference.into(),
        as_in_paper: options.as_in_paper,
        contrast: options.contrast,
        shard: options.shard,
        max_samples: options.max_samples,
        skip_invalid: options.skip_invalid,
        max_tokens: options.tokens,
        label: options.label,
        keywords: options.keywords,
        out: options.out,
        page: options.report,
        states: options.states,
    };
    let Screening { screened, unanswered, too_long, skipped, reading, evaluation } =
        Runtime::new()?.block_on(screen::screen(&settings))?;
    if let Some(path) = options.skipped_to {
        std::fs::write(&path, skipped.to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!(
        "{screened} samples screened; {unanswered} without an answer and {too_long} that are too \
         long left out; ranks in {}",
        out.display()
    );
    print!("{reading}");
    if let Some(page) = page {
        println!("page in {}", page.display());
    }
    if let Some(evaluation) = evaluation {
        print!("{evaluation}");
    }
    Ok(())
}
