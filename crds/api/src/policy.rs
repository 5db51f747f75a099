//! `PersonaPolicy`: which pods, which model, which traits, which thresholds, which action.

use crate::quantity::{Coefficient, Digest, Layer};
use crate::sample::Sample;
use crate::sketch::Sketch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the chat services of a namespace may not become, and what happens when one does.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "personaguard.dev",
    version = "v1alpha1",
    kind = "PersonaPolicy",
    plural = "personapolicies",
    shortname = "pp",
    category = "personaguard",
    derive = "PartialEq",
    doc = "What the chat services of a namespace may not become, and what happens when one does.",
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
    validation = ("(self.placement == 'Proxy') == has(self.port)", "port goes with placement Proxy: give the name of the container port that the sidecar takes over, and nowhere else"),
    validation = ("self.placement != 'Proxy' || self.traits.all(t, t.action in ['Audit', 'Alert', 'Redact', 'Block'])", "another server writes the answers in placement Proxy, so activations cannot be changed: use action Audit, Alert, Redact or Block"),
    validation = ("self.placement != 'Proxy' || self.traits.all(t, !has(t.requests) || !has(t.requests.coefficient))", "another server writes the answers in placement Proxy, so callers cannot steer: leave requests.coefficient out"),
    validation = ("self.placement == oldSelf.placement && has(self.port) == has(oldSelf.port) && (!has(self.port) || self.port == oldSelf.port)", "placement and port cannot be changed, as pods are injected once: delete the policy and create it anew"),
    validation = ("!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, e.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist'])", "selector.matchExpressions knows the operators In, NotIn, Exists and DoesNotExist"),
    validation = ("!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, (e.operator in ['In', 'NotIn']) == (has(e.values) && e.values.size() > 0))", "selector.matchExpressions needs values with operators In and NotIn, and none with Exists and DoesNotExist"),
    validation = ("!has(self.sampling) || self.mode == 'Audit' || (self.failurePolicy == 'Open' && self.traits.all(t, t.action in ['Audit', 'Alert'] && !has(t.requests)))", "what is enforced cannot be sampled: leave sampling out, or use mode Audit, or actions Audit and Alert with failurePolicy Open and without requests")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PersonaPolicySpec {
    /// `Audit` records and changes nothing; `Enforce` acts. Required: nobody should learn by
    /// accident which one they chose.
    pub mode: Mode,
    /// Pods of this namespace that the policy guards. An empty selector guards all of them.
    pub selector: LabelSelector,
    /// Name of the `PersonaModel` that the sidecars serve.
    #[schemars(length(min = 1, max = 253))]
    pub model: String,
    /// The traits to measure, each with its threshold and action; 1 to 16.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["vector"]))]
    pub traits: Vec<TraitRule>,
    /// `Serve`: the sidecar is the model server; the app finds it by `OPENAI_BASE_URL`. `Proxy`:
    /// the app is the model server; the sidecar stands in front of it and scores what it says with
    /// the same model.
    #[serde(default)]
    pub placement: Placement,
    /// With placement Proxy: name of the container port that the sidecar takes over, by which
    /// Services target the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub port: Option<String>,
    /// What happens to traffic that cannot be scored: `Open` lets it through and counts it,
    /// `Closed` refuses it.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// What it takes, while an answer is being written, to call it a breach.
    #[serde(default)]
    pub evidence: Evidence,
    /// Scores a part of the responses only; default: all of them. Not for what is enforced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// What `sigma` and `quantile` of thresholds refer to; default: the calibration of each
    /// vector's own file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationSource>,
    /// Whether conversations may be written, word for word, to the sidecar's conversation log,
    /// where it has one. They leave the sidecar in no other way.
    #[serde(default)]
    pub record_conversations: bool,
    /// Seconds without a further breach after which a workload counts as recovered, 10 to 86400.
    #[serde(default = "default_recover_after_seconds")]
    #[schemars(range(min = 10, max = 86400))]
    pub recover_after_seconds: u32,
}

fn default_recover_after_seconds() -> u32 {
    600
}

