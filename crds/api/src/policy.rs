//! `PersonaPolicy`: which pods, which model, which traits, which thresholds, which actions.

mod calibration;
mod rule;
mod status;
mod threshold;

pub use calibration::{CalibratedFrom, CalibrationSource, responses_for_quantile};
pub use rule::{MisplacedParameters, TraitRule};
pub use status::{PersonaPolicyStatus, TrafficCalibration};
pub use threshold::{ProjectionRange, Threshold};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use kube::KubeSchema;
use kube::core::{Message, Rule};
use personaguard_terms::{ActionKind, Evidence, FailurePolicy, Mode, Sampling, UnscorableRequests};
use rule::cel_list;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Traits that the chat services of a namespace must not show, and what to do when one does.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "personaguard.dev",
    version = "v1alpha1",
    kind = "PersonaPolicy",
    plural = "personapolicies",
    shortname = "pp",
    category = "personaguard",
    derive = "PartialEq",
    doc = "Traits that the chat services of a namespace must not show, and what to do when one \
           does.",
    cel,
    namespaced,
    status = "PersonaPolicyStatus",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"),
    printcolumn(name = "Traits", type_ = "integer", json_path = ".status.traits"),
    printcolumn(name = "Guarded", type_ = "string", json_path = ".status.guarded"),
    printcolumn(name = "Breached", type_ = "integer", json_path = ".status.breached"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = (
        "(self.placement in ['Proxy', 'Engine']) == has(self.port)",
        "port goes with placement Proxy or Engine: give the name of the container port that the \
         sidecar takes over there, and nowhere else"
    ),
    validation = actions_fit_placement(),
    validation = (
        "self.placement != 'Proxy' || self.traits.all(t, !has(t.requests) || \
         !has(t.requests.coefficient))",
        "another server writes the answers in placement Proxy, so callers cannot steer: leave \
         requests.coefficient out"
    ),
    validation = (
        "self.placement == oldSelf.placement && has(self.port) == has(oldSelf.port) && \
         (!has(self.port) || self.port == oldSelf.port)",
        "placement and port cannot be changed, as pods are injected once: delete the policy and \
         create it again"
    ),
    validation = (
        "!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, e.operator \
         in ['In', 'NotIn', 'Exists', 'DoesNotExist'])",
        "selector.matchExpressions knows the operators In, NotIn, Exists and DoesNotExist"
    ),
    validation = (
        "!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, (e.operator \
         in ['In', 'NotIn']) == (has(e.values) && e.values.size() > 0))",
        "selector.matchExpressions needs values with operators In and NotIn, and none with Exists \
         and DoesNotExist"
    ),
    validation = nothing_enforced_is_sampled()
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PersonaPolicySpec {
    /// `Audit` records scores and changes nothing; `Enforce` acts. Required, so that nobody learns
    /// by accident which one they chose.
    pub mode: Mode,
    /// Selects the pods of this namespace that the policy guards. An empty selector guards all of
    /// them.
    pub selector: LabelSelector,
    /// Name of the `PersonaModel` that the sidecars serve.
    #[schemars(length(min = 1, max = 253))]
    pub model: String,
    /// The traits to measure, 1 to 16, each with its threshold and action.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["vector"]))]
    pub traits: Vec<TraitRule>,
    /// Where the sidecar stands. `Serve`: the sidecar is the model server, which the app finds by
    /// the environment variable `OPENAI_BASE_URL`. `Proxy`: the app is the model server, and the
    /// sidecar in front of it scores its answers with the same model. `Engine`: the app is vLLM,
    /// and the sidecar in front of it has a plugin in it measure and steer its answers; the model
    /// has `engine: Vllm`. Cannot be changed.
    #[serde(default)]
    pub placement: Placement,
    /// With placement `Proxy` or `Engine`: name of the container port that the sidecar takes over,
    /// by which Services target the app. Cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub port: Option<String>,
    /// What happens to traffic that cannot be scored because of a fault (no model loaded, no time,
    /// no room): `Open` lets it through and counts it, `Closed` refuses it.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// What happens to what no sidecar could score: images, unknown APIs and formats, a prompt
    /// longer than the model's context. `Refuse` answers with an error that says what it is, `Pass`
    /// lets it through and counts it. Default: `Refuse` where the policy enforces and may withhold
    /// text (`Redact`, `Block`, `Regenerate`, or `failurePolicy: Closed`), else `Pass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unscorable_requests: Option<UnscorableRequests>,
    /// How much evidence makes a breach while an answer is still being generated.
    #[serde(default)]
    pub evidence: Evidence,
    /// Scores only a part of the responses. Default: all of them. Not for policies that enforce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// The distribution that thresholds in `sigma` and `quantile` refer to. Default: the
    /// calibration in each vector's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationSource>,
    /// Whether the sidecar may write conversations, word for word, to its conversation log, if it
    /// has one. Conversations never leave the sidecar in any other way.
    #[serde(default)]
    pub record_conversations: bool,
    /// Seconds without another breach after which a workload counts as recovered, 10 to 86400.
    #[serde(default = "default_recover_after_seconds")]
    #[schemars(range(min = 10, max = 86400))]
    pub recover_after_seconds: u32,
}

fn actions_fit_placement() -> Rule {
    let fits = |kind: ActionKind| !kind.changes_activations();
    let rule =
        format!("self.placement != 'Proxy' || self.traits.all(t, t.action in {})", cel_list(fits));
    let message = format!(
        "another server writes the answers in placement Proxy, so activations cannot be changed: \
         use action {}",
        ActionKind::list(fits, "or")
    );
    Rule::new(rule).message(Message::Message(message))
}

fn nothing_enforced_is_sampled() -> Rule {
    let only_tells = |kind: ActionKind| !kind.intervenes();
    let rule = format!(
        "!has(self.sampling) || self.mode == 'Audit' || (self.failurePolicy == 'Open' && \
         self.traits.all(t, t.action in {} && !has(t.requests)))",
        cel_list(only_tells)
    );
    let message = format!(
        "what is enforced cannot be sampled: leave sampling out, or use mode Audit, or actions {} \
         with failurePolicy Open and without requests",
        ActionKind::list(only_tells, "and")
    );
    Rule::new(rule).message(Message::Message(message))
}

fn default_recover_after_seconds() -> u32 {
    600
}

impl PersonaPolicySpec {
    /// With a calibration from traffic: responses needed before the thresholds of a trait can be
    /// derived from it. A quantile needs enough responses that at least one is expected beyond it.
    #[must_use]
    pub fn responses_to_calibrate(&self, rule: &TraitRule) -> Option<u64> {
        let source = self.calibration.filter(|source| source.from == CalibratedFrom::Traffic)?;
        let quantile = rule.threshold.as_ref().and_then(|threshold| threshold.quantile);
        Some(u64::from(source.min_responses).max(quantile.map_or(0, responses_for_quantile)))
    }
}

/// Where the sidecar stands.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placement {
    /// The sidecar is the model server.
    #[default]
    Serve,
    /// The sidecar stands in front of the app, which is the model server.
    Proxy,
    /// The sidecar stands in front of the app, which is vLLM with our plugin in it.
    Engine,
}
