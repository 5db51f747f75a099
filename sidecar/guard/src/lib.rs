//! Score → decide → act, without a word about HTTP, Kubernetes or the decoder.
//!
//! - [`Plan`]: what is measured and enforced on every response, made from a config and the facts of
//!   the loaded model.
//! - [`Demands`]: what one request asks for beyond the plan, within the bounds of its policies.
//! - [`BackOff`]: how far steering is held back because it eats coherence.
//! - [`Draw`]: which responses a policy looks at.
//! - [`Decision`]: one response's state machine; fed projections, it says how many tokens may
//!   leave.
//! - [`Sentences`]: where text is cut when it is taken back by the sentence.
//! - [`Holdback`]: the tokens between decoder and client.

mod build;
mod coherence;
mod decision;
mod demands;
mod holdback;
mod plan;
mod sampling;
mod score;
mod sentence;

pub use coherence::{BackOff, repetition};
pub use decision::{Breach, Decision, Fault, Stop};
pub use demands::{Beyond, Demand, Demands};
pub use holdback::Holdback;
pub use plan::{
    Bounds, Cap, Direction, ModelFacts, Plan, PlannedPolicy, Rule, Steer, Tap, Vectors, When,
};
pub use sampling::Draw;
pub use score::Tally;
pub use sentence::Sentences;
