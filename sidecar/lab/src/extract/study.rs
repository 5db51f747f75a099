//! A study of vectors that exist: what steering does to the text, whether the prompt foretells the
//! answer, and how far traits move together.
//!
//! The measure of an answer that owes nothing to the vector is the log-likelihood ratio: how much
//! likelier the model finds the answer under a system prompt that asks for the trait than under one
//! that asks for its absence, per token.

use super::ladder::{Ladder, Step, first, likelihood_ratio, rungs};
use super::measure::{probes, project_text};
use super::open::OpenVector;
use super::progress::Progress;
use super::responder::{Answering, IN_FLIGHT, prompt, seed_of, write};
use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use personaguard_model::Engine;
use personaguard_persona::page::{SteeringExample, TokenScores};
use personaguard_persona::stats::{LabelledScore, auroc, pearson, pearson_within};
use personaguard_persona::{Polarity, TraitSpec, cosine};

/// What a user chooses.
#[derive(Clone, Copy, Debug)]
pub struct StudySettings {
    /// Longest answer in tokens.
    pub tokens: usize,
    /// Held-out questions for each measurement.
    pub questions: usize,
    /// Seed of sampling.
    pub seed: u64,
}

/// What was found about one trait.
#[derive(Clone, Debug)]
pub struct TraitStudy {
    /// Scores of answers that were asked to show the trait.
    pub positive: Vec<f64>,
    /// Scores of answers that were asked not to.
    pub negative: Vec<f64>,
    /// Effect of steering on the text, by rising coefficient.
    pub steering: Vec<SteeringExample>,
    /// Two answers token by token.
    pub answers: Vec<TokenScores>,
    /// Cosine of this vector with each of the vectors, at this one's layer.
    pub cosines: Vec<f64>,
    /// AUROC of this vector on the held-out answers of each trait: as they were written, and reread
    /// under a neutral system prompt.
    pub cross_auroc: Vec<(f64, f64)>,
    /// Correlation of `prompt_last` with the answer's log-likelihood ratio: over all system
    /// prompts, and within one.
    pub monitoring: Option<(f64, f64)>,
}

/// A held-out answer as every vector scores it.
struct Scored {
    polarity: Polarity,
    tokens: Vec<u32>,
    system: String,
    question: String,
    scores: Vec<f64>,
    rescored: Vec<f64>,
}

/// Studies vectors together.
///
/// # Errors
/// If the engine fails, or a vector is zero at its best layer.
pub async fn study(
    engine: &Engine,
    vectors: &[OpenVector],
    specs: &[TraitSpec],
    settings: StudySettings,
) -> anyhow::Result<Vec<TraitStudy>> {
    let mut held_out = Vec::new();
    for spec in specs {
        held_out.push(contrasted(engine, vectors, spec, settings).await?);
    }
    let mut studies = Vec::new();
    for (index, (vector, spec)) in vectors.iter().zip(specs).enumerate() {
        let best = vector.best()?;
        let layer = vector.file.best_layer();
        let of = |polarity| {
            let answers = held_out[index].iter().filter(move |answer| answer.polarity == polarity);
            answers.map(|answer| answer.scores[index]).collect::<Vec<f64>>()
        };
        let cross = |answers: &Vec<Scored>| {
            let area = |score: fn(&Scored) -> &[f64]| {
                let scores: Vec<LabelledScore> = answers
                    .iter()
                    .map(|answer| LabelledScore {
                        score: score(answer)[index],
                        positive: answer.polarity == Polarity::Positive,
                        cluster: 0,
                    })
                    .collect();
                auroc(&scores).unwrap_or(f64::NAN)
            };
            (area(|answer| &answer.scores), area(|answer| &answer.rescored))
        };
        studies.push(TraitStudy {
            positive: of(Polarity::Positive),
            negative: of(Polarity::Negative),
            steering: steering(engine, vector, spec, settings).await?,
            answers: token_by_token(engine, vector, &held_out[index], index).await?,
            cosines: vectors
                .iter()
                .map(|other| other.file.layer(layer).map_or(f64::NAN, |v| cosine(best, v)))
                .collect(),
            cross_auroc: held_out.iter().map(cross).collect(),
            monitoring: monitoring(engine, vector, spec, settings).await?,
        });
    }
    Ok(studies)
}

/// Answers of a trait's held-out questions, each under one contrast, scored by all vectors.
async fn contrasted(
    engine: &Engine,
    vectors: &[OpenVector],
    spec: &TraitSpec,
    settings: StudySettings,
) -> anyhow::Result<Vec<Scored>> {
    let probes = probes(vectors)?;
    let questions: Vec<_> = spec.held_out.iter().take(settings.questions).enumerate().collect();
    let work: Vec<_> = questions
        .iter()
        .flat_map(|(index, question)| Polarity::BOTH.map(|polarity| (*index, *question, polarity)))
        .collect();
    let bar = Progress::start("Answering under contrasts", work.len());
    let answers = stream::iter(work)
        .map(|(index, question, polarity)| {
            let (probes, bar) = (probes.clone(), &bar);
            async move {
                let system = spec
                    .system_prompt(&spec.instructions[index % spec.instructions.len()], polarity);
                let name = format!("study/{}/{index}/{polarity:?}", spec.name);
                let how = Answering {
                    tokens: settings.tokens,
                    temperature: 1.0,
                    seed: seed_of(settings.seed, &name),
                };
                let tokens =
                    write(engine, prompt(engine.model(), &system, question)?, how, None).await?;
                let written =
                    project_text(engine, &system, question, tokens.clone(), probes.clone()).await?;
                let reread = project_text(engine, "", question, tokens.clone(), probes).await?;
                bar.step();
                let both = written.response_avg.zip(reread.response_avg);
                anyhow::Ok(both.map(|(scores, rescored)| {
                    let question = question.clone();
                    Scored { polarity, tokens, system, question, scores, rescored }
                }))
            }
        })
        .buffered(IN_FLIGHT)
        .try_collect::<Vec<_>>()
        .await;
    bar.finish();
    Ok(answers?.into_iter().flatten().collect())
}

