//! The status of a `DatasetScreen`. Pure.

use crate::objects::Trouble;
use crate::objects::conditions::{NewCondition, conditions};
use jiff::Timestamp;
use kube::ResourceExt as _;
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{DatasetScreen, DatasetScreenStatus, names};
use personaguard_resolve::Rejection;

/// Where a screening is.
#[derive(Debug, PartialEq)]
pub(super) enum Phase {
    Waiting(Rejection),
    /// With what keeps its pods from getting on, if that is seen.
    Running {
        done_shards: u32,
        trouble: Option<Trouble>,
    },
    Failed(String),
    Complete {
        samples: Option<u64>,
        skipped: Option<u64>,
    },
}

impl Phase {
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Complete { .. })
    }
}

/// The reason of the final condition, once a screening has ended.
pub(super) fn final_reason(status: &DatasetScreenStatus) -> Option<&str> {
    let mut reasons = status.conditions.iter().map(|condition| condition.reason.as_str());
    reasons.find(|reason| [reason::SCREENED, reason::SCREENING_FAILED].contains(reason))
}

pub(super) fn status(screen: &DatasetScreen, phase: &Phase, now: Timestamp) -> DatasetScreenStatus {
    let before = screen.status.clone().unwrap_or_default();
    let generation = screen.metadata.generation;
    let shards = match phase {
        Phase::Waiting(_) | Phase::Failed(_) => before.shards,
        Phase::Running { done_shards, .. } => Some(format!("{done_shards}/{}", screen.spec.shards)),
        Phase::Complete { .. } => Some(format!("{0}/{0}", screen.spec.shards)),
    };
    let (samples, skipped) = match phase {
        Phase::Complete { samples, skipped } => (*samples, *skipped),
        _ => (None, None),
    };
    DatasetScreenStatus {
        observed_generation: generation,
        shards,
        samples,
        skipped,
        conditions: conditions(&[complete(screen, phase)], &before.conditions, generation, now),
    }
}

fn complete(screen: &DatasetScreen, phase: &Phase) -> NewCondition {
    let unmet = |reason, message| NewCondition::unmet(condition::COMPLETE, reason, message);
    match phase {
        Phase::Waiting(rejection) => unmet(rejection.reason, rejection.message.clone()),
        Phase::Running { done_shards, trouble } => {
            let message = format!(
                "Job {}/{} has screened {done_shards} of {} parts.",
                screen.namespace().unwrap_or_default(),
                names::for_screen(&screen.name_any()),
                screen.spec.shards
            );
            match trouble {
                None => unmet(reason::SCREENING, message),
                Some(trouble) => {
                    let reason = trouble.reason.unwrap_or(reason::SCREENING);
                    unmet(reason, format!("{message} {}", trouble.message))
                }
            }
        }
        Phase::Failed(why) => unmet(reason::SCREENING_FAILED, why.clone()),
        Phase::Complete { skipped, .. } => {
            let left_out = match skipped.unwrap_or_default() {
                0 => String::new(),
                count => format!(
                    " {count} samples cannot be read and were left out: see `kubectl -n {} logs \
                     job/{}`.",
                    screen.namespace().unwrap_or_default(),
                    names::for_screen(&screen.name_any())
                ),
            };
            let message = format!(
                "The ranks are in {} of claim {}.{left_out}",
                screen.spec.output, screen.spec.dataset.claim_name
            );
            NewCondition::met(condition::COMPLETE, reason::SCREENED, message)
        }
    }
}

#[cfg(test)]
mod tests;
