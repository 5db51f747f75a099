//! The passes of an extraction, in their order.

use super::answers::{answer, coherent, rescore};
use super::filter::{confirmed, rate};
use super::job::{Job, Prepared, prepare};
use super::judge::Judge;
use super::layer_trial::{DoseResponses, choose_layer};
use super::request::Purpose;
use super::sampling::{States, matching_pairs, response_mean, samples};
use super::scored_answer::ScoredAnswer;
use super::settings::ExtractSettings;
use super::states::write_states;
use super::steering_effect::{Trial, steering_effects};
use crate::dose_response::{DoseResponse, indexed, steering_points};
use crate::engine::LabEngine;
use crate::error::{Context as _, Result};
use personaguard_model::Capture;
use personaguard_persona::extraction::{
    CrossFit, LayerCandidate, METHOD, Pair, Sample, ValidationInput, followed_contrasts,
    mean_difference, pair_up, rank_layers, separation, validate_layer,
};
use personaguard_persona::stats::mean;
use personaguard_persona::vector_file::limits::MAX_TEXT_CHARS;
use personaguard_persona::{
    Calibration, LayerMatrix, LayerValidation, Polarity, SampleCounts, SteeringPoint, VectorFile,
    VectorMetadata, project,
};
use std::collections::BTreeMap;

const TOO_FEW: &str = "too few pairs of answers are coherent: this model does not follow the \
                       instructions, or --questions or --tokens is too low";

/// The result of an extraction.
#[derive(Debug)]
pub struct Outcome {
    /// The vector file.
    pub file: VectorFile,
    /// The layers that were tried.
    pub candidates: Vec<LayerCandidate>,
    /// Their dose responses on the extraction questions.
    pub dose_responses: DoseResponses,
    /// How many answers were dropped as incoherent.
    pub incoherent: usize,
    /// How many pairs were dropped because the judge did not confirm them; or without a judge,
    /// because the model does not follow their contrast.
    pub filtered: usize,
    /// Whether a judge decided.
    pub judged: bool,
}

/// Extracts a trait's vectors.
///
/// # Errors
/// If the engine or the judge fails, the journal cannot be written, or too few answers are
/// coherent.
pub async fn run(engine: &LabEngine, job: Job<'_>) -> Result<Outcome> {
    let Job { spec, settings, judge, .. } = job;
    let Prepared { plan, mut store, .. } = prepare(engine, job)?;

    let capture = Capture::PromptAndResponse;
    let title = "Answering extraction questions";
    let answers = answer(engine, &plan.extract, settings, capture, &mut store, title).await?;
    let (extract, incoherent) = coherent(answers);
    let extract_rescored = rescore(engine, &extract, &mut store.parts).await?;
    let extract_samples = samples(&extract, response_mean);
    let all_pairs = pair_up(&extract_samples);
    let pairs = match judge {
        Some(judge) => {
            rate(engine, judge, &extract, &mut store.journal).await?;
            confirmed(judge, &extract, &all_pairs, &store.journal)
        }
        None => followed_contrasts(&all_pairs),
    };
    let fit = CrossFit::new(&pairs).context(TOO_FEW)?;
    let vectors = mean_difference(&pairs).context(TOO_FEW)?;

    let rescored_samples = samples(&extract_rescored, response_mean);
    let rescored_pairs = matching_pairs(&pairs, &rescored_samples);
    let trials = trials(&extract, &pairs, settings.steering_questions);
    let candidates = steering_effects(engine, &fit, &trials, settings, judge, &mut store.journal)
        .await?
        .into_iter()
        .map(|(layer, steering_effects)| {
            let try_on = |scored| separation(&pairs, scored, layer, settings.draws, settings.seed);
            let (generated, rescored) = (try_on(&pairs)?, try_on(&rescored_pairs)?);
            Some(LayerCandidate { layer, steering_effects, generated, rescored })
        })
        .collect::<Option<Vec<_>>>()
        .context(TOO_FEW)?;
    let (best_layer, dose_responses) =
        choose_layer(engine, spec, settings, &fit, &rank_layers(&candidates)).await?;

    let capture = Capture::Response;
    let title = "Answering held-out questions";
    let answers = answer(engine, &plan.held_out, settings, capture, &mut store, title).await?;
    let (held_out, _) = coherent(answers);
    let held_out_rescored = rescore(engine, &held_out, &mut store.parts).await?;
    let input = ValidationInput {
        vectors: &vectors,
        pairs: &pairs,
        held_out: &samples(&held_out, response_mean),
        rescored: &samples(&held_out_rescored, response_mean),
        draws: settings.draws,
        seed: settings.seed,
    };
    let validation = validate(&input, &candidates)?;
    let steering = held_out_dose_response(engine, job, &vectors, best_layer).await?;

    let title = "Answering benign requests";
    let answers = answer(engine, &plan.benign, settings, capture, &mut store, title).await?;
    let (benign, _) = coherent(answers);
    if let Some(path) = job.states {
        let sets: [(&str, &[ScoredAnswer]); 5] = [
            ("extract", &extract),
            ("extract_rescored", &extract_rescored),
            ("held_out", &held_out),
            ("held_out_rescored", &held_out_rescored),
            ("benign", &benign),
        ];
        write_states(path, &sets)?;
    }
    let metadata = VectorMetadata {
        format: VectorMetadata::FORMAT.to_owned(),
        trait_name: spec.name.clone(),
        description: spec.description.clone(),
        model: engine.identity(),
        made_on: engine.made_on(),
        method: METHOD.to_owned(),
        counts: SampleCounts { positive: pairs.len() as u32, negative: pairs.len() as u32 },
        best_layer,
        validation,
        calibration: calibrate(&vectors, &benign)?,
        steering,
        settings: describe(settings, judge),
    };
    let over_prompts = |states: States| {
        let samples = samples(&extract, states);
        mean_difference(&matching_pairs(&pairs, &samples))
    };
    let (prompt_avg, prompt_last) = (
        over_prompts(|answer| &answer.states.prompt_mean),
        over_prompts(|answer| &answer.states.prompt_last),
    );
    let filtered = all_pairs.len() - pairs.len();
    let file = VectorFile::new(metadata, vectors, prompt_avg, prompt_last)?;
    store.journal.remove();
    let judged = judge.is_some();
    Ok(Outcome { file, candidates, dose_responses, incoherent, filtered, judged })
}