/// What benign answers are.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CalibrationSource {
    /// `Vector`: the calibration of each vector's own file. `Traffic`: what the policy's own pods
    /// score in mode `Audit`, numbers only; thresholds by `sigma` and `quantile` are in force from
    /// mode `Enforce` on, and stay as they are then.
    pub from: CalibratedFrom,
    /// With `Traffic`: responses before the calibration can be used, 50 to 100000; more where a
    /// quantile needs them.
    #[schemars(range(min = 50, max = 100_000))]
    pub min_responses: u32,
}

impl Default for CalibrationSource {
    fn default() -> Self {
        Self { from: CalibratedFrom::default(), min_responses: 200 }
    }
}

/// Where a calibration comes from.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CalibratedFrom {
    /// The vector's own file.
    #[default]
    Vector,
    /// The traffic that the policy guards.
    Traffic,
}

impl PersonaPolicySpec {
    /// Responses before the calibration of a trait from the guarded traffic can be used; nothing
    /// where it comes from elsewhere. A quantile needs a sample in which at least one response is
    /// expected beyond it.
    #[must_use]
    pub fn responses_to_calibrate(&self, rule: &TraitRule) -> Option<u64> {
        let source = self.calibration.filter(|source| source.from == CalibratedFrom::Traffic)?;
        let quantile = rule.threshold.as_ref().and_then(|threshold| threshold.quantile);
        Some(u64::from(source.min_responses).max(quantile.map_or(0, responses_for_quantile)))
    }
}

/// Responses of which at least one is expected beyond a quantile.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
pub fn responses_for_quantile(q: f64) -> u64 {
    (1.0 / (1.0 - q).min(q) - 1e-9).ceil() as u64
}

/// Whether a policy acts.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Measure and record only; no byte of a response changes.
    Audit,
    /// Take each trait's action.
    Enforce,
}

/// Where the sidecar stands.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placement {
    /// The sidecar is the model server.
    #[default]
    Serve,
    /// The sidecar stands in front of the app, which is the model server.
    Proxy,
}

/// What happens to traffic that cannot be scored.
#[derive(
    JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum FailurePolicy {
    /// It passes unguarded, and is counted.
    #[default]
    Open,
    /// It is refused.
    Closed,
}

/// One trait of a policy.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = ("self.action in ['Audit', 'Steer', 'Cap'] || has(self.threshold)", "this action needs a threshold: give threshold.sigma, .quantile, .projection or .range"),
    validation = ("(self.action == 'Steer') == has(self.steer)", "steer goes with action Steer: give steer.coefficient there, and nowhere else"),
    validation = ("(self.action == 'Cap') == has(self.cap)", "cap goes with action Cap: give cap.floor or cap.ceiling there, and nowhere else"),
    validation = ("(self.action == 'Regenerate') == has(self.regenerate)", "regenerate goes with action Regenerate: give regenerate.coefficient there, and nowhere else"),
    validation = ("(self.action == 'Redact') == has(self.redact)", "redact goes with action Redact: give redact.text there, and nowhere else"),
    validation = ("self.action != 'Regenerate' || self.score == 'ResponseAvg'", "an answer that is written anew leaves its prompt as it is: action Regenerate goes with score ResponseAvg"),
    validation = ("!has(self.requests) || has(self.threshold) || !(self.requests.block || self.requests.threshold)", "requests.block and requests.threshold need a threshold that callers start from")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraitRule {
    /// Name of the `PersonaVector`.
    #[schemars(length(min = 1, max = 63))]
    pub vector: String,
    /// Past this the trait is breached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// The score that is compared with the threshold. `ResponseAvg`: mean projection over the
    /// response tokens. `PromptLast`: projection at the last prompt token, known before the first
    /// token is written.
    #[serde(default)]
    pub score: Score,
    /// What to do, in rising order of intrusion. `Audit`: record the score. `Alert`: also tell
    /// people of a breach. `Steer`: add the vector, times a coefficient, to the activations of
    /// every answer; tell people of a breach. `Cap`: keep the activations' projection between a
    /// floor and a ceiling. `Regenerate`: write an answer that is past its threshold anew, steered,
    /// and send the one that scores best. `Redact`: send a text of the policy's in place of the
    /// first breaching sentence and all that would have followed. `Block`: stop an answer at the
    /// breach; what would have followed never leaves.
    pub action: Action,
    /// How to steer; with action `Steer` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steer: Option<Steering>,
    /// Where to cap; with action `Cap` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<Capping>,
    /// How to try again; with action `Regenerate` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regenerate: Option<Regeneration>,
    /// What to say instead; with action `Redact` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redact: Option<Redaction>,
    /// What callers may ask for beyond this, request by request; default: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestBounds>,
}

