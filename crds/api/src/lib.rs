//! Kubernetes API of Personaguard (group `personaguard.dev`, version `v1alpha1`).
//!
//! - The kinds: [`PersonaModel`], [`PersonaVector`], [`PersonaPolicy`], [`PersonaReport`],
//!   [`DatasetScreen`], [`PersonaInjection`].
//! - [`conditions`], [`metrics`], [`names`]: the one home of every condition, reason, metric, label
//!   and path.

// KubeSchema copies each `pub struct` into the body of a function, where nothing can reach it.
#![allow(unreachable_pub)]
#![allow(clippy::duplicated_attributes, reason = "printer columns of one type are no duplicates")]

mod acknowledgement;
pub mod conditions;
mod injection;
mod manifests;
pub mod metrics;
mod model;
pub mod names;
mod policy;
pub mod quantity;
mod report;
mod sample;
mod screen;
mod selector;
mod sketch;
mod vector;

pub use acknowledgement::{Failure, PolicyAcknowledgement, RefusedTrait};
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
    TraitRule, responses_for_quantile,
};
pub use quantity::{Coefficient, Digest, Layer};
pub use report::{
    DriftCharts, LastBreach, PersonaReport, PersonaReportSpec, PersonaReportStatus, PodCounts,
    PodState, Totals, TraitScores, WorkloadReference,
};
pub use sample::{MAX_SYSTEM_PROMPTS, Sample};
pub use screen::{DatasetScreen, DatasetScreenSpec, DatasetScreenStatus, DatasetSource, Reference};
pub use selector::selects;
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