/// One kept pair for each question; contrasts take turns over the questions.
fn trials<'a>(answers: &'a [ScoredAnswer], pairs: &[Pair<'_>], questions: usize) -> Vec<Trial<'a>> {
    let by_purpose: BTreeMap<Purpose, &ScoredAnswer> =
        answers.iter().map(|answer| (answer.request.purpose, answer)).collect();
    let mut by_question: BTreeMap<u32, Vec<&Sample>> = BTreeMap::new();
    for (positive, _) in pairs {
        by_question.entry(positive.key.question).or_default().push(positive);
    }
    by_question
        .into_iter()
        .take(questions)
        .filter_map(|(question, samples)| {
            let key = samples[question as usize % samples.len()].key;
            let answer = |polarity| by_purpose.get(&Purpose::Extract(polarity, key)).copied();
            Some(Trial {
                positive: answer(Polarity::Positive)?,
                negative: answer(Polarity::Negative)?,
                question,
            })
        })
        .collect()
}

/// Validates every layer, and records the effects of steering by which the layer was chosen.
fn validate(
    input: &ValidationInput<'_>,
    candidates: &[LayerCandidate],
) -> Result<Vec<LayerValidation>> {
    let mut validation = (0..=input.vectors.layers())
        .map(|layer| validate_layer(input, layer))
        .collect::<Option<Vec<_>>>()
        .context(
            "the held-out answers are all of one side: too few are coherent to validate the vector",
        )?;
    for candidate in candidates {
        let effect = (mean(&candidate.steering_effects) * 1e6).round() / 1e6;
        validation[candidate.layer as usize].steering_effect = Some(effect);
    }
    Ok(validation)
}

async fn held_out_dose_response(
    engine: &LabEngine,
    Job { spec, settings, .. }: Job<'_>,
    vectors: &LayerMatrix,
    layer: u32,
) -> Result<Vec<SteeringPoint>> {
    let response = DoseResponse { engine, spec, layer, max_tokens: settings.tokens };
    let questions = indexed(&spec.held_out, settings.questions);
    let answers = response.measure(&questions, |_| vectors.layer(layer)).await?;
    Ok(steering_points(&answers))
}

/// Calibrates every layer on benign answers.
fn calibrate(vectors: &LayerMatrix, benign: &[ScoredAnswer]) -> Result<Vec<Calibration>> {
    (0..)
        .zip(vectors.rows())
        .map(|(layer, vector): (usize, _)| {
            let scores: Vec<f64> = benign
                .iter()
                .map(|answer| project(&answer.states.response_mean[layer], vector))
                .collect();
            Calibration::from_scores(&scores)
        })
        .collect::<Option<Vec<_>>>()
        .context("too few benign answers are coherent to calibrate the vector")
}

/// How to make the file again.
fn describe(settings: &ExtractSettings, judge: Option<&Judge<'_>>) -> BTreeMap<String, String> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(settings) else {
        return BTreeMap::new();
    };
    let mut described: BTreeMap<String, String> =
        fields.into_iter().map(|(key, value)| (key, value.to_string())).collect();
    let judge = judge.map_or("none: contrasts filtered by cross-fitted separation", Judge::model);
    let tool = concat!("personaguard ", env!("CARGO_PKG_VERSION"));
    let control = "labels exchanged in half of the pairs, drawn at random";
    for (key, value) in [("judge", judge), ("control", control), ("tool", tool)] {
        described.insert(key.to_owned(), value.chars().take(MAX_TEXT_CHARS).collect());
    }
    described
}