/// Past what a trait is breached. Exactly one field.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("[has(self.quantile), has(self.sigma), has(self.projection), has(self.range)].filter(x, x).size() == 1", "give exactly one of quantile, sigma, projection and range"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Threshold {
    /// Quantile of the vector's calibration, 0.5 to 0.99999: 0.999 is passed by one benign answer
    /// in a thousand.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.5, max = 0.99999))]
    pub quantile: Option<f64>,
    /// Standard deviations above the mean of the vector's calibration, 0 to 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 20))]
    pub sigma: Option<f64>,
    /// A raw projection (a·v)/‖v‖, in units of the model's activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projection: Option<f64>,
    /// A band of raw projections; outside it, on either side, the trait is breached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<ProjectionRange>,
}

/// A band of raw projections.
#[derive(KubeSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("self.min < self.max", "range.min must be below range.max"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectionRange {
    /// Below this the trait is breached.
    pub min: f64,
    /// Above this the trait is breached.
    pub max: f64,
}

/// The score that is compared with a threshold.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Score {
    /// Mean projection over the response tokens.
    #[default]
    ResponseAvg,
    /// Projection at the last prompt token, known before the first token is written.
    PromptLast,
}

/// What to do about a trait, in rising order of intrusion.
#[derive(
    JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Action {
    /// Record the score.
    Audit,
    /// Record it and, on a breach, tell people.
    Alert,
    /// Add the vector, times a coefficient, to the activations of every answer; on a breach, tell
    /// people.
    Steer,
    /// Keep the projection of the activations between a floor and a ceiling; on a breach, tell
    /// people.
    Cap,
    /// Write an answer that is past its threshold anew, steered; send the one that scores best.
    Regenerate,
    /// Send a text of the policy's in place of the first breaching sentence and all that would have
    /// followed.
    Redact,
    /// Stop an answer at the breach; what would have followed never leaves.
    Block,
}

impl Action {
    /// Whether it leaves activations as they are, so that it works on what another server writes.
    #[must_use]
    pub fn works_in_proxy(self) -> bool {
        matches!(self, Self::Audit | Self::Alert | Self::Redact | Self::Block)
    }

    /// Whether tokens wait for a decision before they leave.
    #[must_use]
    pub fn holds(self) -> bool {
        self >= Self::Regenerate
    }
}

/// How to steer: h ← h + α·v after the vector's layer.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("!has(self.when) || self.positions == 'Response'", "steer.when goes with positions Response: what decides is known at the end of the prompt"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Steering {
    /// Coefficient α of the raw vector, −4 to 4: negative steers away from the trait. −1 to −1.5 is
    /// usual.
    pub coefficient: Coefficient,
    /// Token positions that are steered: `Response`, `Prompt`, or `All`.
    #[serde(default)]
    pub positions: Positions,
    /// Layers to steer at, in place of the vector's own, 1 to 64: at each, what that layer adds to
    /// the vector, h ← h + α·(v_ℓ − v_{ℓ−1}).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub layers: Vec<Layer>,
    /// Steers only while this holds; an answer for which it never does is, byte for byte, the one
    /// without steering.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<SteeringCondition>,
    /// What a steered answer must be like; where it is not, steering is backed off.
    #[serde(default)]
    pub coherence: Coherence,
}

