//! The passes of an extraction, in their order.

use super::filter::{confirmed, rate};
use super::journal::Journal;
use super::judge::Judge;
use super::ladder::{Ladder, Step, first, rungs};
use super::parts::{Parts, write_part};
use super::plan::{Plan, Purpose, Settings};
use super::responder::{Read, Store, answer, rescore};
use super::shard::Shard;
use super::states::write_states;
use super::steering::{Trial, steering_curve};
use anyhow::{Context as _, bail};
use personaguard_model::{Capture, Engine};
use personaguard_persona::extraction::{
    CrossFit, LayerCandidate, METHOD, Pair, Sample, SampleKey, ValidationInput, followed_contrasts,
    incoherence, mean_difference, pair_up, rank_layers, separation, validate_layer,
};
use personaguard_persona::vector_file::limits::MAX_TEXT_CHARS;
use personaguard_persona::{
    BenignPrompts, Calibration, ModelIdentity, Polarity, SampleCounts, SteeredAnswer,
    SteeringPoint, TraitSpec, VectorFile, VectorMetadata, min_z, project,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What an extraction gave.
#[derive(Debug)]
pub struct Outcome {
    /// The vectors.
    pub file: VectorFile,
    /// The layers that were tried.
    pub candidates: Vec<LayerCandidate>,
    /// The ladders that were climbed on the extraction questions.
    pub ladders: Ladders,
    /// Pairs left out because an answer was no coherent text.
    pub incoherent: usize,
    /// Pairs left out because the judge did not confirm them, or without one, because the model
    /// does not follow their contrast.
    pub filtered: usize,
    /// Whether a judge decided.
    pub judged: bool,
}

/// The ladders that were climbed on the extraction questions.
#[derive(Debug, Default)]
pub struct Ladders {
    /// By layer, in order of preference.
    pub climbed: Vec<(u32, Vec<SteeringPoint>)>,
    /// Layers whose ladder was left when it could not rise as surely any more as another one's.
    pub left: Vec<u32>,
}

/// What is to be extracted, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The trait.
    pub spec: &'a TraitSpec,
    /// The design.
    pub settings: &'a Settings,
    /// Who judges answers, if somebody does.
    pub judge: Option<&'a Judge<'a>>,
    /// Where answers are kept until the extraction is complete.
    pub journal: &'a Path,
    /// Files that [`run_shard`] wrote: what they hold is not done again.
    pub parts: &'a [PathBuf],
    /// Where mean activations are written, if they are wanted.
    pub states: Option<&'a Path>,
}

