//! From what sidecars send to what a status stores, and back. Both have types of their own, so that
//! each can change alone.

use crate::acknowledgement::{Failure, PolicyAcknowledgement, RefusedTrait, StaleVector};
use crate::report::{Connections, DriftCharts, PodState, Totals};
use crate::sample::{Centroid, Sample, Sketch};
use personaguard_wire as wire;

impl From<wire::PodState> for PodState {
    fn from(state: wire::PodState) -> Self {
        match state {
            wire::PodState::Loading => Self::Loading,
            wire::PodState::Ready => Self::Ready,
            wire::PodState::Failed => Self::Failed,
        }
    }
}

impl From<wire::Totals> for Totals {
    fn from(totals: wire::Totals) -> Self {
        let wire::Totals { responses, breaches, blocked, unguarded, incoherent } = totals;
        Self { responses, breaches, blocked, unguarded, incoherent }
    }
}

impl From<wire::Connections> for Connections {
    fn from(connections: wire::Connections) -> Self {
        let wire::Connections { app, past_sidecar } = connections;
        Self { app, past_sidecar }
    }
}

impl From<wire::DriftCharts> for DriftCharts {
    fn from(charts: wire::DriftCharts) -> Self {
        let wire::DriftCharts { shift, up, down, detected } = charts;
        Self { shift, up, down, detected }
    }
}

impl From<wire::Failure> for Failure {
    fn from(failure: wire::Failure) -> Self {
        let wire::Failure { reason, message } = failure;
        Self { reason, message }
    }
}

impl From<wire::RefusedTrait> for RefusedTrait {
    fn from(refused: wire::RefusedTrait) -> Self {
        Self { vector: refused.vector, failure: refused.failure.into() }
    }
}

impl From<wire::StaleVector> for StaleVector {
    fn from(stale: wire::StaleVector) -> Self {
        let wire::StaleVector { vector, difference } = stale;
        Self { vector, difference }
    }
}

impl From<wire::PolicyAcknowledgement> for PolicyAcknowledgement {
    fn from(policy: wire::PolicyAcknowledgement) -> Self {
        let wire::PolicyAcknowledgement { name, uid, generation, digest, refused, stale } = policy;
        let refused = refused.into_iter().map(Into::into).collect();
        let stale = stale.into_iter().map(Into::into).collect();
        Self { name, uid, generation, digest, refused, stale }
    }
}

impl From<wire::Centroid> for Centroid {
    fn from(wire::Centroid { mean, count }: wire::Centroid) -> Self {
        Self { mean, count }
    }
}

impl From<Centroid> for wire::Centroid {
    fn from(Centroid { mean, count }: Centroid) -> Self {
        Self { mean, count }
    }
}

impl From<wire::Sketch> for Sketch {
    fn from(sketch: wire::Sketch) -> Self {
        Self {
            sum_squared_deviations: sketch.sum_squared_deviations,
            centroids: sketch.centroids.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Sketch> for wire::Sketch {
    fn from(sketch: Sketch) -> Self {
        Self {
            sum_squared_deviations: sketch.sum_squared_deviations,
            centroids: sketch.centroids.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<wire::Sample> for Sample {
    fn from(wire::Sample { basis, sketch, system_prompts }: wire::Sample) -> Self {
        Self { basis, sketch: sketch.into(), system_prompts }
    }
}

impl From<Sample> for wire::Sample {
    fn from(Sample { basis, sketch, system_prompts }: Sample) -> Self {
        Self { basis, sketch: sketch.into(), system_prompts }
    }
}

#[cfg(test)]
mod tests;