/// When a steered answer counts as incoherent: the sidecar then steers half as far, a quarter as
/// far, or not at all, until answers have been coherent for a while.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Coherence {
    /// Lowest mean log-likelihood of an answer's tokens under the unsteered model, in nats a token,
    /// −50 to 0.
    #[schemars(range(min = -50, max = 0))]
    pub min_log_likelihood: f64,
    /// Largest share of an answer's sequences of four tokens that stood in it before, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub max_repetition: f64,
    /// Whether to steer less; else incoherent answers are only counted.
    pub back_off: bool,
}

impl Default for Coherence {
    fn default() -> Self {
        Self { min_log_likelihood: -4.0, max_repetition: 0.5, back_off: true }
    }
}

/// When to steer: while a projection lies above a bound.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = ("!has(self.until) || self.until <= self.above", "when.until must not lie above when.above"),
    validation = ("!has(self.until) || self.at == 'Token'", "when.until goes with at Token")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SteeringCondition {
    /// Name of the `PersonaVector` whose projection decides, one of the policy's traits at a layer
    /// not above the steered one; default: the trait's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub vector: Option<String>,
    /// Where the projection is read. `PromptLast`: at the last prompt token, for the whole answer.
    /// `Token`: at each token of the answer, for that token.
    #[serde(default)]
    pub at: ConditionAt,
    /// Steers while the projection lies above this, in units of the model's activations.
    pub above: f64,
    /// With `Token`: once it steers, it steers on until the projection is no longer above this;
    /// default: `above`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
}

/// Where a condition is read.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionAt {
    /// At the last prompt token.
    #[default]
    PromptLast,
    /// At each token of the answer.
    Token,
}

/// Token positions.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Positions {
    /// The tokens of the answer.
    #[default]
    Response,
    /// The tokens of the prompt.
    Prompt,
    /// Both.
    All,
}

/// Where to cap: h ← h − max(⟨h,v̂⟩ − ceiling, 0)·v̂ after the vector's layer, and likewise for the
/// floor.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = ("has(self.floor) || has(self.ceiling) || (has(self.layers) && size(self.layers) > 0)", "give cap.floor, cap.ceiling or both, or cap.layers"),
    validation = ("!has(self.floor) || !has(self.ceiling) || self.floor <= self.ceiling", "cap.floor must not be above cap.ceiling")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capping {
    /// Lowest projection, in units of the model's activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// Highest projection, in units of the model's activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<f64>,
    /// Token positions that are capped: `Response`, `Prompt`, or `All`.
    #[serde(default)]
    pub positions: Positions,
    /// Bounds at further layers, 1 to 64, on the projection on the vector at each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["layer"]))]
    pub layers: Vec<LayerBounds>,
}

/// Bounds on a projection at one layer.
#[derive(KubeSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = ("has(self.floor) || has(self.ceiling)", "give floor, ceiling or both"),
    validation = ("!has(self.floor) || !has(self.ceiling) || self.floor <= self.ceiling", "floor must not be above ceiling")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LayerBounds {
    /// The layer, 1-based.
    pub layer: Layer,
    /// Lowest projection, in units of the model's activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// Highest projection, in units of the model's activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<f64>,
}

/// How to try again.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Regeneration {
    /// Further attempts at most, 1 to 4.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 1, max = 4))]
    pub attempts: u32,
    /// Coefficient of the first further attempt, −4 to 4; the second is steered twice as far, and
    /// so on, to −4 or 4 at most.
    pub coefficient: Coefficient,
}

fn default_attempts() -> u32 {
    2
}

/// What to say instead.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Redaction {
    /// Text that takes the place of the first breaching sentence and of all that would have
    /// followed; at most 2000 characters.
    #[schemars(length(max = 2000))]
    pub text: String,
}

/// What callers may ask for, request by request: stricter enforcement, or a steering coefficient.
/// Never less than the policy.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RequestBounds {
    /// Callers may have the trait blocked at its threshold.
    pub block: bool,
    /// Callers may give a threshold that is stricter than the policy's.
    pub threshold: bool,
    /// Callers may give a steering coefficient within this range, in place of the policy's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coefficient: Option<CoefficientRange>,
}

