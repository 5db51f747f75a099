//! An extraction to run, and what it starts from.

use super::answers::AnswerStore;
use super::journal::Journal;
use super::judge::Judge;
use super::parts::Parts;
use super::plan::Plan;
use super::settings::ExtractSettings;
use crate::engine::LabEngine;
use crate::error::Result;
use personaguard_persona::{BenignPrompts, TraitSpec, sha256_hex};
use std::path::{Path, PathBuf};

/// What is to be extracted, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Trait.
    pub spec: &'a TraitSpec,
    /// Settings.
    pub settings: &'a ExtractSettings,
    /// Judge of the answers, if there is one.
    pub judge: Option<&'a Judge<'a>>,
    /// File that keeps answers and ratings until the extraction is complete.
    pub journal: &'a Path,
    /// Files of [`run_shard`](super::run_shard), whose answers are not generated again.
    pub parts: &'a [PathBuf],
    /// File to write the mean activations to, if they are wanted.
    pub states: Option<&'a Path>,
}

/// What an extraction starts from.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) store: AnswerStore,
    /// Digest of everything that the answers depend on.
    pub(super) design: String,
}

/// Plans the requests, and opens the journal and the parts.
///
/// # Errors
/// If the journal cannot be written, or a part cannot be used.
pub(super) fn prepare(engine: &LabEngine, job: Job<'_>) -> Result<Prepared> {
    let benign = BenignPrompts::builtin()?;
    let plan = Plan::new(job.spec, &benign, job.settings);
    // An adapter is not among the weights that the digest is of.
    let adapter = engine.made_on().and_then(|made_on| made_on.adapter);
    let weights = [Some(engine.digest().to_owned()), adapter];
    let design = serde_json::to_string(&(
        weights.into_iter().flatten().collect::<Vec<_>>().join(" with "),
        job.settings,
        job.spec,
        &benign.system_prompts,
        &benign.questions,
    ))?;
    let design = sha256_hex(design.as_bytes());
    let mut journal = Journal::open(job.journal, &design)?;
    if journal.len() > 0 {
        eprintln!("Resuming with {} answers of an earlier run.", journal.len());
    }
    let mut parts =
        Parts::open(job.parts, &design, &plan, [engine.layers() + 1, engine.hidden_size()])?;
    for (rated, rating) in std::mem::take(&mut parts.ratings) {
        journal.add_rating(rated, rating)?;
    }
    Ok(Prepared { plan, store: AnswerStore { journal, parts }, design })
}
