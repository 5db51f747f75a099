//! Scores a response, decides what may leave, and holds back the rest. Pure: it knows no HTTP, no
//! Kubernetes and no decoder.
//!
//! What goes in:
//! - [`PolicySet`]: the policies to enforce, with their vectors.
//! - [`ModelFacts`]: what a vector must fit.
//! - Projections of each token, from whichever engine computes them.
//!
//! What it makes of them:
//! - [`Plan`]: what is measured and enforced on every response.
//! - [`Overrides`]: what one request asks for on top, within the bounds of the policies.
//! - [`PolicySampler`]: which policies look at a response.
//! - [`Decision`]: the state machine of one response. It says how many tokens may leave.
//! - [`Holdback`], [`Sentences`]: the tokens between decoder and client, and where text is cut.
//! - [`BackOff`], [`repetition`]: how far steering is reduced because it costs coherence.

mod back_off;
mod bounds;
mod decision;
mod holdback;
mod overrides;
mod plan;
mod policy;
mod refusal;
mod repetition;
mod running_score;
mod sampler;
mod sentences;
mod unscored;
mod vector;

pub use back_off::BackOff;
pub use bounds::Bounds;
pub use decision::{Breach, Decision, Stop};
pub use holdback::Holdback;
pub use overrides::{Override, OverrideError, Overrides};
pub use plan::{
    Direction, MeasuredVector, Plan, PlannedCap, PlannedPolicy, PlannedSteering, RefusedTrait,
    Rule, SteeringGate,
};
pub use policy::{
    Action, CapAt, Capping, Coherence, ConditionAt, EvidenceWindow, FailurePolicy, MAX_COEFFICIENT,
    Mode, Policy, PolicySet, Positions, Regeneration, RequestBounds, Sampling, Score, Steering,
    SteeringCondition, TraitRule, Unresolved, UnresolvedPolicy,
};
pub use refusal::Refusal;
pub use repetition::repetition;
pub use running_score::RunningScore;
pub use sampler::PolicySampler;
pub use sentences::Sentences;
pub use unscored::UnscoredReason;
pub use vector::{Baseline, ModelFacts, Vector};
