//! Kubernetes API types of Personaguard (group `personaguard.dev`, version `v1alpha1`), and the
//! contract between its operator and its sidecar.
//!
//! - The kinds: [`PersonaModel`], [`PersonaVector`], [`PersonaPolicy`], [`PersonaReport`],
//!   [`DatasetScreen`], [`PersonaInjection`].
//! - [`resolve`]: from those kinds to what a sidecar enforces, a pure function that operator and
//!   sidecar share.
//! - [`guard_config`]: the file it results in, mounted in every guarded pod of one (namespace,
//!   model).
//! - [`wire`]: what a sidecar pushes back.
//! - [`conditions`], [`metrics`], [`names`]: the one home of every condition, reason, metric, label
//!   and path.

// KubeSchema copies each `pub struct` into the body of a function, where nothing can reach it.
#![allow(unreachable_pub)]
#![allow(clippy::duplicated_attributes, reason = "printer columns of one type are no duplicates")]

pub mod conditions;
pub mod guard_config;
mod injection;
pub mod layers;
mod manifests;
pub mod metrics;
mod model;
pub mod names;
mod policy;
pub mod quantity;
mod report;
pub mod resolve;
#[cfg(test)]
mod rules;
mod screen;
mod sketch;
mod vector;
pub mod wire;

pub use injection::{PersonaInjection, PersonaInjectionSpec};
pub use manifests::manifests;
pub use model::{
    Device, ImagePullPolicy, ImageSource, ModelSource, PersistentVolumeClaimSource, PersonaModel,
    PersonaModelSpec, PersonaModelStatus, Resources, Runtime,
};
pub use policy::{
    Action, CalibratedFrom, CalibrationSource, Capping, CoefficientRange, Coherence, ConditionAt,
    Evidence, EvidenceWindow, FailurePolicy, LayerBounds, Mode, PersonaPolicy, PersonaPolicySpec,
    PersonaPolicyStatus, Placement, Positions, ProjectionRange, Redaction, Regeneration,
    RequestBounds, Sampling, Score, Steering, SteeringCondition, Threshold, TrafficCalibration,
    TraitRule,
};
pub use quantity::{Coefficient, Digest, Layer};
pub use report::{
    DriftCharts, LastBreach, PersonaReport, PersonaReportSpec, PersonaReportStatus, PodCounts,
    PodState, Totals, TraitScores, WorkloadReference,
};
pub use screen::{DatasetScreen, DatasetScreenSpec, DatasetScreenStatus, DatasetSource, Reference};
pub use sketch::{MAX_CENTROIDS, Sketch};
pub use vector::{
    ArtifactSource, Calibration, ConfigMapArtifact, Extraction, JudgeEndpoint, KeySecret,
    PersonaVector, PersonaVectorSpec, PersonaVectorStatus, SampleCounts, SteeringStep, Workspace,
};

/// API group of every kind.
pub const GROUP: &str = "personaguard.dev";
/// Version of every kind.
pub const VERSION: &str = "v1alpha1";
/// `GROUP/VERSION`, as it stands in a manifest.
pub const API_VERSION: &str = "personaguard.dev/v1alpha1";