/// Extracts a trait's vectors.
///
/// # Errors
/// If the engine fails, the journal cannot be written, or too few answers are coherent.
pub async fn run(engine: &Engine, job: Job<'_>) -> anyhow::Result<Outcome> {
    let Job { spec, settings, judge, states, .. } = job;
    let (plan, mut store, _) = begin(engine, job)?;
    let model = engine.model();

    let answers = answer(
        engine,
        &plan.extract,
        settings,
        Capture::MeanStates,
        &mut store,
        "Answering, to extract",
    )
    .await?;
    let (reads, incoherent) = coherent(answers);
    let reread = rescore(engine, &reads, &mut store.parts).await?;
    let samples = samples(&reads, |read| &read.states.response_mean);
    let all = pair_up(&samples);
    let pairs = match judge {
        Some(judge) => {
            rate(engine, judge, &reads, &mut store.journal).await?;
            confirmed(judge, &reads, &all, &store.journal)
        }
        None => followed_contrasts(&all),
    };
    let filtered = all.len() - pairs.len();
    let fit = CrossFit::new(&pairs).context(TOO_FEW)?;
    let vectors = mean_difference(&pairs).context(TOO_FEW)?;
    let reread_samples = self::samples(&reread, |read| &read.states.response_mean);
    let reread_pairs = matching(&pairs, &reread_samples);

    let trials = trials(&reads, &pairs, settings.steering_questions);
    let steering =
        steering_curve(engine, &fit, &trials, settings, judge, &mut store.journal).await?;
    let candidates = steering
        .iter()
        .map(|(layer, effects)| {
            let tried = |read| separation(&pairs, read, *layer, settings.draws, settings.seed);
            let (written, rescored) = (tried(&pairs)?, tried(&reread_pairs)?);
            Some(LayerCandidate {
                layer: *layer,
                steering_effects: effects.clone(),
                generated: written,
                rescored,
            })
        })
        .collect::<Option<Vec<_>>>()
        .context(TOO_FEW)?;
    let (best_layer, ladders) = climb(engine, job, &fit, &rank_layers(&candidates)).await?;

    let capture = Capture::ResponseStates;
    let answers =
        answer(engine, &plan.held_out, settings, capture, &mut store, "Answering, held out")
            .await?;
    let (held_out_reads, _) = coherent(answers);
    let held_out_rescored = rescore(engine, &held_out_reads, &mut store.parts).await?;
    let held_out = self::samples(&held_out_reads, |read| &read.states.response_mean);
    let rescored = self::samples(&held_out_rescored, |read| &read.states.response_mean);
    let input = ValidationInput {
        vectors: &vectors,
        pairs: &pairs,
        held_out: &held_out,
        rescored: &rescored,
        draws: settings.draws,
        seed: settings.seed,
    };
    let mut validation = (0..=vectors.layers())
        .map(|layer| validate_layer(&input, layer))
        .collect::<Option<Vec<_>>>()
        .context(
            "the held-out answers are all of one side: too few are coherent to validate the vector",
        )?;
    for candidate in &candidates {
        let effect = personaguard_persona::stats::mean(&candidate.steering_effects);
        validation[candidate.layer as usize].steering_effect = Some((effect * 1e6).round() / 1e6);
    }

    let at = Ladder { engine, spec, layer: best_layer, tokens: settings.tokens };
    let steps =
        at.climb(&first(&spec.held_out, settings.questions), |_| vectors.layer(best_layer)).await?;
    let steering = rungs(&steps);

    let answers =
        answer(engine, &plan.benign, settings, capture, &mut store, "Answering everyday requests")
            .await?;
    let (calm, _) = coherent(answers);
    if let Some(path) = states {
        let sets = [
            ("extract", &reads),
            ("extract_rescored", &reread),
            ("held_out", &held_out_reads),
            ("held_out_rescored", &held_out_rescored),
            ("benign", &calm),
        ];
        write_states(path, &sets)?;
    }
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
        mean_difference(&matching(&pairs, &samples))
    };
    let metadata = VectorMetadata {
        format: VectorMetadata::FORMAT.to_owned(),
        trait_name: spec.name.clone(),
        description: spec.description.clone(),
        model: ModelIdentity { name: model.name().to_owned(), sha256: model.digest().to_owned() },
        method: METHOD.to_owned(),
        counts: SampleCounts { positive: pairs.len() as u32, negative: pairs.len() as u32 },
        best_layer,
        validation,
        calibration,
        steering,
        settings: describe(settings, judge),
    };
    let file = VectorFile::new(
        metadata,
        vectors.clone(),
        of_prompt(|read| &read.states.prompt_mean),
        of_prompt(|read| &read.states.prompt_last),
    )?;
    store.journal.remove();
    Ok(Outcome { file, candidates, ladders, incoherent, filtered, judged: judge.is_some() })
}

/// Layers of which the ladder is tried at most, and with how many questions.
const LADDERS: usize = 3;
const LADDER_QUESTIONS: usize = 12;

/// The first of the preferred layers whose ladder surely rises on the extraction questions, each
/// step by more than its standard error; where none of the first few does, the one that rises most
/// surely. Each question is steered by the vector that it had no part in.
async fn climb(
    engine: &Engine,
    job: Job<'_>,
    fit: &CrossFit,
    preferred: &[u32],
) -> anyhow::Result<(u32, Ladders)> {
    let mut ladders = Ladders::default();
    let mut best: Option<(u32, f64)> = None;
    let questions = first(&job.spec.extract, job.settings.questions.min(LADDER_QUESTIONS));
    for layer in preferred.iter().copied().take(LADDERS) {
        let ladder = Ladder { engine, spec: job.spec, layer, tokens: job.settings.tokens };
        let vector = |question: usize| fit.vector_for(u32::try_from(question).ok()?, layer);
        let written = ladder.write(&questions, vector).await?;
        // No ladder is surer than one of its measures: the second is not taken where the first
        // decides already.
        let by_projection = sure_of(&written, |answer| SteeredAnswer {
            response_avg: answer.projection,
            likelihood_ratio: answer.projection,
        });
        if best.is_some_and(|(_, other)| by_projection <= other) {
            ladders.left.push(layer);
            continue;
        }
        let steps = ladder.weigh(&questions, written).await?;
        ladders.climbed.push((layer, rungs(&steps)));
        let sure = sure_of(&steps, Step::measures);
        if best.is_none_or(|(_, other)| sure > other) {
            best = Some((layer, sure));
        }
        if sure > 1.0 {
            break;
        }
    }
    let (layer, _) = best.context(
        "no layer could be tried by steering: lower --layer-step, or raise --steering-questions",
    )?;
    Ok((layer, ladders))
}

fn sure_of<T>(answers: &[Vec<T>], measures: impl Fn(&T) -> SteeredAnswer) -> f64 {
    let measured: Vec<Vec<SteeredAnswer>> =
        answers.iter().map(|answers| answers.iter().map(&measures).collect()).collect();
    min_z(&measured).unwrap_or(f64::NEG_INFINITY)
}

