//! How well known bad samples are found.

use crate::error::{Result, bail};
use crate::files::Conversation;
use personaguard_persona::screening::{RankedSample, ScreenedSample, precision_at, rank};
use personaguard_persona::stats::{LabelledScore, auroc};
use std::collections::BTreeSet;
use std::fmt;

/// How well known bad samples are found, by each trait and by baselines that need no model: the
/// answer's length, and words in it.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Number of samples that are known to be bad.
    pub labelled: usize,
    /// Traits, then baselines.
    pub rows: Vec<EvaluationRow>,
}

/// How well one ranking finds known bad samples.
#[derive(Clone, Debug)]
pub struct EvaluationRow {
    /// Name of the trait or the baseline.
    pub name: String,
    /// AUROC, 0 to 1; NaN if all samples are bad.
    pub auroc: f64,
    /// Share of bad samples among the first ones, as many as there are bad samples.
    pub precision: f64,
}

/// Evaluates rankings. A sample is bad if its field `label` is true or 1.
///
/// # Errors
/// If no sample is bad.
pub(super) fn evaluate(
    label: &str,
    keywords: &[String],
    samples: &[Conversation],
    names: &[&str],
    ranked: &[Vec<RankedSample>],
) -> Result<Evaluation> {
    let is_bad = |sample: &&Conversation| {
        sample.fields.get(label).is_some_and(|value| *value == true || *value == 1)
    };
    let bad: BTreeSet<u64> = samples.iter().filter(is_bad).map(|sample| sample.line).collect();
    if bad.is_empty() {
        bail!("no sample has a field {label:?} that is true or 1");
    }
    let ranked_by = |score: &dyn Fn(&str) -> f64| {
        let screened = samples.iter().map(|sample| ScreenedSample {
            line: sample.line,
            difference: score(sample.answer_text()),
        });
        rank(&screened.collect::<Vec<_>>())
    };
    let mut baselines = vec![
        ("longest first", ranked_by(&|answer| answer.len() as f64)),
        ("shortest first", ranked_by(&|answer| -(answer.len() as f64))),
    ];
    if !keywords.is_empty() {
        let count = |answer: &str| count_keywords(answer, keywords) as f64;
        baselines.push(("most keywords first", ranked_by(&count)));
    }
    let traits = names.iter().copied().zip(ranked);
    let rows = traits
        .chain(baselines.iter().map(|(name, ranked)| (*name, ranked)))
        .map(|(name, ranked)| row(name, ranked, &bad));
    Ok(Evaluation { labelled: bad.len(), rows: rows.collect() })
}

fn row(name: &str, ranked: &[RankedSample], bad: &BTreeSet<u64>) -> EvaluationRow {
    let scores: Vec<LabelledScore> = ranked
        .iter()
        .map(|ranked| LabelledScore {
            score: ranked.sample.difference,
            positive: bad.contains(&ranked.sample.line),
            cluster: 0,
        })
        .collect();
    let precision = precision_at(ranked, bad.len(), |line| bad.contains(&line));
    EvaluationRow {
        name: name.to_owned(),
        auroc: auroc(&scores).unwrap_or(f64::NAN),
        precision: precision.unwrap_or(f64::NAN),
    }
}

/// How often words occur in a text, regardless of case.
fn count_keywords(text: &str, keywords: &[String]) -> usize {
    let text = text.to_lowercase();
    let words = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    keywords.iter().map(|word| words().filter(|found| *found == word.to_lowercase()).count()).sum()
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labelled = format!("{} labelled", self.labelled);
        writeln!(f, "{labelled:>22}  AUROC  precision at {}", self.labelled)?;
        self.rows.iter().try_for_each(|EvaluationRow { name, auroc, precision }| {
            writeln!(f, "{name:>22}  {auroc:.3}  {precision:.3}")
        })
    }
}

#[cfg(test)]
mod tests;
