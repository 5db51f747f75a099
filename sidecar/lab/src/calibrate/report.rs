//! What a person reads after a calibration.

use personaguard_persona::stats::{Interval, wilson_interval};
use personaguard_persona::{Calibration, sha256_hex};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The result of calibrating one vector.
#[derive(Clone, Debug)]
pub struct CalibrationReport {
    /// Name of the trait.
    pub trait_name: String,
    /// The layer that the numbers are for.
    pub layer: usize,
    /// Calibration on all conversations.
    pub calibration: Calibration,
    /// Thresholds, checked on conversations that were kept aside.
    pub thresholds: Vec<ThresholdCheck>,
    /// Scores by system prompt. A threshold over all of them may be too loose for one.
    pub groups: Vec<PromptGroup>,
    /// The vector file that was written.
    pub path: PathBuf,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// How often benign answers that were kept aside exceed a threshold.
#[derive(Clone, Debug)]
pub struct ThresholdCheck {
    /// Name of the threshold, such as `sigma 3`.
    pub name: &'static str,
    /// The share of benign answers that it should be exceeded by, if it promises one.
    pub nominal: Option<f64>,
    /// Threshold and outcome; `None` if there are too few conversations.
    pub outcome: Option<(f64, FalsePositives)>,
}

/// Answers past a threshold.
#[derive(Clone, Copy, Debug)]
pub struct FalsePositives {
    /// Answers past the threshold.
    pub hits: u32,
    /// Answers.
    pub trials: u32,
    /// 95% interval of their share.
    pub interval: Interval,
}

/// Scores under one system prompt.
#[derive(Clone, Debug)]
pub struct PromptGroup {
    /// First 12 digits of the system prompt's SHA-256; `none` without one.
    pub digest: String,
    /// Number of answers.
    pub answers: usize,
    /// Their distribution; `None` for a single answer.
    pub calibration: Option<Calibration>,
}

/// Checks the thresholds of a calibration on other answers.
pub(super) fn check_thresholds(calibration: &Calibration, tested: &[f64]) -> Vec<ThresholdCheck> {
    [
        ("sigma 3", Some(calibration.at_sigma(3.0)), None),
        ("quantile 0.95", calibration.at_quantile(0.95), Some(0.05)),
        ("quantile 0.99", calibration.at_quantile(0.99), Some(0.01)),
        ("quantile 0.999", calibration.at_quantile(0.999), Some(0.001)),
    ]
    .map(|(name, threshold, nominal)| {
        let outcome = threshold.and_then(|threshold| {
            let hits = tested.iter().filter(|score| **score > threshold).count() as u32;
            let trials = tested.len() as u32;
            let interval = wilson_interval(hits, trials)?;
            Some((threshold, FalsePositives { hits, trials, interval }))
        });
        ThresholdCheck { name, nominal, outcome }
    })
    .into()
}

/// Groups scores by their system prompt.
pub(super) fn by_system_prompt<'a>(
    scores: impl Iterator<Item = (&'a str, f64)>,
) -> Vec<PromptGroup> {
    let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (system, score) in scores {
        let digest = if system.is_empty() {
            "none".to_owned()
        } else {
            sha256_hex(system.as_bytes())[..12].to_owned()
        };
        groups.entry(digest).or_default().push(score);
    }
    groups
        .into_iter()
        .map(|(digest, scores)| PromptGroup {
            digest,
            answers: scores.len(),
            calibration: Calibration::from_scores(&scores),
        })
        .collect()
}

impl fmt::Display for CalibrationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mean, deviation) = self.calibration.standard_errors();
        writeln!(
            f,
            "{}, layer {}: mean {:.3} ± {mean:.3}, standard deviation {:.3} ± {deviation:.3}, \
             from {} answers",
            self.trait_name,
            self.layer,
            self.calibration.mean,
            self.calibration.standard_deviation,
            self.calibration.count
        )?;
        self.thresholds.iter().try_for_each(|check| writeln!(f, "  {check}"))?;
        writeln!(f, "  by system prompt (SHA-256, first 12 digits):")?;
        self.groups.iter().try_for_each(|group| writeln!(f, "    {group}"))?;
        writeln!(f, "{}  {}", self.sha256, self.path.display())
    }
}

impl fmt::Display for ThresholdCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((threshold, FalsePositives { hits, trials, interval })) = self.outcome else {
            return write!(f, "{}: too few conversations", self.name);
        };
        write!(
            f,
            "{} = {threshold:.3}: {hits} of {trials} benign answers kept aside exceed it ({:.2}% \
             to {:.2}%)",
            self.name,
            100.0 * interval.low,
            100.0 * interval.high
        )?;
        let Some(nominal) = self.nominal else { return Ok(()) };
        let agrees = (interval.low..=interval.high).contains(&nominal);
        write!(
            f,
            ", nominally {:.2}%: {}",
            100.0 * nominal,
            if agrees { "agrees" } else { "DIFFERS" }
        )
    }
}

impl fmt::Display for PromptGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, answers, calibration } = self;
        match calibration {
            Some(group) => write!(
                f,
                "{digest:<12}  {answers:>6} answers, mean {:>8.3}, standard deviation {:.3}",
                group.mean, group.standard_deviation
            ),
            None => write!(f, "{digest:<12}  {answers:>6} answer"),
        }
    }
}
