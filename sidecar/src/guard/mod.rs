//! Score → decide → act, without a word about HTTP, Kubernetes or the decoder.
//!
//! - [`Plan`]: what is measured and enforced on every response, made from a config and the facts of the loaded model.
//! - [`Decision`]: one response's state machine; fed projections, it says how many tokens may leave.
//! - [`Holdback`]: the tokens between decoder and client.

mod decision;
mod holdback;
mod plan;
mod score;

pub use decision::{Breach, Decision, Fault, Stop};
pub use holdback::Holdback;
pub use plan::{Bounds, ModelFacts, Plan, PlannedPolicy, Rule, Steer, Tap, Vectors};
pub use score::Tally;
