//! `personaguard study`.

use crate::extract::{
    Machine, OpenVector, StudySettings, TraitStudy, check_model, read_vectors, specs_of,
    start_engine, study, write_file,
};
use anyhow::{Context as _, bail};
use clap::Args;
use personaguard_persona::page::VectorPage;
use personaguard_persona::{SteeringPoint, is_monotonic};
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// Study vectors: what steering does, what prompts foretell, how traits move together.
///
/// Writes one self-contained HTML page for each vector, and prints the numbers.
///
///   personaguard study --model model.gguf --vectors evil.safetensors sycophantic.safetensors --out
///   study/
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Weight file (GGUF) that the vectors were made from.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Vector files.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    vectors: Vec<PathBuf>,
    /// Trait files (YAML) of traits that are not built in.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    trait_files: Vec<PathBuf>,
    /// Folder for the pages.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Longest answer in tokens.
    #[arg(long, value_name = "N", default_value_t = 48)]
    tokens: usize,
    /// Held-out questions for each measurement.
    #[arg(long, value_name = "N", default_value_t = 20)]
    questions: usize,
    /// Seed of sampling.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    machine: Machine,
}

/// Studies, and writes the pages.
///
/// # Errors
/// With what to do about it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.questions < 2 || options.tokens < 8 {
        bail!("--questions must be at least 2, --tokens at least 8");
    }
    let vectors = read_vectors(&options.vectors)?;
    let specs = specs_of(&vectors, &options.trait_files)?;
    let engine = start_engine(&options.model, options.machine)?;
    check_model(&vectors, engine.model())?;
    let settings =
        StudySettings { tokens: options.tokens, questions: options.questions, seed: options.seed };
    let studies = Runtime::new()?.block_on(study(&engine, &vectors, &specs, settings))?;
    std::fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot create {}", options.out.display()))?;
    let names: Vec<String> =
        vectors.iter().map(|vector| vector.file.trait_name().to_owned()).collect();
    for (vector, study) in vectors.iter().zip(&studies) {
        print(vector, study, &names);
        let page = VectorPage {
            file: &vector.file,
            held_out: (&study.positive, &study.negative),
            steering: &study.steering,
            answers: &study.answers,
            traits: &names,
            cosines: &study.cosines,
            cross_auroc: &study.cross_auroc,
            monitoring: study.monitoring,
        };
        let path = options.out.join(format!("{}.html", vector.file.trait_name()));
        write_file(&path, page.render().as_bytes())?;
        println!("  {}\n", path.display());
    }
    Ok(())
}

fn print(vector: &OpenVector, study: &TraitStudy, names: &[String]) {
    println!("{} at layer {}", vector.file.trait_name(), vector.file.best_layer());
    println!("  coefficient  response_avg  log-likelihood ratio");
    for row in &study.steering {
        let rung = row.point;
        println!(
            "  {:>11}  {:>12.3}  {:>20.4}",
            rung.coefficient, rung.response_avg, rung.likelihood_ratio
        );
    }
    let rungs: Vec<SteeringPoint> = study.steering.iter().map(|row| row.point).collect();
    println!(
        "  both rise at each step: {}",
        if is_monotonic(&rungs) == Some(true) { "yes" } else { "NO" }
    );
    if let Some((overall, within)) = study.monitoring {
        println!(
            "  prompt_last foretells the answer: r {overall:.3} over all system prompts, {within:.3} within one"
        );
    }
    println!("  trait             cosine  AUROC on its answers  rescored");
    for (index, name) in names.iter().enumerate() {
        let (written, rescored) = study.cross_auroc[index];
        println!("  {name:<16}  {:>6.3}  {written:>20.3}  {rescored:>8.3}", study.cosines[index]);
    }
}
