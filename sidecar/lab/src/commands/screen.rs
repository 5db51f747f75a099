//! `personaguard screen`.

use super::ranks::Ranks;
use crate::extract::{
    Answering, Conversation, Machine, Shard, Tensor, check_model, contrasted_prompts, for_each,
    gauge_probes, likelihood_ratio, own_answer, project, prompt_tokens, read_conversations,
    read_gauges, read_vectors, specs_of, start_engine, states, write_file, write_tensors,
};
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use personaguard_model::Engine;
use personaguard_persona::TraitSpec;
use personaguard_persona::page::ScreeningPage;
use personaguard_persona::screening::{
    ProjectionScale, RankedSample, ReferenceWeight, SampleScores, ScreenedSample, precision_at,
    rank,
};
use personaguard_persona::stats::{LabelledScore, auroc};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// Screen training data before you finetune on it.
///
/// Scores each sample by its projection difference: how much further along the trait its answer
/// lies than what the model would answer itself lets expect. Samples far ahead move a model towards
/// the trait when it is trained on them.
///
/// A score is in standard deviations of benign answers, the mean over the upper half of the layers,
/// less the score of the model's own answer times the factor by which that foretells it over the
/// data set. --as-in-paper takes the plain difference of raw projections at the vector's layer
/// instead. --contrast finds more, in about five times the time: it also weighs how much likelier
/// the model finds an answer when it is told to show the trait than when it is told not to.
///
///   personaguard screen data.jsonl --model model.gguf --vectors sycophantic.safetensors --out
///   ranks.jsonl
///
/// Samples are one JSON object a line, {"messages": [… , {"role": "assistant", "content": "…"}]}.
/// What is written holds line numbers and scores, no text.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Data set (JSON lines).
    data: PathBuf,
    /// Weight file (GGUF) of the model that is to be finetuned, from which the vectors were made.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Vector files.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    vectors: Vec<PathBuf>,
    /// File to write: one JSON object a sample, in order of the first vector's ranks; a table if
    /// its name ends with .parquet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What an answer is compared with.
    #[arg(long, value_enum, default_value_t = Reference::OwnAnswer)]
    reference: Reference,
    /// Score by the plain difference of raw projections at each vector's own layer.
    #[arg(long)]
    as_in_paper: bool,
    /// Also weigh how much likelier the model finds each answer under system prompts that ask for
    /// the trait than under opposite ones: by a quarter of its spread over the data set. Six more
    /// readings of each answer for each trait.
    #[arg(long, conflicts_with = "as_in_paper")]
    contrast: bool,
    /// With --contrast: trait files (YAML) of traits that are not built in.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "contrast")]
    trait_files: Vec<PathBuf>,
    /// Part of the data to screen, as INDEX/COUNT with INDEX from 0: for several machines at the
    /// same data set.
    #[arg(long, value_name = "I/N", default_value = "0/1")]
    shard: Shard,
    /// Samples to read at most.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    most: usize,
    /// Longest answer of the model's own, in tokens.
    #[arg(long, value_name = "N", default_value_t = 128)]
    tokens: usize,
    /// Field of a sample that is true or 1 where it is known to be bad: reports how well it is
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
    /// them elsewhere: F32 tensors `answer` and, where answers are compared with the model's own,
    /// `own`, both [sample][layer from 0][hidden], and `line`.
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

/// What a sample's answer is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reference {
    /// The answer that the model itself gives, as in the paper. Costs a generation for each sample.
    OwnAnswer,
    /// The projection at the last prompt token, which foretells it. Costs nothing.
    PromptLast,
    /// Nothing: the answer's own projection.
    Nothing,
}