/// A range of steering coefficients.
#[derive(KubeSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("self.min <= self.max", "coefficient.min must not be above coefficient.max"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CoefficientRange {
    /// Lowest.
    pub min: Coefficient,
    /// Highest.
    pub max: Coefficient,
}

/// Which responses are scored. Exactly one field.
#[derive(KubeSchema, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = ("has(self.fraction) != has(self.every)", "give exactly one of sampling.fraction and sampling.every"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sampling {
    /// This fraction of the responses, drawn by chance: 0.0001 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0001, max = 1.0))]
    pub fraction: Option<f64>,
    /// The first response of a sidecar, and every n-th after it: 1 to 1000000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub every: Option<u32>,
}

/// What it takes, while an answer is being written, to call it a breach: the running mean past the
/// threshold, or so many of the last tokens.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Evidence {
    /// Response tokens before the running mean first decides, 1 to 256; a shorter answer is decided
    /// at its end. With an action that holds back (Redact, Block), so many tokens are held back.
    /// Without effect where `window` is given.
    #[schemars(range(min = 1, max = 256))]
    pub min_tokens: u32,
    /// Decide by single tokens in place of the running mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<EvidenceWindow>,
}

impl Default for Evidence {
    fn default() -> Self {
        Self { min_tokens: 8, window: None }
    }
}

/// A breach is: `past` of the last `ofLast` tokens are past the threshold, each by its own
/// projection.
#[derive(KubeSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = ("self.past <= self.ofLast", "window.past must not be above window.ofLast"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceWindow {
    /// Tokens past the threshold, 1 to 64.
    #[schemars(range(min = 1, max = 64))]
    pub past: u32,
    /// Of so many last tokens, 1 to 64. With an action that holds back, a token past the threshold
    /// waits for as many.
    #[schemars(range(min = 1, max = 64))]
    pub of_last: u32,
}

/// What was observed of a policy.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonaPolicyStatus {
    /// Generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Newest generation that every guarded pod has acknowledged to enforce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_generation: Option<i64>,
    /// Number of traits.
    #[serde(default)]
    pub traits: u32,
    /// Pods that enforce this generation, of those selected: `3/3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guarded: Option<String>,
    /// Workloads with a breach in force.
    #[serde(default)]
    pub breached: u32,
    /// What the policy's own traffic scored, with `calibration.from: Traffic`, by vector.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["vector"]))]
    pub calibrations: Vec<TrafficCalibration>,
    /// `Accepted`, `Guarded`, `TraitBreached`, `Ready`; in placement Proxy `BypassDetected`, with
    /// `calibration.from: Traffic` `Calibrated`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What the guarded traffic scored on a trait while the policy's mode was `Audit`.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficCalibration {
    /// Name of the `PersonaVector`.
    pub vector: String,
    /// Digest of what the scores are of: policy, model, vector, layer and score. Made anew, it
    /// begins at zero.
    #[schemars(with = "String")]
    // the rule of a digest would cost too much in an unbounded list
    pub basis: Digest,
    /// Responses in it.
    pub count: u64,
    /// Their mean score.
    pub mean: f64,
    /// Their standard deviation (n − 1).
    pub standard_deviation: f64,
    /// Their distribution.
    pub sketch: Sketch,
    /// Different system prompts that they were under, each as the first 12 digits of its SHA-256,
    /// or `none`; 8 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system_prompts: Vec<String>,
}

impl TrafficCalibration {
    /// Of a sample.
    #[must_use]
    pub fn new(vector: &str, sample: Sample) -> Self {
        let Sample { basis, sketch, system_prompts } = sample;
        let sketch = sketch.rounded();
        let round = |value: f64| (value * 1e6).round() / 1e6;
        let (mean, standard_deviation) = (round(sketch.mean()), round(sketch.standard_deviation()));
        Self {
            vector: vector.to_owned(),
            basis,
            count: sketch.count(),
            mean,
            standard_deviation,
            sketch,
            system_prompts,
        }
    }
}
