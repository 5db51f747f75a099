//! Ranks of screened samples as files: JSON lines, or Parquet.

use super::parquet::{Column, table as table_of};
use crate::extract::write_file;
use anyhow::{Context as _, bail};
use personaguard_persona::screening::{RankedSample, ReferenceWeight, SampleScores, rank};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

/// A data set's ranks on each trait.
pub(super) struct Ranks<'a> {
    names: &'a [&'a str],
    /// By line of the data set, for each trait.
    measured: Vec<BTreeMap<u64, SampleScores>>,
    weight: ReferenceWeight,
    /// From the first to the last, for each trait.
    pub(super) ranked: Vec<Vec<RankedSample>>,
}

impl<'a> Ranks<'a> {
    /// From what was measured, for each trait.
    pub(super) fn new(
        names: &'a [&'a str],
        weight: ReferenceWeight,
        measured: &[Vec<SampleScores>],
    ) -> Self {
        let ranked = measured.iter().map(|samples| rank(&weight.differences(samples))).collect();
        let by_line = measured
            .iter()
            .map(|samples| samples.iter().map(|sample| (sample.line, *sample)).collect())
            .collect();
        Self { names, measured: by_line, weight, ranked }
    }

    /// Writes them, in order of the first trait's ranks: as a table where the file's name ends with
    /// .parquet.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let table = path.extension().is_some_and(|extension| extension == "parquet");
        if table {
            write_file(path, &table_of(&self.columns())?)
        } else {
            write_file(path, self.lines().as_bytes())
        }
    }

    /// Columns `line` and, for each trait, `TRAIT_rank` and so on.
    fn columns(&self) -> Vec<(String, Column)> {
        let order: Vec<u64> =
            self.ranked.iter().take(1).flatten().map(|one| one.sample.line).collect();
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let mut columns = vec![(
            "line".to_owned(),
            Column::Whole(order.iter().map(|line| whole(*line)).collect()),
        )];
        for ((name, ranked), measured) in self.names.iter().zip(&self.ranked).zip(&self.measured) {
            let by_line: BTreeMap<u64, &RankedSample> =
                ranked.iter().map(|one| (one.sample.line, one)).collect();
            let ranked = || order.iter().filter_map(|line| by_line.get(line));
            let measured = || order.iter().filter_map(|line| measured.get(line));
            let mut add = |what: &str, column| columns.push((format!("{name}_{what}"), column));
            add(
                "projection_difference",
                Column::Real(ranked().map(|one| one.sample.difference).collect()),
            );
            add("rank", Column::Whole(ranked().map(|one| whole(one.rank as u64)).collect()));
            add("percentile", Column::Real(ranked().map(|one| one.percentile).collect()));
            add("answer", Column::Real(measured().map(|sample| sample.answer).collect()));
            add("reference", Column::Real(measured().map(|sample| sample.reference).collect()));
            let ratios: Option<Vec<f64>> =
                measured().map(|sample| sample.likelihood_ratio).collect();
            if let Some(ratios) = ratios {
                add("likelihood_ratio", Column::Real(ratios));
            }
        }
        columns
    }

    /// One JSON object a sample. What it was measured from stands beside the difference, so that
    /// parts of a data set can be ranked together.
    fn lines(&self) -> String {
        let by_line: Vec<BTreeMap<u64, &RankedSample>> = self
            .ranked
            .iter()
            .map(|ranked| ranked.iter().map(|one| (one.sample.line, one)).collect())
            .collect();
        let mut text = String::new();
        for first in self.ranked.first().into_iter().flatten() {
            let line = first.sample.line;
            let entry = |index: usize| {
                let (one, measured) =
                    (by_line[index].get(&line)?, self.measured[index].get(&line)?);
                let mut entry = json!({
                    "projectionDifference": one.sample.difference,
                    "rank": one.rank,
                    "percentile": one.percentile,
                    "answer": measured.answer,
                    "reference": measured.reference,
                    "whole": self.weight == ReferenceWeight::Full,
                });
                if let Some(ratio) = measured.likelihood_ratio {
                    entry["likelihoodRatio"] = json!(ratio);
                }
                Some(entry)
            };
            let traits: serde_json::Map<_, _> = (0..)
                .zip(self.names)
                .filter_map(|(index, name)| Some(((*name).to_owned(), entry(index)?)))
                .collect();
            text.push_str(&json!({ "line": line, "traits": traits }).to_string());
            text.push('\n');
        }
        text
    }
}

