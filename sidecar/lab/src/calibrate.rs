//! The command `calibrate`: calibrates vectors on benign conversations of a user's own.

mod report;

use crate::engine::{
    EngineSource, GenerationSettings, LabEngine, conversation_prompt, generate, keep_accepted,
    mean_states, request_seed, run_in_order, start,
};
use crate::error::{Context as _, Result, bail};
use crate::files::{
    Conversation, LoadedVector, ReadOptions, Reading, check_model, read_conversations,
    read_vectors, write_file,
};
use personaguard_model::Capture;
use personaguard_persona::random::RandomStream;
use personaguard_persona::{Calibration, LayerMatrix, project, sha256_hex};
use std::path::PathBuf;

pub use report::{CalibrationReport, FalsePositives, PromptGroup, ThresholdCheck};

/// Fewest conversations that say anything about a spread.
const MIN_CONVERSATIONS: usize = 20;

const TOO_FEW: &str = "too few conversations have an answer to calibrate on";

/// What the command is asked for.
#[derive(Clone, Debug)]
pub struct CalibrateSettings {
    /// The engine with the model.
    pub engine: EngineSource,
    /// Vector files.
    pub vectors: Vec<PathBuf>,
    /// Benign conversations.
    pub conversations: PathBuf,
    /// Folder to write the calibrated vector files to.
    pub out: PathBuf,
    /// How many conversations are read at most.
    pub max_conversations: usize,
    /// Whether conversations that cannot be read are left out.
    pub skip_invalid: bool,
    /// How answers are generated, where a conversation has none.
    pub generation: GenerationSettings,
}

/// Calibrates vectors, and writes the files. Also returns how the conversations were read.
///
/// # Errors
/// If a file cannot be read or written, the engine fails, or there are too few conversations.
pub async fn calibrate(settings: &CalibrateSettings) -> Result<(Vec<CalibrationReport>, Reading)> {
    let vectors = read_vectors(&settings.vectors)?;
    let options =
        ReadOptions { limit: settings.max_conversations, skip_invalid: settings.skip_invalid };
    let (conversations, mut reading) = read_conversations(&settings.conversations, options)?;
    check_count(conversations.len())?;
    let engine = start(&settings.engine).await?;
    check_model(&vectors, &engine.identity(), engine.made_on().as_ref())?;
    let skip = settings.skip_invalid;
    let conversations =
        keep_accepted(&engine, conversations, skip, &mut reading, async |_, _| Ok(true)).await?;
    check_count(conversations.len())?;
    let work = conversations.iter().collect();
    let scores =
        run_in_order("Reading conversations", work, async |conversation: &Conversation| {
            score(&engine, &vectors, conversation, settings.generation)
                .await
                .with_context(|| format!("line {}", conversation.line))
        })
        .await?;
    std::fs::create_dir_all(&settings.out)
        .with_context(|| format!("cannot create {}", settings.out.display()))?;
    let reports = vectors
        .into_iter()
        .enumerate()
        .map(|(index, vector)| {
            let scores: Vec<(&Conversation, &[f64])> = conversations
                .iter()
                .zip(&scores)
                .filter_map(|(conversation, scores)| {
                    Some((conversation, scores.as_ref()?.get(index)?.as_slice()))
                })
                .collect();
            finish(vector, &scores, settings)
        })
        .collect::<Result<_>>()?;
    Ok((reports, reading))
}

fn check_count(conversations: usize) -> Result<()> {
    if conversations < MIN_CONVERSATIONS {
        bail!(
            "{conversations} conversations are too few to calibrate on: give at least \
             {MIN_CONVERSATIONS}"
        );
    }
    Ok(())
}

/// Scores of a conversation's answer in shape `[vector][layer]`; `None` for an empty answer. If the
/// conversation has no answer, the model gives one.
async fn score(
    engine: &LabEngine,
    vectors: &[LoadedVector],
    conversation: &Conversation,
    generation: GenerationSettings,
) -> Result<Option<Vec<Vec<f64>>>> {
    let prompt = conversation_prompt(engine, conversation).await?;
    let response = match &conversation.answer {
        Some(answer) => engine.encode(answer).await?,
        None => {
            let seed = request_seed(generation.seed, &conversation.line.to_string());
            let generation = GenerationSettings { seed, ..generation };
            generate(engine, prompt.clone(), generation, None).await?
        }
    };
    if response.is_empty() {
        return Ok(None);
    }
    let states =
        mean_states(engine, prompt, response, Capture::PromptAndResponse).await?.response_mean;
    let scores = vectors.iter().map(|vector| by_layer(vector.file.response_avg(), &states));
    Ok(Some(scores.collect()))
}

/// Projections on a vector at every layer.
fn by_layer(vectors: &LayerMatrix, states: &[Vec<f32>]) -> Vec<f64> {
    states.iter().zip(vectors.rows()).map(|(state, vector)| project(state, vector)).collect()
}

/// Calibrates one vector, writes its file, and checks thresholds on a fifth of the conversations
/// with a calibration on the others.
fn finish(
    vector: LoadedVector,
    scores: &[(&Conversation, &[f64])],
    settings: &CalibrateSettings,
) -> Result<CalibrationReport> {
    let layer = vector.file.best_layer() as usize;
    let calibrate = |scores: &[&[f64]]| -> Option<Vec<Calibration>> {
        (0..=vector.file.layers() as usize)
            .map(|layer| {
                let scores: Vec<f64> = scores.iter().map(|scores| scores[layer]).collect();
                Calibration::from_scores(&scores)
            })
            .collect()
    };
    let mut stream = RandomStream::new(settings.generation.seed, 0xCA1);
    let all: Vec<&[f64]> = scores.iter().map(|(_, scores)| *scores).collect();
    let (test, fit): (Vec<_>, Vec<_>) = all.iter().copied().partition(|_| stream.below(5) == 0);
    let fitted = &calibrate(&fit).context(TOO_FEW)?[layer];
    let mut metadata = vector.file.metadata().clone();
    metadata.calibration = calibrate(&all).context(TOO_FEW)?;
    metadata.settings.insert(
        "calibration".to_owned(),
        format!("{} conversations, at most {} tokens", all.len(), settings.generation.max_tokens),
    );
    let tested: Vec<f64> = test.iter().map(|scores| scores[layer]).collect();
    let thresholds = report::check_thresholds(fitted, &tested);
    let groups = report::by_system_prompt(
        scores.iter().map(|(conversation, scores)| (conversation.system_prompt(), scores[layer])),
    );
    let (trait_name, calibration) =
        (metadata.trait_name.clone(), metadata.calibration[layer].clone());
    let path = settings.out.join(vector.path.file_name().context("a vector file has no name")?);
    let bytes = vector.file.with_metadata(metadata)?.to_bytes()?;
    write_file(&path, &bytes)?;
    let sha256 = sha256_hex(&bytes);
    Ok(CalibrationReport { trait_name, layer, calibration, thresholds, groups, path, sha256 })
}
