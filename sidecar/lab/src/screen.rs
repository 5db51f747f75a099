//! The command `screen`: how far each sample of a data set would move a model along a trait; and
//! the command `merge-ranks`, which ranks the shards of a data set together.

mod evaluation;
mod likelihood;
mod merge;
mod page;
mod parquet;
mod ranks;
mod scores;
mod settings;
mod shards;

use crate::engine::{keep_accepted, start};
use crate::error::{Result, bail};
use crate::files::{
    Conversation, ReadOptions, Reading, Tensor, check_model, read_conversations, read_vectors,
    trait_specs, write_tensors,
};
use evaluation::evaluate;
use page::write_page;
use personaguard_persona::screening::{ReferenceWeight, SampleScores};
use ranks::Ranks;
use scores::{MeanActivations, Scorer};
use std::collections::HashMap;

pub use evaluation::{Evaluation, EvaluationRow};
pub use merge::{MergeSettings, Merged, merge};
pub use settings::{Reference, ScreenSettings};

/// What was screened.
#[derive(Clone, Debug)]
pub struct Screening {
    /// How many samples were screened.
    pub screened: usize,
    /// How many samples were left out because they have no answer.
    pub unanswered: usize,
    /// How many samples were left out because they are longer than the context.
    pub too_long: usize,
    /// How many samples were left out of all shards because they cannot be read, as far as this
    /// shard counts them: each is counted by one.
    pub skipped: usize,
    /// How the data were read.
    pub reading: Reading,
    /// How well known bad samples are found, if they are labelled.
    pub evaluation: Option<Evaluation>,
}

/// Screens a data set, and writes the ranks.
///
/// # Errors
/// If a file cannot be read or written, or the engine fails.
pub async fn screen(settings: &ScreenSettings) -> Result<Screening> {
    let vectors = read_vectors(&settings.vectors)?;
    let specs =
        if settings.contrast { trait_specs(&vectors, &settings.trait_files)? } else { Vec::new() };
    let options = ReadOptions { limit: settings.max_samples, skip_invalid: settings.skip_invalid };
    let (mut samples, mut reading) = read_conversations(&settings.data, options)?;
    // Every shard reads all lines; what nobody can read is the first one's.
    let of_others = if settings.shard.contains(0) { 0 } else { reading.skipped.count() };
    samples.retain(|sample| settings.shard.contains(sample.line));
    let all = samples.len();
    samples.retain(|sample| !sample.answer_text().is_empty());
    let unanswered = all - samples.len();
    if samples.is_empty() {
        bail!("no sample of this shard ends with an answer of the assistant");
    }
    let engine = start(&settings.engine).await?;
    check_model(&vectors, &engine.identity(), engine.made_on().as_ref())?;
    let scorer = Scorer::new(&engine, &vectors, &specs, settings)?;
    let mut too_long = 0;
    let fits = async |sample: &Conversation, prompt: &[u32]| {
        let fits = scorer.fits(sample, prompt).await?;
        too_long += usize::from(!fits);
        Ok(fits)
    };
    samples = keep_accepted(&engine, samples, settings.skip_invalid, &mut reading, fits).await?;
    let (scores, activations): (Vec<_>, Vec<_>) =
        scorer.score_all(&samples).await?.into_iter().unzip();
    if let Some(path) = &settings.states {
        let shape = [engine.layers() + 1, engine.hidden_size()];
        write_tensors(path, &tensors(&samples, &activations, shape), HashMap::new())?;
    }
    let weight = if settings.as_in_paper { ReferenceWeight::Full } else { ReferenceWeight::Fitted };
    let by_trait: Vec<Vec<SampleScores>> = (0..vectors.len())
        .map(|index| scores.iter().map(|sample| sample[index]).collect())
        .collect();
    let names: Vec<&str> = vectors.iter().map(|vector| vector.file.trait_name()).collect();
    let ranks = Ranks::new(&names, weight, &by_trait);
    ranks.write(&settings.out)?;
    if let Some(path) = &settings.page {
        let reference = match settings.reference {
            Reference::OwnAnswer => "the model's own answer",
            Reference::PromptLast => "the projection at the last prompt token",
            Reference::Nothing => "zero",
        };
        write_page(path, &settings.data, reference, &ranks)?;
    }
    let evaluation = match &settings.label {
        Some(label) => Some(evaluate(label, &settings.keywords, &samples, &names, &ranks.ranked)?),
        None => None,
    };
    let skipped = reading.skipped.count() - of_others;
    Ok(Screening { screened: samples.len(), unanswered, too_long, skipped, reading, evaluation })
}

/// The mean activations of answers, as tensors.
fn tensors(
    samples: &[Conversation],
    activations: &[MeanActivations],
    [layers, hidden]: [usize; 2],
) -> Vec<Tensor> {
    let tensor = |name: &str, of: fn(&MeanActivations) -> &Vec<f32>| {
        let values: Vec<f32> =
            activations.iter().flat_map(|activations| of(activations).iter().copied()).collect();
        let shape = vec![values.len() / (layers * hidden), layers, hidden];
        Tensor { name: name.to_owned(), shape, values }
    };
    vec![
        tensor("answer", |activations| &activations.answer),
        tensor("own", |activations| &activations.own),
        Tensor {
            name: "line".to_owned(),
            shape: vec![samples.len()],
            values: samples.iter().map(|sample| sample.line as f32).collect(),
        },
    ]
}
