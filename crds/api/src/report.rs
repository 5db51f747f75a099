//! `PersonaReport`: what the sidecars of one workload saw.

use crate::acknowledgement::{Failure, PolicyAcknowledgement};
use crate::audit_log::AuditLogStatus;
use crate::sample::Sample;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use kube::KubeSchema;
use personaguard_terms::{ActionKind, Digest, Mode, Score};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the sidecars of one guarded workload saw. Written by the operator, owned by the workload.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "personaguard.dev",
    version = "v1alpha1",
    kind = "PersonaReport",
    plural = "personareports",
    shortname = "pr",
    category = "personaguard",
    derive = "PartialEq",
    doc = "What the sidecars of one guarded workload have reported. Written by the operator, \
           owned by the workload.",
    namespaced,
    status = "PersonaReportStatus",
    printcolumn(name = "Workload", type_ = "string", json_path = ".status.workload"),
    printcolumn(name = "Pods", type_ = "string", json_path = ".status.podsReporting"),
    printcolumn(name = "Responses", type_ = "integer", json_path = ".status.totals.responses"),
    printcolumn(name = "Breaches", type_ = "integer", json_path = ".status.totals.breaches"),
    printcolumn(name = "Worst", type_ = "string", json_path = ".status.worst"),
    printcolumn(
        name = "Breached",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"TraitBreached\")].status"
    ),
    printcolumn(
        name = "Drift",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"DriftDetected\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PersonaReportSpec {
    /// The workload that the report is about.
    pub workload: WorkloadReference,
}

/// A workload in the report's namespace.
#[derive(
    JsonSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadReference {
    /// API version: `apps/v1` …
    pub api_version: String,
    /// Kind: `Deployment`, `StatefulSet`, `DaemonSet`, `Job`, or `Pod` for a pod on its own.
    pub kind: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

/// What was reported about a workload.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonaReportStatus {
    /// `Deployment/chat`.
    #[serde(default)]
    pub workload: String,
    /// How many of the guarded pods have reported recently: `3/3`.
    #[serde(default)]
    pub pods_reporting: String,
    /// Counts since the workload exists, including those of pods that are gone.
    #[serde(default)]
    pub totals: Totals,
    /// The score furthest past its threshold so far: `evil 5.1 > 4.2`, or `evil/AnswerAvg 5.1 >
    /// 4.2` where it is not `ResponseAvg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<String>,
    /// Scores of each trait, over all pods.
    #[serde(default)]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["policy", "vector"]
    ))]
    pub traits: Vec<TraitScores>,
    /// The latest cumulative counts of each pod that exists.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pods: Vec<PodCounts>,
    /// Counts of sidecar processes that have ended.
    #[serde(default)]
    pub retired: Totals,
    /// Counts for each trait of sidecar processes that have ended.
    #[serde(default)]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["policy", "vector"]
    ))]
    pub retired_traits: Vec<TraitScores>,
    /// `TraitBreached`, `DriftDetected`, `Reporting`, `AuditLogIntact`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Counts of responses.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Responses that ended, however they ended.
    pub responses: u64,
    /// Responses with at least one trait past its threshold.
    pub breaches: u64,
    /// Responses that were stopped.
    pub blocked: u64,
    /// Responses that left unscored.
    pub unguarded: u64,
    /// Steered responses that were incoherent.
    #[serde(default)]
    pub incoherent: u64,
}

/// Connections of a pod that did not pass its sidecar.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connections {
    /// From outside to the app's own containers.
    #[serde(default)]
    pub app: u64,
    /// In placement Proxy: to the port behind the sidecar, by others than the sidecar. In placement
    /// Engine also requests that reached the model server past it.
    #[serde(default)]
    pub past_sidecar: u64,
}

impl Connections {
    /// So many to an app are taken for its use.
    const USED: u64 = 5;