/// Gives the answers of one shard and writes them, with their activations, to a file for
/// [`Job::parts`]; how many.
///
/// # Errors
/// If the engine or the judge fails, or a file cannot be written.
pub async fn run_shard(
    engine: &Engine,
    job: Job<'_>,
    shard: Shard,
    out: &Path,
) -> anyhow::Result<usize> {
    let (plan, mut store, design) = begin(engine, job)?;
    let plan = plan.part(shard);
    let mut answers = Vec::new();
    let mut reread = Vec::new();
    for (asks, capture, title) in [
        (&plan.extract, Capture::MeanStates, "Answering, to extract"),
        (&plan.held_out, Capture::ResponseStates, "Answering, held out"),
        (&plan.benign, Capture::ResponseStates, "Answering everyday requests"),
    ] {
        let given = answer(engine, asks, job.settings, capture, &mut store, title).await?;
        let (contrasted, _) = coherent(given.clone());
        if contrasted.first().is_some_and(|read| !matches!(read.ask.purpose, Purpose::Benign(_))) {
            reread.extend(rescore(engine, &contrasted, &mut store.parts).await?);
        }
        if let Some(judge) = job.judge {
            rate(engine, judge, &contrasted, &mut store.journal).await?;
        }
        answers.extend(given);
    }
    write_part(out, &design, &answers, &reread, store.journal.ratings())?;
    store.journal.remove();
    Ok(answers.len())
}

/// The requests, what is known of their answers, and the digest of all that these depend on.
fn begin(engine: &Engine, job: Job<'_>) -> anyhow::Result<(Plan, Store, String)> {
    let benign = BenignPrompts::builtin()?;
    let plan = Plan::new(job.spec, &benign, job.settings);
    let model = engine.model();
    let design = serde_json::to_string(&(
        model.digest(),
        job.settings,
        job.spec,
        &benign.system_prompts,
        &benign.questions,
    ))?;
    let design = personaguard_persona::sha256_hex(design.as_bytes());
    let mut journal = Journal::open(job.journal, &design)?;
    if journal.len() > 0 {
        eprintln!("Going on with {} answers of an earlier run.", journal.len());
    }
    let mut parts = Parts::open(job.parts, &design, &plan, model)?;
    for (rated, rating) in std::mem::take(&mut parts.ratings) {
        journal.rate(rated, rating)?;
    }
    Ok((plan, Store { journal, parts }, design))
}

/// The pairs among other samples that answer the same.
fn matching<'a>(pairs: &[Pair<'_>], samples: &'a [Sample]) -> Vec<Pair<'a>> {
    let keys: BTreeSet<SampleKey> = pairs.iter().map(|(positive, _)| positive.key).collect();
    pair_up(samples).into_iter().filter(|(positive, _)| keys.contains(&positive.key)).collect()
}

const TOO_FEW: &str = "too few pairs of answers are coherent: this model does not follow the instructions, or --questions \
                       or --tokens is too low";

/// Answers that are language, and how many are not.
fn coherent(mut answers: Vec<Read>) -> (Vec<Read>, usize) {
    let all = answers.len();
    answers.retain(|answer| incoherence(&answer.tokens).is_none());
    let dropped = all - answers.len();
    (answers, dropped)
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
fn trials<'a>(reads: &'a [Read], pairs: &[Pair<'_>], questions: usize) -> Vec<Trial<'a>> {
    let by_purpose: BTreeMap<Purpose, &Read> =
        reads.iter().map(|read| (read.ask.purpose, read)).collect();
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
            Some(Trial {
                positive: read(Polarity::Positive)?,
                negative: read(Polarity::Negative)?,
                question,
            })
        })
        .collect()
}

/// How to make the file again.
fn describe(settings: &Settings, judge: Option<&Judge<'_>>) -> BTreeMap<String, String> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(settings) else {
        return BTreeMap::new();
    };
    let mut described: BTreeMap<String, String> =
        fields.into_iter().map(|(key, value)| (key, value.to_string())).collect();
    let judge = judge.map_or("none: contrasts filtered by cross-fitted separation", Judge::model);
    described.insert("judge".to_owned(), judge.chars().take(MAX_TEXT_CHARS).collect());
    described.insert(
        "control".to_owned(),
        "labels exchanged in half of the pairs, drawn at random".to_owned(),
    );
    described
        .insert("tool".to_owned(), concat!("personaguard ", env!("CARGO_PKG_VERSION")).to_owned());
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
        bail!(
            "with --temperature 0 every rollout is the same: leave --rollouts at 1, or raise the temperature"
        );
    }
    if settings.draws < 100 || settings.benign < 2 || settings.steering_questions < 2 {
        bail!("--draws must be at least 100, --benign and --steering-questions at least 2");
    }
    Ok(())
}