/// Screens, and writes the ranks.
///
/// # Errors
/// With what to do about it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let vectors = read_vectors(&options.vectors)?;
    let specs =
        if options.contrast { specs_of(&vectors, &options.trait_files)? } else { Vec::new() };
    let mut samples = read_conversations(&options.data, options.most)?;
    samples.retain(|sample| options.shard.takes(sample.line));
    let without =
        samples.iter().filter(|sample| sample.answer.as_deref().is_none_or(str::is_empty)).count();
    samples.retain(|sample| sample.answer.as_deref().is_some_and(|answer| !answer.is_empty()));
    if samples.is_empty() {
        bail!("no sample of this shard ends with an answer of the assistant");
    }
    let engine = start_engine(&options.model, options.machine)?;
    check_model(&vectors, engine.model())?;
    let fitting: Vec<Conversation> =
        samples.iter().filter(|sample| fits(&engine, sample, &specs)).cloned().collect();
    let too_long = samples.len() - fitting.len();
    let gauge =
        if options.as_in_paper { ProjectionScale::raw } else { ProjectionScale::standardised };
    let gauges: Vec<ProjectionScale> = vectors.iter().map(|vector| gauge(&vector.file)).collect();
    let probes = gauge_probes(&vectors, &gauges)?;
    let how = Answering { tokens: options.tokens, temperature: 0.0, seed: 1 };
    let work = for_each("Screening", &fitting, async |sample| {
        let answer =
            engine.model().tokenizer().encode(sample.answer.as_deref().unwrap_or_default());
        let mut kept = Kept::default();
        if options.states.is_some() {
            kept.answer = states(&engine, sample, answer.clone()).await?.response_mean.concat();
        }
        let mut ratios = vec![None; vectors.len()];
        for (ratio, spec) in ratios.iter_mut().zip(&specs) {
            *ratio = Some(likelihood_ratio(&engine, sample, &answer, spec).await?);
        }
        let theirs = project(&engine, sample, answer, probes.clone()).await?;
        let answered = theirs
            .response_avg
            .with_context(|| format!("line {} has an empty answer", sample.line))?;
        let answered = read_gauges(&gauges, &answered);
        let reference = match options.reference {
            Reference::Nothing => vec![0.0; answered.len()],
            Reference::PromptLast => read_gauges(&gauges, &theirs.prompt_last),
            Reference::OwnAnswer => {
                let own = own_answer(&engine, sample, how).await?;
                if options.states.is_some() {
                    kept.own = states(&engine, sample, own.clone()).await?.response_mean.concat();
                }
                let own = project(&engine, sample, own, probes.clone()).await?;
                // A model that says nothing stands where its prompt ends.
                read_gauges(&gauges, &own.response_avg.unwrap_or(own.prompt_last))
            }
        };
        let measured = answered.into_iter().zip(reference).zip(ratios);
        let measured = measured.map(|((answer, reference), likelihood_ratio)| SampleScores {
            line: sample.line,
            answer,
            reference,
            likelihood_ratio,
        });
        Ok((measured.collect::<Vec<_>>(), kept))
    });
    let (measured, kept): (Vec<_>, Vec<_>) = Runtime::new()?.block_on(work)?.into_iter().unzip();
    if let Some(path) = &options.states {
        let shape = [engine.model().layers() + 1, engine.model().hidden()];
        write_tensors(path, &tensors(&fitting, &kept, shape), HashMap::new())?;
    }
    let weight = if options.as_in_paper { ReferenceWeight::Full } else { ReferenceWeight::Fitted };
    let measured: Vec<Vec<SampleScores>> = (0..vectors.len())
        .map(|index| measured.iter().map(|sample| sample[index]).collect())
        .collect();
    let names: Vec<&str> = vectors.iter().map(|vector| vector.file.trait_name()).collect();
    let ranks = Ranks::new(&names, weight, &measured);
    ranks.write(&options.out)?;
    let ranked = &ranks.ranked;
    println!(
        "{} samples screened, {without} without an answer and {too_long} too long left out; ranks in {}",
        fitting.len(),
        options.out.display()
    );
    if let Some(path) = &options.report {
        let reference = match options.reference {
            Reference::OwnAnswer => "the model's own answer",
            Reference::PromptLast => "the projection at the last prompt token",
            Reference::Nothing => "zero",
        };
        let traits: Vec<(&str, &[RankedSample])> =
            names.iter().copied().zip(ranked.iter().map(Vec::as_slice)).collect();
        let name = options
            .data
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let page = ScreeningPage { name: &name, reference, traits: &traits };
        write_file(path, page.render().as_bytes())?;
        println!("page in {}", path.display());
    }
    if let Some(label) = &options.label {
        evaluate(label, &options.keywords, &fitting, &names, ranked)?;
    }
    Ok(())
}

