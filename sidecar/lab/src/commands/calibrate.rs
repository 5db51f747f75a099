//! `personaguard calibrate`.

use crate::extract::{
    Answering, Conversation, Machine, OpenVector, check_model, for_each, own_answer,
    read_conversations, read_vectors, start_engine, states, write_file,
};
use anyhow::{Context as _, bail};
use clap::Args;
use personaguard_persona::random::RandomStream;
use personaguard_persona::stats::wilson_interval;
use personaguard_persona::{Calibration, LayerMatrix, project, sha256_hex};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// Calibrate vectors on benign conversations of your own.
///
/// Thresholds given as a sigma or a quantile are relative to what benign answers score; the
/// built-in calibration comes from everyday questions, yours from your service's own traffic.
/// Conversations are one JSON object a line, {"messages": [{"role": "user", "content": "…"}, …]};
/// where the last message is no answer, the model answers.
///
///   personaguard calibrate --model model.gguf --vectors evil.safetensors --conversations
///   benign.jsonl --out calibrated/
///
/// A fifth of the conversations is kept aside to measure how often the thresholds fire on benign
/// answers. A quantile q needs 1/(1−q) conversations: 1000 for 0.999.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Weight file (GGUF) that the vectors were made from.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Vector files.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    vectors: Vec<PathBuf>,
    /// Benign conversations (JSON lines).
    #[arg(long, value_name = "FILE")]
    conversations: PathBuf,
    /// Folder for the calibrated vector files; their names stay.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Conversations to read at most.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    most: usize,
    /// Longest answer in tokens.
    #[arg(long, value_name = "N", default_value_t = 128)]
    tokens: usize,
    /// Sampling temperature of answers: that of your service.
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f32,
    /// Seed of answers and of the split.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    machine: Machine,
}

/// Fewest conversations that say anything about a spread.
const FEWEST: usize = 20;

/// Calibrates, and writes the files.
///
/// # Errors
/// With what to do about it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let vectors = read_vectors(&options.vectors)?;
    let conversations = read_conversations(&options.conversations, options.most)?;
    if conversations.len() < FEWEST {
        bail!(
            "{} conversations are too few to calibrate on: give at least {FEWEST}",
            conversations.len()
        );
    }
    let engine = start_engine(&options.model, options.machine)?;
    check_model(&vectors, engine.model())?;
    let how =
        Answering { tokens: options.tokens, temperature: options.temperature, seed: options.seed };
    let work = for_each("Reading conversations", &conversations, async |conversation| {
        let response = match &conversation.answer {
            Some(answer) => engine.model().tokenizer().encode(answer),
            None => own_answer(&engine, conversation, how).await?,
        };
        if response.is_empty() {
            return Ok(None);
        }
        let states = states(&engine, conversation, response).await?.response_mean;
        Ok(Some(
            vectors
                .iter()
                .map(|vector| by_layer(vector.file.response_avg(), &states))
                .collect::<Vec<_>>(),
        ))
    });
    let scores: Vec<_> = Runtime::new()?.block_on(work)?;
    std::fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot create {}", options.out.display()))?;
    for (index, vector) in vectors.into_iter().enumerate() {
        let scores: Vec<(&Conversation, &Vec<f64>)> = conversations
            .iter()
            .zip(&scores)
            .filter_map(|(conversation, scores)| Some((conversation, scores.as_ref()?.get(index)?)))
            .collect();
        finish(vector, &scores, options)?;
    }
    Ok(())
}

/// Projections on a vector at every layer.
fn by_layer(vectors: &LayerMatrix, states: &[Vec<f32>]) -> Vec<f64> {
    (0..)
        .zip(states)
        .filter_map(|(layer, activation)| Some(project(activation, vectors.layer(layer)?)))
        .collect()
}

