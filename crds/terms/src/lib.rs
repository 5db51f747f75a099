//! The terms that policies, operator and sidecar share: what can be done about a trait, quantities,
//! conditions and reasons, metrics, names. Knows no Kubernetes.

mod action;
mod cap;
mod causes;
pub mod conditions;
mod evidence;
pub mod metrics;
mod mode;
pub mod names;
mod quantity;
mod requests;
mod steer;

pub use action::*;
pub use cap::{Capping, LayerBounds};
pub use causes::with_causes;
pub use evidence::{Evidence, EvidenceWindow, Sampling};
pub use mode::{Device, FailurePolicy, Mode, Score, UnscorableRequests};
pub use quantity::{
    Coefficient, CoefficientOutOfRange, Digest, InvalidDigest, Layer, is_computable,
};
pub use requests::{CoefficientRange, RequestBounds};
pub use steer::{Coherence, ConditionAt, Positions, Steering, SteeringCondition};

/// Version of every kind and of the guard config, as it stands in a manifest.
pub const API_VERSION: &str = "personaguard.dev/v1alpha1";
