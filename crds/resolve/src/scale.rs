//! What `sigma` and `quantile` of a threshold refer to: the calibration of the vector's file, or
//! the guarded traffic.

use crate::rejection::Rejection;
use crate::vector::{VectorInput, digest_of};
use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{
    Calibration, Digest, Mode, PersonaPolicy, TrafficCalibration, TraitRule, responses_for_quantile,
};
use personaguard_wire::{Baseline, Sketch};

/// The distribution that a threshold is given in.
#[derive(Debug)]
pub(super) enum Scale<'a> {
    /// The calibration of the vector's file.
    Vector(&'a VectorInput),
    /// The guarded traffic, while its scores are being collected under this digest. No threshold is
    /// in force yet.
    Collecting(Digest),
    /// The guarded traffic: its calibration, as far as that got, and how many responses it needs.
    Traffic { calibration: Option<&'a TrafficCalibration>, needed: u64 },
}

impl<'a> Scale<'a> {
    pub(super) fn of(policy: &'a PersonaPolicy, rule: &TraitRule, vector: &'a VectorInput) -> Self {
        let Some(needed) = policy.spec.responses_to_calibrate(rule) else {
            return Self::Vector(vector);
        };
        let basis = basis(policy, rule, vector);
        if policy.spec.mode == Mode::Audit {
            return Self::Collecting(basis);
        }
        let known = policy.status.iter().flat_map(|status| &status.calibrations);
        let calibration =
            known.filter(|known| known.vector == rule.vector).find(|known| known.basis == basis);
        Self::Traffic { calibration, needed }
    }

    /// The digest under which scores are collected, while they are.
    pub(super) fn collects(&self) -> Option<Digest> {
        if let Self::Collecting(basis) = self { Some(basis.clone()) } else { None }
    }

    /// Mean and spread of the guarded traffic, if they are known.
    pub(super) fn baseline(&self) -> Option<Baseline> {
        let Self::Traffic { calibration: Some(calibration), needed } = self else { return None };
        let baseline =
            Baseline { mean: calibration.mean, standard_deviation: calibration.standard_deviation };
        (calibration.count >= *needed && baseline.is_valid()).then_some(baseline)
    }

    /// The projection that lies `sigma` standard deviations above the mean.
    pub(super) fn sigma(&self, rule: &TraitRule, sigma: f64) -> Result<Option<f64>, Rejection> {
        let (mean, standard_deviation) = match self {
            Self::Collecting(_) => return Ok(None),
            Self::Vector(vector) => {
                let calibration = of_vector(rule, vector, "sigma")?;
                (calibration.mean, calibration.standard_deviation)
            }
            Self::Traffic { calibration, needed } => {
                let calibration = of_traffic(rule, *calibration, *needed)?;
                (calibration.mean, calibration.standard_deviation)
            }
        };
        Ok(Some(mean + sigma * standard_deviation))
    }

    /// The projection below which a fraction `q` of the responses lies.
    pub(super) fn quantile(&self, rule: &TraitRule, q: f64) -> Result<Option<f64>, Rejection> {
        match self {
            Self::Collecting(_) => Ok(None),
            Self::Vector(vector) => {
                quantile(&rule.vector, of_vector(rule, vector, "quantile")?, q).map(Some)
            }
            Self::Traffic { calibration, needed } => {
                let sketch = of_traffic(rule, *calibration, *needed)?.sketch.clone();
                let found = Sketch::from(sketch).quantile(q);
                // Without a number there would be no threshold, and nothing would ever pass it.
                found.map(Some).ok_or_else(|| {
                    let message =
                        format!("threshold.quantile of trait `{}` is not a number", rule.vector);
                    Rejection::new(reason::THRESHOLD_INVALID, message)
                })
            }
        }
    }
}

/// Digest of what scores depend on: scores under different digests are not comparable. The policy's
/// UID is part of it, so that a policy that is created again starts from zero.
fn basis(policy: &PersonaPolicy, rule: &TraitRule, vector: &VectorInput) -> Digest {
    let parts = [
        policy.uid().unwrap_or_default(),
        vector.model_digest.to_string(),
        vector.layer.to_string(),
        digest_of(&vector.values).to_string(),
        format!("{:?}", rule.score),
    ];
    Digest::of(parts.join("\n").as_bytes())
}

fn of_traffic<'a>(
    rule: &TraitRule,
    calibration: Option<&'a TrafficCalibration>,
    needed: u64,
) -> Result<&'a TrafficCalibration, Rejection> {
    let known = calibration.map_or(0, |calibration| calibration.count);
    calibration.filter(|calibration| calibration.count >= needed.max(2)).ok_or_else(|| {
        let message = format!(
            "the threshold of trait `{}` depends on this policy's own traffic, of which {known} of \
             {needed} responses were collected: set spec.mode to Audit until condition Calibrated \
             is True, then to Enforce",
            rule.vector
        );
        Rejection::new(reason::CALIBRATION_MISSING, message)
    })
}

/// The calibration of the vector's file. It is one of `response_avg`, so no other score can be
/// compared with it.
fn of_vector<'a>(
    rule: &TraitRule,
    vector: &'a VectorInput,
    unit: &str,
) -> Result<&'a Calibration, Rejection> {
    let missing = |message| Rejection::new(reason::CALIBRATION_MISSING, message);
    if rule.score != personaguard_api::Score::ResponseAvg {
        return Err(missing(format!(
            "trait `{}` uses score {}, and vectors are calibrated for ResponseAvg only: give \
             threshold.projection in place of .{unit}, or calibrate on the guarded traffic \
             (spec.calibration.from: Traffic)",
            rule.vector,
            rule.score.name()
        )));
    }
    match &vector.calibration {
        Some(calibration)
            if calibration.count >= 2
                && calibration.standard_deviation.is_finite()
                && calibration.sorted.iter().all(|score| score.is_finite()) =>
        {
            Ok(calibration)
        }
        _ => Err(missing(format!(
            "PersonaVector `{}` has no calibration at layer {}: extract it with calibration, \
             calibrate on the guarded traffic (spec.calibration.from: Traffic), or give \
             threshold.projection in place of .{unit}",
            rule.vector, vector.layer
        ))),
    }
}

/// The q-quantile of a calibration, interpolated between order statistics (type 7 of Hyndman and
/// Fan). A sample supports it only if at least one of its responses is expected beyond it.
fn quantile(name: &str, calibration: &Calibration, q: f64) -> Result<f64, Rejection> {
    let needed = responses_for_quantile(q);
    if calibration.sorted.is_empty() || u64::from(calibration.count) < needed {
        let message = format!(
            "threshold.quantile {q} of trait `{name}` needs a calibration of at least {needed} \
             responses, and there are {}: calibrate with more, or use threshold.sigma",
            if calibration.sorted.is_empty() { 0 } else { calibration.count }
        );
        return Err(Rejection::new(reason::CALIBRATION_MISSING, message));
    }
    #[allow(clippy::cast_precision_loss)] // at most 1,001 values
    let position = q * (calibration.sorted.len() - 1) as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the list, see above
    let at =
        |position: f64| calibration.sorted[(position as usize).min(calibration.sorted.len() - 1)];
    let (below, above) = (at(position.floor()), at(position.ceil()));
    Ok(below + (above - below) * position.fract())
}

#[cfg(test)]
mod tests;