fn finish(
    vector: OpenVector,
    scores: &[(&Conversation, &Vec<f64>)],
    options: &Options,
) -> anyhow::Result<()> {
    let layer = vector.file.best_layer() as usize;
    let calibrate = |scores: &[&Vec<f64>]| -> Option<Vec<Calibration>> {
        (0..=vector.file.layers() as usize)
            .map(|layer| {
                Calibration::from_scores(
                    &scores.iter().map(|scores| scores[layer]).collect::<Vec<_>>(),
                )
            })
            .collect()
    };
    let too_few = "too few conversations have an answer to calibrate on";
    let mut stream = RandomStream::new(options.seed, 0xCA1);
    let (test, fit): (Vec<_>, Vec<_>) =
        scores.iter().map(|(_, scores)| *scores).partition(|_| stream.below(5) == 0);
    let fitted = &calibrate(&fit).context(too_few)?[layer];
    let all: Vec<&Vec<f64>> = scores.iter().map(|(_, scores)| *scores).collect();
    let mut metadata = vector.file.metadata().clone();
    metadata.calibration = calibrate(&all).context(too_few)?;
    metadata.settings.insert(
        "calibration".to_owned(),
        format!("{} conversations, at most {} tokens", all.len(), options.tokens),
    );
    print_calibration(&metadata.trait_name, layer, &metadata.calibration[layer]);
    let tested: Vec<f64> = test.iter().map(|scores| scores[layer]).collect();
    for (name, threshold, nominal) in [
        ("sigma 3", Some(fitted.at_sigma(3.0)), None),
        ("quantile 0.95", fitted.at_quantile(0.95), Some(0.05)),
        ("quantile 0.99", fitted.at_quantile(0.99), Some(0.01)),
        ("quantile 0.999", fitted.at_quantile(0.999), Some(0.001)),
    ] {
        print_false_positives(name, threshold, nominal, &tested);
    }
    print_by_system_prompt(scores, layer);
    let name = vector.path.file_name().context("a vector file has no name")?;
    let path = options.out.join(name);
    let bytes = vector.file.with_metadata(metadata)?.to_bytes()?;
    write_file(&path, &bytes)?;
    println!("{}  {}\n", sha256_hex(&bytes), path.display());
    Ok(())
}

fn print_calibration(name: &str, layer: usize, calibration: &Calibration) {
    let (mean, deviation) = calibration.standard_errors();
    println!(
        "{name}, layer {layer}: mean {:.3} ± {mean:.3}, standard deviation {:.3} ± {deviation:.3}, from {} answers",
        calibration.mean, calibration.standard_deviation, calibration.count
    );
}

fn print_false_positives(name: &str, threshold: Option<f64>, nominal: Option<f64>, tested: &[f64]) {
    let Some(threshold) = threshold else {
        println!("  {name}: too few conversations");
        return;
    };
    let hits = tested.iter().filter(|score| **score > threshold).count() as u32;
    let trials = tested.len() as u32;
    let Some(interval) = wilson_interval(hits, trials) else { return };
    let promised = nominal.map_or(String::new(), |nominal| {
        let inside = (interval.low..=interval.high).contains(&nominal);
        format!(", promised {:.2}%: {}", 100.0 * nominal, if inside { "agrees" } else { "DIFFERS" })
    });
    println!(
        "  {name} = {threshold:.3}: {hits} of {trials} benign answers kept aside are past it ({:.2}% to {:.2}%){promised}",
        100.0 * interval.low,
        100.0 * interval.high
    );
}

/// Benign answers differ from one system prompt to another; a threshold over all of them may be
/// loose for one.
fn print_by_system_prompt(scores: &[(&Conversation, &Vec<f64>)], layer: usize) {
    let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (conversation, scores) in scores {
        let system = conversation.system();
        let hash = if system.is_empty() {
            "none".to_owned()
        } else {
            sha256_hex(system.as_bytes())[..12].to_owned()
        };
        groups.entry(hash).or_default().push(scores[layer]);
    }
    println!("  by system prompt (SHA-256, first 12 digits):");
    for (hash, scores) in groups {
        match Calibration::from_scores(&scores) {
            Some(group) => println!(
                "    {hash:<12}  {:>6} answers, mean {:>8.3}, standard deviation {:.3}",
                group.count, group.mean, group.standard_deviation
            ),
            None => println!("    {hash:<12}  {:>6} answer", scores.len()),
        }
    }
}
