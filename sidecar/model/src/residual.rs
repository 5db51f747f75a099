//! Reading and changing the residual stream: what a request may ask for at each layer.

mod intervention;
mod plan;
mod positions;
mod states;
mod tap;
mod vector;

#[cfg(any(test, feature = "cuda"))]
pub(crate) use intervention::Change;
pub use intervention::{Gate, GatePosition, Intervention};
pub(crate) use plan::{GateInput, ResidualPlan};
pub use positions::Positions;
pub use states::MeanStates;
pub(crate) use states::{LastNorm, StateSums};
pub use tap::Tap;
pub use vector::VectorError;
