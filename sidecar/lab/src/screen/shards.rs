//! Reading the ranks of several shards.

use crate::error::{Context as _, Result, bail};
use personaguard_persona::screening::{ReferenceWeight, SampleScores};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

/// The scores of several shards of a data set.
#[derive(Debug, Default)]
pub(super) struct Shards {
    /// Names of the traits, in the order of the first shard.
    pub(super) names: Vec<String>,
    /// By line of the data set, the scores on each trait.
    samples: BTreeMap<u64, Vec<SampleScores>>,
    method: Option<Method>,
}

/// How samples were scored, which must be the same in all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Method {
    weight: ReferenceWeight,
    /// Whether likelihood ratios were measured.
    contrast: bool,
}

#[derive(Deserialize)]
struct Line {
    line: u64,
    /// In the order in which they were written.
    traits: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    answer: f64,
    reference: f64,
    full_reference: bool,
    likelihood_ratio: Option<f64>,
}

impl Shards {
    /// Adds a file that `screen` wrote as JSON lines.
    ///
    /// # Errors
    /// If it is not such a file, or does not belong to the same data set and vectors as the others.
    pub(super) fn add(&mut self, path: &Path) -> Result<()> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        for (number, text) in (1_usize..).zip(BufReader::new(file).lines()) {
            text.map_err(Into::into).and_then(|text| self.add_line(&text)).with_context(|| {
                format!(
                    "line {number} of {} was not written by `personaguard screen`, or does not \
                     belong to the other parts",
                    path.display()
                )
            })?;
        }
        Ok(())
    }

    fn add_line(&mut self, text: &str) -> Result<()> {
        let line: Line = serde_json::from_str(text)?;
        if self.names.is_empty() {
            self.names = line.traits.keys().cloned().collect();
        }
        let entry = |name: &String| Entry::deserialize(line.traits.get(name)?).ok();
        let entries: Option<Vec<Entry>> = self.names.iter().map(entry).collect();
        let Some(entries) = entries.filter(|_| line.traits.len() == self.names.len()) else {
            bail!("it lacks a score, or the parts were screened with other vectors");
        };
        for entry in &entries {
            let weight =
                if entry.full_reference { ReferenceWeight::Full } else { ReferenceWeight::Fitted };
            let method = Method { weight, contrast: entry.likelihood_ratio.is_some() };
            if *self.method.get_or_insert(method) != method {
                bail!(
                    "some parts were screened --as-in-paper or with --contrast and others were not"
                );
            }
        }
        let scores = entries.iter().map(|entry| SampleScores {
            line: line.line,
            answer: entry.answer,
            reference: entry.reference,
            likelihood_ratio: entry.likelihood_ratio,
        });
        if self.samples.insert(line.line, scores.collect()).is_some() {
            bail!("sample {} is in two parts: give the file of each shard once", line.line);
        }
        Ok(())
    }

    /// Number of samples.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// How much of the reference is subtracted, and the scores of all samples for each trait.
    pub(super) fn scores(&self) -> (ReferenceWeight, Vec<Vec<SampleScores>>) {
        let weight = self.method.map_or(ReferenceWeight::Fitted, |method| method.weight);
        let of_trait = |index: usize| self.samples.values().map(|sample| sample[index]).collect();
        (weight, (0..self.names.len()).map(of_trait).collect())
    }
}
