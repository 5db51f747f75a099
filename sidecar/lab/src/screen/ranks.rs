//! Ranks of screened samples as files: JSON lines, or Parquet.

use super::parquet::{Column, table};
use crate::error::Result;
use crate::files::write_file;
use personaguard_persona::screening::{RankedSample, ReferenceWeight, SampleScores, rank};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The ranks of a data set on each trait.
pub(super) struct Ranks<'a> {
    /// Names of the traits.
    pub(super) names: &'a [&'a str],
    /// For each trait, samples in order of rank.
    pub(super) ranked: Vec<Vec<RankedSample>>,
    weight: ReferenceWeight,
    /// For each trait, scores by line of the data set.
    scores: Vec<BTreeMap<u64, SampleScores>>,
}

impl<'a> Ranks<'a> {
    /// Ranks samples by their scores on each trait.
    pub(super) fn new(
        names: &'a [&'a str],
        weight: ReferenceWeight,
        scores: &[Vec<SampleScores>],
    ) -> Self {
        let ranked = scores.iter().map(|samples| rank(&weight.differences(samples))).collect();
        let by_line = scores
            .iter()
            .map(|samples| samples.iter().map(|sample| (sample.line, *sample)).collect())
            .collect();
        Self { names, ranked, weight, scores: by_line }
    }

    /// Writes the ranks in the order of the first trait: as a table if the file's name ends with
    /// `.parquet`, and else as JSON lines.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        if path.extension().is_some_and(|extension| extension == "parquet") {
            write_file(path, &table(&self.columns())?)
        } else {
            write_file(path, self.lines().as_bytes())
        }
    }

    /// Column `line` and, for each trait, columns `TRAIT_rank` and so on.
    pub(super) fn columns(&self) -> Vec<(String, Column)> {
        let order: Vec<u64> =
            self.ranked.iter().take(1).flatten().map(|one| one.sample.line).collect();
        let integer = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let lines = order.iter().map(|line| integer(*line)).collect();
        let mut columns = vec![("line".to_owned(), Column::Integer(lines))];
        for ((name, ranked), scores) in self.names.iter().zip(&self.ranked).zip(&self.scores) {
            let by_line: BTreeMap<u64, &RankedSample> =
                ranked.iter().map(|one| (one.sample.line, one)).collect();
            let ranked = || order.iter().filter_map(|line| by_line.get(line));
            let scores = || order.iter().filter_map(|line| scores.get(line));
            let mut add = |what: &str, column| columns.push((format!("{name}_{what}"), column));
            let differences = ranked().map(|one| one.sample.difference).collect();
            add("projection_difference", Column::Real(differences));
            let ranks = ranked().map(|one| integer(one.rank as u64)).collect();
            add("rank", Column::Integer(ranks));
            add("percentile", Column::Real(ranked().map(|one| one.percentile).collect()));
            add("answer", Column::Real(scores().map(|sample| sample.answer).collect()));
            add("reference", Column::Real(scores().map(|sample| sample.reference).collect()));
            let ratios: Option<Vec<f64>> = scores().map(|sample| sample.likelihood_ratio).collect();
            if let Some(ratios) = ratios {
                add("likelihood_ratio", Column::Real(ratios));
            }
        }
        columns
    }

    /// One JSON object per sample. Beside the difference, it has the scores that the difference
    /// comes from, so that shards of a data set can be ranked together.
    pub(super) fn lines(&self) -> String {
        let by_line: Vec<BTreeMap<u64, &RankedSample>> = self
            .ranked
            .iter()
            .map(|ranked| ranked.iter().map(|one| (one.sample.line, one)).collect())
            .collect();
        let mut text = String::new();
        for first in self.ranked.first().into_iter().flatten() {
            let line = first.sample.line;
            let entry = |index: usize| {
                let (one, scores) = (by_line[index].get(&line)?, self.scores[index].get(&line)?);
                let mut entry = json!({
                    "projectionDifference": one.sample.difference,
                    "rank": one.rank,
                    "percentile": one.percentile,
                    "answer": scores.answer,
                    "reference": scores.reference,
                    "fullReference": self.weight == ReferenceWeight::Full,
                });
                if let Some(ratio) = scores.likelihood_ratio {
                    entry["likelihoodRatio"] = json!(ratio);
                }
                Some(entry)
            };
            let traits: Map<String, Value> = (0..)
                .zip(self.names)
                .filter_map(|(index, name)| Some(((*name).to_owned(), entry(index)?)))
                .collect();
            text.push_str(&json!({ "line": line, "traits": traits }).to_string());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests;
