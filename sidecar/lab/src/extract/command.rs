//! The command `extract`: from a model and a trait to a vector file, or to one part of it.

use super::delivery::Delivery;
use super::job::Job;
use super::judge::Judge;
use super::plan::count_answers;
use super::run::{Outcome, run};
use super::settings::ExtractSettings;
use super::shard_run::run_shard;
use super::summary::summary;
use super::trait_generator::TraitGenerator;
use super::trait_source::TraitSource;
use crate::endpoint::Endpoint;
use crate::engine::{EngineSource, LabEngine, start};
use crate::error::{LabError, Result, bail};
use crate::files::{remove_files, write_file};
use crate::shard::Shard;
use personaguard_persona::{TraitSpec, sha256_hex};
use std::path::{Path, PathBuf};

/// What the command is asked for.
#[derive(Debug)]
pub struct Extraction {
    /// The engine with the model.
    pub engine: EngineSource,
    /// The trait.
    pub source: TraitSource,
    /// Endpoint that generates the trait and judges answers, if there is one.
    pub endpoint: Option<Endpoint>,
    /// Settings.
    pub settings: ExtractSettings,
    /// The only shard to answer; the output is a part then.
    pub shard: Option<Shard>,
    /// Parts that were made before.
    pub parts: Vec<PathBuf>,
    /// Whether to remove the parts in the end.
    pub consume: bool,
    /// File to write the mean activations to, if they are wanted.
    pub states: Option<PathBuf>,
    /// File to write.
    pub out: PathBuf,
    /// Where to deliver the vector file, besides writing it.
    pub delivery: Option<Delivery>,
}

/// What the command made.
#[derive(Debug)]
pub enum Extracted {
    /// A vector file.
    Vector {
        /// The outcome, for a person to read.
        summary: String,
        /// SHA-256 of the file, in hexadecimal.
        sha256: String,
    },
    /// A part of one.
    Part {
        /// Number of answers in it.
        answers: usize,
    },
}

/// Extracts, and writes the file. Ctrl-C stops it; the same command resumes.
///
/// # Errors
/// If the settings or the trait cannot be used, the model, the endpoint or the operator fails, or a
/// file cannot be written.
pub async fn extract(extraction: &Extraction) -> Result<Extracted> {
    // Whatever can be refused is refused before the weights are loaded.
    let existing = extraction.source.existing()?;
    if let Some(spec) = &existing {
        extraction.settings.check(spec)?;
    }
    let engine = start(&extraction.engine).await?;
    let spec = async {
        match existing {
            Some(spec) => Ok(spec),
            None => {
                let endpoint = extraction.endpoint.as_ref();
                let generator =
                    endpoint.map_or(TraitGenerator::Model(&engine), TraitGenerator::Endpoint);
                extraction.source.generate(generator).await
            }
        }
    };
    let journal = extraction.journal();
    let result = tokio::select! {
        result = async { extraction.run(&engine, &spec.await?, &journal).await } => result?,
        _ = tokio::signal::ctrl_c() => bail!(
            "stopped; the answers so far are kept in {}, and the same command resumes from there",
            journal.display()
        ),
    };
    match result {
        RunResult::Vector(outcome) => extraction.finish(&outcome).await,
        RunResult::Part(answers) => Ok(Extracted::Part { answers }),
    }
}

enum RunResult {
    Vector(Box<Outcome>),
    /// Number of answers.
    Part(usize),
}

impl Extraction {
    fn journal(&self) -> PathBuf {
        match self.shard {
            // Parts lie side by side, and may differ in their extension only.
            Some(_) => PathBuf::from(format!("{}.journal", self.out.display())),
            None => self.out.with_extension("journal"),
        }
    }

    /// Runs the extraction, and reports its progress meanwhile.
    async fn run(&self, engine: &LabEngine, spec: &TraitSpec, journal: &Path) -> Result<RunResult> {
        self.settings.check(spec)?;
        let judge = self.endpoint.as_ref().map(|endpoint| Judge::new(endpoint, spec));
        let job = Job {
            spec,
            settings: &self.settings,
            judge: judge.as_ref(),
            journal,
            parts: &self.parts,
            states: self.states.as_deref(),
        };
        let total = count_answers(spec, &self.settings, self.shard)?;
        let progress = async {
            match &self.delivery {
                Some(delivery) => delivery.report_progress(journal, total).await,
                None => std::future::pending().await,
            }
        };
        let work = async {
            Ok::<_, LabError>(match self.shard {
                Some(shard) => RunResult::Part(run_shard(engine, job, shard, &self.out).await?),
                None => RunResult::Vector(Box::new(run(engine, job).await?)),
            })
        };
        tokio::select! {
            result = work => result,
            never = progress => match never {},
        }
    }

    /// Writes and delivers the vector file, and removes the parts.
    async fn finish(&self, outcome: &Outcome) -> Result<Extracted> {
        let bytes = outcome.file.to_bytes()?;
        write_file(&self.out, &bytes)?;
        if let Some(delivery) = &self.delivery {
            delivery.deliver(&outcome.file).await?;
        }
        if self.consume {
            remove_files(&self.parts)?;
        }
        Ok(Extracted::Vector { summary: summary(outcome)?, sha256: sha256_hex(&bytes) })
    }
}
