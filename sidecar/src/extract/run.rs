//! The passes of an extraction, in their order.

use super::journal::Journal;
use super::plan::{Ask, Plan, Purpose, Settings};
use super::responder::{Read, answer, read};
use super::steering::{SteeringCurve, Trial, steering_curve};
use anyhow::{Context as _, bail};
use personaguard_model::Engine;
use personaguard_persona::extraction::{
    CrossFit, METHOD, Sample, ValidationInput, choose_layer, incoherence, mean_difference, pair_up, validate,
};
use personaguard_persona::{
    Benign, Calibration, Counts, ModelIdentity, Polarity, TraitSpec, VectorFile, VectorMetadata, project,
};
use std::collections::BTreeMap;
use std::path::Path;

/// What an extraction gave.
#[derive(Debug)]
pub struct Outcome {
    /// The vectors.
    pub file: VectorFile,
    /// Effect of steering by layer.
    pub steering: SteeringCurve,
    /// Separation on the extraction questions by layer from 0, cross-fitted.
    pub separation: Vec<f64>,
    /// Pairs left out because an answer was no coherent text.
    pub incoherent: usize,
    /// Pairs left out because the other questions' vector does not tell their answers apart.
    pub unseparated: usize,
}

/// Standard errors of the steering effect within which the better separation decides between layers.
const STEERING_ERRORS: f64 = 1.0;

/// Extracts a trait's vectors.
///
/// # Errors
/// If the engine fails, the journal cannot be written, or too few answers are coherent.
pub async fn run(engine: &Engine, spec: &TraitSpec, settings: &Settings, journal: &Path) -> anyhow::Result<Outcome> {
    let benign = Benign::builtin()?;
    let plan = Plan::new(spec, &benign, settings);
    let model = engine.model();
    let design = serde_json::to_string(&(model.digest(), settings, spec, &benign.systems, &benign.questions))?;
    let mut journal = Journal::open(journal, &personaguard_persona::sha256_hex(design.as_bytes()))?;
    if journal.len() > 0 {
        eprintln!("Going on with {} answers of an earlier run.", journal.len());
    }

    let answers = answer(engine, &plan.extract, settings, &mut journal, "Answering, to extract").await?;
    let (answers, incoherent) = coherent(&plan.extract, answers);
    let reads = read(engine, answers, None, "Reading activations").await?;
    let samples = samples(&reads, |read| &read.states.response_mean);
    let all = pair_up(&samples);
    let fit = CrossFit::new(&all).context(TOO_FEW)?;
    let pairs: Vec<_> = all.iter().copied().filter(|pair| fit.is_separated(*pair)).collect();
    let unseparated = all.len() - pairs.len();
    let fit = CrossFit::new(&pairs).context(TOO_FEW)?;
    let vectors = mean_difference(&pairs).context(TOO_FEW)?;
    let separation: Vec<f64> =
        (0..=vectors.layers()).map(|layer| fit.separation(&pairs, layer).unwrap_or(0.5)).collect();

    let trials = trials(&reads, &pairs, settings.steering_questions);
    let steering = steering_curve(engine, &fit, &trials, settings).await?;
    let best_layer = choose_layer(&steering, |layer| separation[layer as usize], STEERING_ERRORS)
        .context("no layer could be tried by steering: lower --layer-step, or raise --steering-questions")?;

    let answers = answer(engine, &plan.held_out, settings, &mut journal, "Answering, held out").await?;
    let (answers, _) = coherent(&plan.held_out, answers);
    let held_out = read(engine, answers.clone(), None, "Reading held-out answers").await?;
    let held_out = self::samples(&held_out, |read| &read.states.response_mean);
    let rescored = read(engine, answers, Some(""), "Rescoring under a neutral prompt").await?;
    let rescored = self::samples(&rescored, |read| &read.states.response_mean);
    let input = ValidationInput {
        vectors: &vectors,
        pairs: &pairs,
        held_out: &held_out,
        rescored: &rescored,
        draws: settings.draws,
        seed: settings.seed,
    };
    let mut validation = (0..=vectors.layers())
        .map(|layer| validate(&input, layer))
        .collect::<Option<Vec<_>>>()
        .context("the held-out answers are all of one side: too few are coherent to validate the vector")?;
    for (layer, effects) in &steering {
        let effect = personaguard_persona::stats::mean(effects);
        validation[*layer as usize].steering_effect = Some((effect * 1e6).round() / 1e6);
    }

    let answers = answer(engine, &plan.benign, settings, &mut journal, "Answering everyday requests").await?;
    let (answers, _) = coherent(&plan.benign, answers);
    let calm = read(engine, answers, None, "Calibrating").await?;
    let calibration = (0..=vectors.layers())
        .map(|layer| {
            let vector = vectors.layer(layer)?;
            let at = |read: &Read| project(&read.states.response_mean[layer as usize], vector);
            Calibration::from_scores(&calm.iter().map(at).collect::<Vec<_>>())
        })
        .collect::<Option<Vec<_>>>()
        .context("too few everyday answers are coherent to calibrate the vector")?;

    let of_prompt = |states: fn(&Read) -> &Vec<Vec<f32>>| {
        let samples = self::samples(&reads, states);
        let kept: Vec<_> = pair_up(&samples)
            .into_iter()
            .filter(|(one, _)| pairs.iter().any(|(kept, _)| kept.key == one.key))
            .collect();
        mean_difference(&kept)
    };
    let metadata = VectorMetadata {
        format: VectorMetadata::FORMAT.to_owned(),
        trait_name: spec.name.clone(),
        description: spec.description.clone(),
        model: ModelIdentity { name: model.name().to_owned(), sha256: model.digest().to_owned() },
        method: METHOD.to_owned(),
        counts: Counts { positive: pairs.len() as u32, negative: pairs.len() as u32 },
        best_layer,
        validation,
        calibration,
        settings: describe(settings),
    };
    let file = VectorFile::new(
        metadata,
        vectors.clone(),
        of_prompt(|read| &read.states.prompt_mean),
        of_prompt(|read| &read.states.prompt_last),
    )?;
    journal.remove();
    Ok(Outcome { file, steering, separation, incoherent, unseparated })
}

