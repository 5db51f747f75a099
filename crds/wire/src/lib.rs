//! What operator and sidecar say to each other.
//!
//! - [`GuardConfig`]: the file that the operator mounts in every guarded pod of one (namespace,
//!   model).
//! - [`SidecarReport`]: what a sidecar pushes back.

mod guard_config;
mod report;

pub use guard_config::{
    Calm, GuardConfig, GuardConfigError, ResolvedPolicy, ResolvedTrait, ResolvedVector,
    ServedModel, UnresolvedPolicy,
};
pub use personaguard_api::{
    Failure, MAX_SYSTEM_PROMPTS, PolicyAcknowledgement, RefusedTrait, Sample,
};
pub use report::{
    Breach, ExtractionProgress, MAX_REPORT_BYTES, MAX_SAMPLES, MAX_VECTOR_BYTES, ModelObservation,
    SidecarReport, TraitSummary,
};
