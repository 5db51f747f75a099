//! Scores a response, decides what may leave, and holds back the rest. Pure: it knows no HTTP, no
//! Kubernetes and no decoder.
//!
//! - [`Plan`]: what is measured and enforced on every response. Made from a
//!   [`GuardConfig`](personaguard_wire::GuardConfig), the values of its vectors and the facts of
//!   the loaded model.
//! - [`Overrides`]: what one request asks for on top, within the bounds of the policies.
//! - [`PolicySampler`]: which policies look at a response.
//! - [`Decision`]: the state machine of one response. Fed projections, it says how many tokens may
//!   leave. Each token belongs to a [`Section`], by which a policy may tell which of them count.
//! - [`Holdback`], [`Sentences`]: the tokens between decoder and client, and where text is cut.
//! - [`Serving`]: how the model is served, and which vectors were made on it served otherwise.
//! - [`BackOff`], [`repetition`]: how far steering is reduced because it costs coherence.

mod back_off;
mod bounds;
mod decision;
mod holdback;
mod overrides;
mod plan;
mod refusal;
mod repetition;
mod running_score;
mod sampler;
mod section;
mod sentences;
mod staleness;
mod unscored;
mod vector;

pub use back_off::BackOff;
pub use bounds::Bounds;
pub use decision::{Breach, Decision, Stop};
pub use holdback::Holdback;
pub use overrides::{Override, OverrideError, Overrides};
pub use plan::{
    Direction, MeasuredVector, Plan, PlannedCap, PlannedPolicy, PlannedSteering, Rule, SteeringGate,
};
pub use refusal::Refusal;
pub use repetition::repetition;
pub use running_score::RunningScore;
pub use sampler::PolicySampler;
pub use section::Section;
pub use sentences::Sentences;
pub use staleness::Serving;
pub use unscored::UnscoredReason;
pub use vector::{ModelFacts, Vectors};