const TOO_FEW: &str = "too few pairs of answers are coherent: this model does not follow the instructions, or --questions \
                       or --tokens is too low";

/// Answers that are language, and how many are not.
fn coherent(asks: &[Ask], answers: Vec<Vec<u32>>) -> (Vec<(Ask, Vec<u32>)>, usize) {
    let all = asks.len();
    let kept: Vec<_> = asks.iter().cloned().zip(answers).filter(|(_, tokens)| incoherence(tokens).is_none()).collect();
    let dropped = all - kept.len();
    (kept, dropped)
}

fn samples(reads: &[Read], states: fn(&Read) -> &Vec<Vec<f32>>) -> Vec<Sample> {
    reads
        .iter()
        .filter_map(|read| match read.ask.purpose {
            Purpose::Extract(polarity, key) | Purpose::HeldOut(polarity, key) => {
                Some(Sample { key, polarity, activations: states(read).clone() })
            }
            Purpose::Benign(_) => None,
        })
        .collect()
}

/// One kept pair a question, its instruction pair taking turns over the questions.
fn trials<'a>(reads: &'a [Read], pairs: &[(&Sample, &Sample)], questions: usize) -> Vec<Trial<'a>> {
    let by_purpose: BTreeMap<Purpose, &Read> = reads.iter().map(|read| (read.ask.purpose, read)).collect();
    let mut by_question: BTreeMap<u32, Vec<&Sample>> = BTreeMap::new();
    for (positive, _) in pairs {
        by_question.entry(positive.key.question).or_default().push(positive);
    }
    by_question
        .into_iter()
        .take(questions)
        .filter_map(|(question, samples)| {
            let key = samples[question as usize % samples.len()].key;
            let read = |polarity| by_purpose.get(&Purpose::Extract(polarity, key)).copied();
            Some(Trial { positive: read(Polarity::Positive)?, negative: read(Polarity::Negative)?, question })
        })
        .collect()
}

/// How to make the file again.
fn describe(settings: &Settings) -> BTreeMap<String, String> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(settings) else {
        return BTreeMap::new();
    };
    let mut described: BTreeMap<String, String> =
        fields.into_iter().map(|(key, value)| (key, value.to_string())).collect();
    described.insert("judge".to_owned(), "none: pairs filtered by cross-fitted separation".to_owned());
    described.insert("tool".to_owned(), concat!("personaguard ", env!("CARGO_PKG_VERSION")).to_owned());
    described
}

/// Refuses settings that can give no vector.
///
/// # Errors
/// With what to change.
pub fn check(settings: &Settings, spec: &TraitSpec) -> anyhow::Result<()> {
    let available = spec.extract.len().min(spec.held_out.len());
    if settings.questions < 2 || settings.questions > available {
        bail!("--questions must be 2 to {available}, as many as the trait has of each kind");
    }
    if settings.pairs == 0 || settings.held_out_pairs == 0 || settings.rollouts == 0 {
        bail!("--pairs, --held-out-pairs and --rollouts must be at least 1");
    }
    if !(8..=2048).contains(&settings.tokens) {
        bail!("--tokens must be 8 to 2048");
    }
    if settings.rollouts > 1 && settings.temperature == 0.0 {
        bail!("with --temperature 0 every rollout is the same: leave --rollouts at 1, or raise the temperature");
    }
    if settings.draws < 100 || settings.benign < 2 || settings.steering_questions < 2 {
        bail!("--draws must be at least 100, --benign and --steering-questions at least 2");
    }
    Ok(())
}