/// What parts of a data set were measured as.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Traits, in the order of the first part.
    pub(super) names: Vec<String>,
    /// Samples by line of the data set, one measurement a trait.
    samples: BTreeMap<u64, Vec<SampleScores>>,
    /// How they were scored: how much of the reference is taken off, and whether likelihood ratios
    /// are weighed in.
    how: Option<(ReferenceWeight, bool)>,
}

#[derive(Deserialize)]
struct Line {
    line: u64,
    /// In the order in which they were written.
    traits: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    answer: f64,
    reference: f64,
    whole: bool,
    likelihood_ratio: Option<f64>,
}

impl Parts {
    /// Adds a file that [`Ranks::write`] wrote as JSON lines.
    ///
    /// # Errors
    /// If it is none, or does not belong to the same data set and vectors as the others.
    pub(super) fn add(&mut self, part: &Path) -> anyhow::Result<()> {
        let file =
            std::fs::File::open(part).with_context(|| format!("cannot read {}", part.display()))?;
        for (number, text) in (1_usize..).zip(BufReader::new(file).lines()) {
            let at = || {
                format!(
                    "line {number} of {} is none that `personaguard screen` wrote",
                    part.display()
                )
            };
            let line: Line = serde_json::from_str(&text.with_context(at)?).with_context(at)?;
            if self.names.is_empty() {
                self.names = line.traits.keys().cloned().collect();
            }
            let entry = |name: &String| Entry::deserialize(line.traits.get(name)?).ok();
            let entries: Option<Vec<Entry>> = self.names.iter().map(entry).collect();
            let Some(entries) = entries.filter(|_| line.traits.len() == self.names.len()) else {
                bail!("{}: it lacks a score, or the parts were screened with other vectors", at());
            };
            for entry in &entries {
                let weight =
                    if entry.whole { ReferenceWeight::Full } else { ReferenceWeight::Fitted };
                let how = (weight, entry.likelihood_ratio.is_some());
                if *self.how.get_or_insert(how) != how {
                    bail!(
                        "{}: some parts were screened --as-in-paper or with --contrast and others were not",
                        at()
                    );
                }
            }
            let measured = entries.iter().map(|entry| SampleScores {
                line: line.line,
                answer: entry.answer,
                reference: entry.reference,
                likelihood_ratio: entry.likelihood_ratio,
            });
            if self.samples.insert(line.line, measured.collect()).is_some() {
                bail!("sample {} stands in two parts: give each shard's file once", line.line);
            }
        }
        Ok(())
    }

    /// How many samples there are.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// All of them, for each trait, and how much of the reference is to be taken off.
    pub(super) fn measured(&self) -> (ReferenceWeight, Vec<Vec<SampleScores>>) {
        let of = |index: usize| self.samples.values().map(|sample| sample[index]).collect();
        (
            self.how.map_or(ReferenceWeight::Fitted, |(weight, _)| weight),
            (0..self.names.len()).map(of).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_sample_without_text() {
        let sample =
            |(line, answer)| SampleScores { line, answer, reference: 0.0, likelihood_ratio: None };
        let ranks = Ranks::new(
            &["evil"],
            ReferenceWeight::Fitted,
            &[vec![sample((4, 0.5)), sample((9, 2.0))]],
        );
        let text = ranks.lines();
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["line"], 9);
        assert_eq!(first["traits"]["evil"]["rank"], 1);
        assert_eq!(first["traits"]["evil"]["projectionDifference"], 2.0);
        let names: Vec<String> = ranks.columns().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names[..3], ["line", "evil_projection_difference", "evil_rank"]);
        assert!(matches!(&ranks.columns()[2].1, Column::Whole(ranks) if ranks == &[1, 2]));
    }
}
