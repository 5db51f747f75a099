//! What operator and sidecar say to each other.
//!
//! - [`GuardConfig`]: the file that the operator mounts in every guarded pod of one (namespace,
//!   model).
//! - [`SidecarReport`]: what a sidecar pushes back.
//! - [`ExtractionProgress`]: what an extraction Job tells.
//!
//! Whatever is received is checked by `validate()`. What a status stores has types of its own, in
//! `personaguard-api`. Knows no Kubernetes.

mod acknowledgement;
mod audit_log;
mod connections;
mod enforced;
mod extraction;
mod guard_config;
mod invalid;
mod layers;
mod limits;
mod made_on;
mod report;
mod sample;
mod scores;
mod selector;
mod signature;
mod sketch;

pub use acknowledgement::{Failure, PolicyAcknowledgement, RefusedTrait, StaleVector};
pub use audit_log::{AuditLog, LogHead};
pub use connections::Connections;
pub use extraction::ExtractionProgress;
pub use guard_config::{
    Baseline, GuardConfig, GuardConfigError, ResolvedPolicy, ResolvedTrait, ResolvedVector,
    ServedModel, UnresolvedPolicy,
};
pub use invalid::Invalid;
pub use layers::{Part, parts};
pub use limits::{
    MAX_CENTROIDS, MAX_REPORT_BYTES, MAX_SAMPLES, MAX_SYSTEM_PROMPTS, MAX_VECTOR_BYTES,
};
pub use made_on::MadeOn;
pub use report::{ModelObservation, PodState, SidecarReport, Totals};
pub use sample::Sample;
pub use scores::{Breach, DriftCharts, TraitSummary};
pub use selector::{Requirement, Selector};
pub use signature::{KEY_HEADER, SIGNATURE_HEADER, instance_of, signed_text};
pub use sketch::{Centroid, Sketch};
