//! One shard of an extraction.

use super::answers::{answer, coherent, rescore};
use super::filter::rate;
use super::job::{Job, Prepared, prepare};
use super::parts::write_part;
use super::request::Purpose;
use crate::engine::LabEngine;
use crate::error::Result;
use crate::shard::Shard;
use personaguard_model::Capture;
use std::path::Path;

/// Generates the answers of one shard and writes them, with their activations, to a file for
/// [`Job::parts`]. Returns the number of answers.
///
/// # Errors
/// If the engine or the judge fails, or a file cannot be written.
pub async fn run_shard(
    engine: &LabEngine,
    job: Job<'_>,
    shard: Shard,
    out: &Path,
) -> Result<usize> {
    let Prepared { plan, mut store, design } = prepare(engine, job)?;
    let plan = plan.shard(shard);
    let mut answers = Vec::new();
    let mut rescored = Vec::new();
    for (requests, capture, title) in [
        (&plan.extract, Capture::PromptAndResponse, "Answering extraction questions"),
        (&plan.held_out, Capture::Response, "Answering held-out questions"),
        (&plan.benign, Capture::Response, "Answering benign requests"),
    ] {
        let given = answer(engine, requests, job.settings, capture, &mut store, title).await?;
        let (coherent, _) = coherent(given.clone());
        if coherent
            .first()
            .is_some_and(|answer| !matches!(answer.request.purpose, Purpose::Benign(_)))
        {
            rescored.extend(rescore(engine, &coherent, &mut store.parts).await?);
        }
        if let Some(judge) = job.judge {
            rate(engine, judge, &coherent, &mut store.journal).await?;
        }
        answers.extend(given);
    }
    write_part(out, &design, &answers, &rescored, store.journal.ratings())?;
    store.journal.remove();
    Ok(answers.len())
}