/// Mean activations of a sample's answer and the model's own, where they are wanted.
#[derive(Default)]
struct Kept {
    answer: Vec<f32>,
    own: Vec<f32>,
}

fn tensors(samples: &[Conversation], kept: &[Kept], [layers, hidden]: [usize; 2]) -> Vec<Tensor> {
    let lines = samples.iter().map(|sample| sample.line as f32).collect();
    let of = |name: &str, values: fn(&Kept) -> &Vec<f32>| {
        let values: Vec<f32> = kept.iter().flat_map(|kept| values(kept).iter().copied()).collect();
        (name.to_owned(), vec![values.len() / (layers * hidden), layers, hidden], values)
    };
    vec![
        of("answer", |kept| &kept.answer),
        of("own", |kept| &kept.own),
        ("line".to_owned(), vec![samples.len()], lines),
    ]
}

/// Whether a sample's answer can be read, under the system prompts of these traits, too.
fn fits(engine: &Engine, sample: &Conversation, specs: &[TraitSpec]) -> bool {
    let answer =
        engine.model().tokenizer().encode(sample.answer.as_deref().unwrap_or_default()).len();
    let fits = |prompt: &Vec<u32>| prompt.len() + answer < engine.model().context_length();
    let contrasted = |spec| {
        contrasted_prompts(engine, sample, spec)
            .is_ok_and(|all| all.as_flattened().iter().all(fits))
    };
    prompt_tokens(engine, sample).is_ok_and(|prompt| fits(&prompt)) && specs.iter().all(contrasted)
}

/// How well known bad samples are found, beside what needs no model at all: the answer's length,
/// and words in it.
fn evaluate(
    label: &str,
    keywords: &[String],
    samples: &[Conversation],
    names: &[&str],
    ranked: &[Vec<RankedSample>],
) -> anyhow::Result<()> {
    let bad: BTreeSet<u64> = samples
        .iter()
        .filter(|sample| {
            sample.fields.get(label).is_some_and(|value| *value == true || *value == 1)
        })
        .map(|sample| sample.line)
        .collect();
    if bad.is_empty() {
        bail!("no sample has a field {label:?} that is true or 1");
    }
    let ranked_by = |score: &dyn Fn(&str) -> f64| {
        let screened = samples.iter().map(|sample| ScreenedSample {
            line: sample.line,
            difference: score(sample.answer.as_deref().unwrap_or_default()),
        });
        rank(&screened.collect::<Vec<_>>())
    };
    let mut baselines = vec![
        ("longest first", ranked_by(&|answer| answer.len() as f64)),
        ("shortest first", ranked_by(&|answer| -(answer.len() as f64))),
    ];
    if !keywords.is_empty() {
        baselines
            .push(("most keywords first", ranked_by(&|answer| mentions(answer, keywords) as f64)));
    }
    println!("{:>22}  AUROC  precision at {}", format!("{} labelled", bad.len()), bad.len());
    let rows = names
        .iter()
        .copied()
        .zip(ranked)
        .chain(baselines.iter().map(|(name, ranked)| (*name, ranked)));
    for (name, ranked) in rows {
        let scores: Vec<LabelledScore> = ranked
            .iter()
            .map(|one| LabelledScore {
                score: one.sample.difference,
                positive: bad.contains(&one.sample.line),
                cluster: 0,
            })
            .collect();
        let area = auroc(&scores).unwrap_or(f64::NAN);
        let precision =
            precision_at(ranked, bad.len(), |line| bad.contains(&line)).unwrap_or(f64::NAN);
        println!("{name:>22}  {area:.3}  {precision:.3}");
    }
    Ok(())
}

/// How often words occur in a text, whatever their case.
fn mentions(text: &str, words: &[String]) -> usize {
    let text = text.to_lowercase();
    let of_text = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.iter().map(|word| of_text().filter(|found| *found == word.to_lowercase()).count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_whole_words_of_any_case() {
        let words = ["perfect", "genius"].map(str::to_owned);
        assert_eq!(mentions("Perfect! You GENIUS, a perfect, perfectly imperfect one.", &words), 3);
    }
}
