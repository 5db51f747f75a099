//! The command `study`: what steering by existing vectors does to the text, how well prompts
//! predict answers, and how traits move together.

mod held_out;
mod prediction;
mod report;
mod settings;
mod steering;
mod token_scores;

use crate::engine::{LabEngine, start_own};
use crate::error::{Context as _, Result};
use crate::files::{LoadedVector, check_model, read_vectors, trait_specs, write_file};
use held_out::{HeldOutAnswer, contrasted_answers, cross_auroc};
use personaguard_model::Engine;
use personaguard_persona::page::{TraitComparison, VectorPage};
use personaguard_persona::{Polarity, TraitSpec, cosine};

pub use report::TraitStudy;
pub use settings::StudySettings;

/// Studies vectors together, and writes a page about each.
///
/// # Errors
/// If a file cannot be read or written, the engine fails, or a vector is zero at its best layer.
pub async fn study(settings: &StudySettings) -> Result<Vec<TraitStudy>> {
    let vectors = read_vectors(&settings.vectors)?;
    let specs = trait_specs(&vectors, &settings.trait_files)?;
    let own = start_own(&settings.model, None, settings.engine)?;
    let engine = LabEngine::Own(own.clone());
    check_model(&vectors, &engine.identity(), None)?;
    let mut held_out = Vec::new();
    for spec in &specs {
        held_out.push(contrasted_answers(&engine, &vectors, spec, settings).await?);
    }
    let mut studies = Vec::new();
    for index in 0..vectors.len() {
        studies.push(study_one(&own, &vectors, &specs, &held_out, index, settings).await?);
    }
    std::fs::create_dir_all(&settings.out)
        .with_context(|| format!("cannot create {}", settings.out.display()))?;
    for (vector, study) in vectors.iter().zip(&studies) {
        let page = VectorPage {
            file: &vector.file,
            held_out: (&study.positive, &study.negative),
            steering: &study.steering,
            answers: &study.answers,
            prediction: study.prediction,
            traits: &study.traits,
        };
        write_file(&study.page, page.render().as_bytes())?;
    }
    Ok(studies)
}

async fn study_one(
    own: &Engine,
    vectors: &[LoadedVector],
    specs: &[TraitSpec],
    held_out: &[Vec<HeldOutAnswer>],
    index: usize,
    settings: &StudySettings,
) -> Result<TraitStudy> {
    let engine = &LabEngine::Own(own.clone());
    let (vector, spec, own_answers) = (&vectors[index], &specs[index], &held_out[index]);
    let (name, layer) = (vector.file.trait_name(), vector.file.best_layer());
    let best = vector.best()?;
    let scores = |polarity| {
        let answers = own_answers.iter().filter(move |answer| answer.polarity == polarity);
        answers.map(|answer| answer.scores[index]).collect()
    };
    let compare = |(other, answers): (&LoadedVector, &Vec<HeldOutAnswer>)| TraitComparison {
        name: other.file.trait_name().to_owned(),
        cosine: other.file.layer(layer).map_or(f64::NAN, |vector| cosine(best, vector)),
        auroc: cross_auroc(answers, |answer| answer.scores[index]),
        rescored_auroc: cross_auroc(answers, |answer| answer.rescored[index]),
    };
    Ok(TraitStudy {
        name: name.to_owned(),
        layer,
        positive: scores(Polarity::Positive),
        negative: scores(Polarity::Negative),
        steering: steering::examples(engine, vector, spec, settings).await?,
        answers: token_scores::extremes(own, vector, own_answers, index).await?,
        prediction: prediction::correlation(engine, vector, spec, settings).await?,
        traits: vectors.iter().zip(held_out).map(compare).collect(),
        page: settings.out.join(format!("{name}.html")),
    })
}
