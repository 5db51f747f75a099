//! Kubernetes API of Personaguard (group `personaguard.dev`, version `v1alpha1`): the kinds
//! [`PersonaModel`], [`PersonaVector`], [`PersonaPolicy`], [`PersonaReport`], [`DatasetScreen`] and
//! [`PersonaInjection`], and how a status stores what sidecars send.
//!
//! Whoever knows the kinds also needs the terms they are made of: they are exported here again.

// KubeSchema copies each `pub struct` into the body of a function, where nothing can reach it.
#![allow(unreachable_pub)]
#![allow(clippy::duplicated_attributes, reason = "printer columns of one type are no duplicates")]

mod acknowledgement;
mod audit_log;
mod convert;
mod injection;
mod manifests;
mod model;
mod policy;
mod report;
mod sample;
mod screen;
mod selector;
mod vector;

pub use acknowledgement::{Failure, PolicyAcknowledgement, RefusedTrait, StaleVector};
pub use audit_log::{AuditLogCut, AuditLogHead, AuditLogStatus};
pub use injection::{JoinedVariable, PersonaInjection, PersonaInjectionSpec, ServerParts};
pub use manifests::manifests;
pub use model::{
    HubConfigMap, HubSecret, HubSource, ImagePullPolicy, ImageSource, LoadedWeights, ModelEngine,
    ModelSource, PersistentVolumeClaimSource, PersonaModel, PersonaModelSpec, PersonaModelStatus,
    Resources, Runtime, VllmServer, VllmVariable, VllmVariableSource, VllmVolume,
};
pub use personaguard_terms::*;
pub use policy::{
    CalibratedFrom, CalibrationSource, MisplacedParameters, PersonaPolicy, PersonaPolicySpec,
    PersonaPolicyStatus, Placement, ProjectionRange, Threshold, TrafficCalibration, TraitRule,
    responses_for_quantile,
};
pub use report::{
    Connections, DriftCharts, LastBreach, PersonaReport, PersonaReportSpec, PersonaReportStatus,
    PodCounts, PodState, Totals, TraitScores, WorkloadReference,
};
pub use sample::{Centroid, Sample, Sketch};
pub use screen::{DatasetScreen, DatasetScreenSpec, DatasetScreenStatus, DatasetSource, Reference};
pub use selector::{label_selector, selects, wire_selector};
pub use vector::{
    ArtifactSource, Calibration, ConfigMapArtifact, Extraction, JudgeEndpoint, KeySecret,
    PersonaVector, PersonaVectorSpec, PersonaVectorStatus, SampleCounts, SteeringStep, Workspace,
};

/// API group of every kind.
pub const GROUP: &str = "personaguard.dev";
/// Version of every kind.
pub const VERSION: &str = "v1alpha1";