    /// Whether the app is used.
    #[must_use]
    pub fn shows_use(self) -> bool {
        self.app >= Self::USED
    }

    /// Whether the app behind the sidecar is reached without it.
    #[must_use]
    pub fn shows_bypass(self) -> bool {
        self.past_sidecar > 0
    }
}

/// Scores of one trait under one policy.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraitScores {
    /// Name of the policy, in the report's namespace.
    pub policy: String,
    /// Name of the `PersonaVector`.
    pub vector: String,
    /// The score that counts: what mean, highest and last breach are of. Absent: `ResponseAvg`.
    #[serde(default, skip_serializing_if = "Score::is_default")]
    pub score: Score,
    /// Action that the policy said when last reported.
    pub action: ActionKind,
    /// Whether it was taken: in mode `Audit` nothing is enforced.
    #[serde(default = "enforce")]
    pub mode: Mode,
    /// Responses scored.
    pub scored: u64,
    /// Responses past the threshold.
    pub breaches: u64,
    /// Mean score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Sum of squared deviations from the mean, so that pods can be merged.
    #[serde(default)]
    pub sum_squared_deviations: f64,
    /// Highest score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The last breach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_breach: Option<LastBreach>,
    /// How far the scores have moved from the calibration. Absent for vectors without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftCharts>,
    /// What sidecar processes that have ended contributed to a policy's calibration. Only in
    /// `retiredTraits`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
}

/// What was stored without a mode was of an action that was taken.
fn enforce() -> Mode {
    Mode::Enforce
}

/// Where two control charts of raw z-scores against the vector's calibration stand. Of several
/// pods: the mean shift, weighted by responses, and the highest of the rest.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DriftCharts {
    /// EWMA of the z-scores: the present shift, in standard deviations of the calibration.
    pub shift: f64,
    /// Upper CUSUM, in standard deviations, at least 0.
    pub up: f64,
    /// Lower CUSUM, in standard deviations, at least 0.
    pub down: f64,
    /// Whether drift is in force: from an alarm until both charts are below half their limits.
    pub detected: bool,
}

/// A breach, without any of the text.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastBreach {
    /// When it happened.
    pub at: Time,
    /// Score of the response.
    pub score: f64,
    /// Threshold that it passed.
    pub threshold: f64,
    /// Id of the response, as the client saw it.
    pub response_id: String,
}

/// The latest cumulative counts of one pod's sidecar process.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodCounts {
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
    /// The sidecar process whose counts these are: the digest of its public key. Each process
    /// starts from zero.
    pub instance: String,
    /// How often the sidecar's container had been started anew when the process was first seen.
    #[serde(default)]
    pub restarts: i32,
    /// Whether the process is known to be in the pod.
    #[serde(default)]
    pub own_address: bool,
    /// Sequence number of the push.
    pub sequence: u64,
    /// Name of the model that it serves.
    #[serde(default)]
    pub model: String,
    /// Policies that it has acknowledged.
    #[serde(default)]
    pub policies: Vec<PolicyAcknowledgement>,
    /// Why it cannot serve the model, or does not serve it yet, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why it does not apply the present config, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_error: Option<String>,
    /// State of the sidecar: it is `Loading` its weights, it is `Ready`, or it has `Failed` and
    /// cannot serve.
    pub state: PodState,
    /// Digest of the model it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    // the rule of a digest would cost too much in an unbounded list
    pub model_digest: Option<Digest>,
    /// Its counts.
    pub totals: Totals,
    /// Connections of the pod that did not pass the sidecar, over the last ten minutes.
    #[serde(default)]
    pub connections: Connections,
    /// Its counts for each trait.
    #[serde(default)]
    pub traits: Vec<TraitScores>,
    /// Where its audit log stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_log: Option<AuditLogStatus>,
}

/// State of a sidecar.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodState {
    /// The weights are being loaded.
    Loading,
    /// It serves.
    Ready,
    /// It cannot serve.
    Failed,
}