/// Answers under steering and no system prompt.
async fn steering(
    engine: &Engine,
    vector: &OpenVector,
    spec: &TraitSpec,
    settings: StudySettings,
) -> anyhow::Result<Vec<SteeringExample>> {
    let ladder = Ladder { engine, spec, layer: vector.file.best_layer(), tokens: settings.tokens };
    let best = vector.best()?;
    let questions = first(&spec.held_out, settings.questions);
    let steps = ladder.climb(&questions, |_| Some(best)).await?;
    let example = |steps: &[Step]| {
        let text = steps
            .first()
            .map(|step| engine.model().tokenizer().decode(&step.tokens))
            .unwrap_or_default();
        (questions.first().map(|(_, question)| (*question).to_owned()).unwrap_or_default(), text)
    };
    Ok(rungs(&steps)
        .into_iter()
        .zip(&steps)
        .map(|(rung, steps)| SteeringExample { point: rung, example: example(steps) })
        .collect())
}

/// `prompt_last` against the answer's log-likelihood ratio, under system prompts from suppressing
/// to inducing.
async fn monitoring(
    engine: &Engine,
    vector: &OpenVector,
    spec: &TraitSpec,
    settings: StudySettings,
) -> anyhow::Result<Option<(f64, f64)>> {
    let sides = |polarity| {
        spec.instructions.iter().map(move |contrast| spec.system_prompt(contrast, polarity))
    };
    let systems: Vec<String> =
        sides(Polarity::Negative).chain([String::new()]).chain(sides(Polarity::Positive)).collect();
    let questions: Vec<&String> = spec.held_out.iter().take(settings.questions).collect();
    let probes = probes(std::slice::from_ref(vector))?;
    let bar = Progress::start("Foretelling answers from prompts", systems.len() * questions.len());
    let mut groups = Vec::new();
    for (place, system) in systems.iter().enumerate() {
        let points = stream::iter(questions.iter().enumerate())
            .map(|(index, question)| {
                let (probes, bar) = (probes.clone(), &bar);
                async move {
                    let name = format!("monitoring/{}/{place}/{index}", spec.name);
                    let how = Answering {
                        tokens: settings.tokens,
                        temperature: 1.0,
                        seed: seed_of(settings.seed, &name),
                    };
                    let tokens =
                        write(engine, prompt(engine.model(), system, question)?, how, None).await?;
                    // Under another contrast than the one that the answer was written under.
                    let ratio = likelihood_ratio(engine, spec, place, question, &tokens).await?;
                    let projections =
                        project_text(engine, system, question, Vec::new(), probes).await?;
                    bar.step();
                    anyhow::Ok((
                        *projections.prompt_last.first().context("a probe gave nothing")?,
                        ratio,
                    ))
                }
            })
            .buffered(IN_FLIGHT)
            .try_collect::<Vec<(f64, f64)>>()
            .await?;
        groups.push(points);
    }
    bar.finish();
    Ok(pearson(&groups.concat()).zip(pearson_within(&groups)))
}

/// The positive answer that scores highest and the negative one that scores lowest, token by token.
async fn token_by_token(
    engine: &Engine,
    vector: &OpenVector,
    answers: &[Scored],
    index: usize,
) -> anyhow::Result<Vec<TokenScores>> {
    let of = |polarity| answers.iter().filter(move |answer| answer.polarity == polarity);
    let by_score = |a: &&Scored, b: &&Scored| a.scores[index].total_cmp(&b.scores[index]);
    let highest = of(Polarity::Positive).max_by(by_score);
    let lowest = of(Polarity::Negative).min_by(by_score);
    let mut shown = Vec::new();
    for (answer, asked) in [(highest, "asked to show the trait"), (lowest, "asked not to")] {
        let Some(answer) = answer else { continue };
        let request = personaguard_model::ScoreRequest {
            prompt: prompt(engine.model(), &answer.system, &answer.question)?,
            response: answer.tokens.clone(),
            probes: probes(std::slice::from_ref(vector))?,
            ..Default::default()
        };
        let score = engine.score(request).await?;
        let mut text = engine.model().tokenizer().stream();
        let tokens = answer
            .tokens
            .iter()
            .zip(&score.response)
            .map(|(token, scores)| {
                (text.push(*token), scores.first().copied().map_or(f64::NAN, f64::from))
            })
            .collect();
        shown.push(TokenScores { title: format!("{} ({asked})", answer.question), tokens });
    }
    Ok(shown)
}
