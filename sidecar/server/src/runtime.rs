//! What the sidecar serves and enforces at this moment, and the loop that keeps it in step with
//! the config folder.

mod active_model;
mod app_state;
mod config_follower;
mod fetching;
mod in_force;
pub mod interventions;
mod linked_model;
mod linker;
mod memory;
mod memory_watch;
mod message;
mod model_state;
mod planned_change;
mod reloader;
mod served;
mod weights;

pub use active_model::ActiveModel;
pub use app_state::AppState;
pub use fetching::WeightsHub;
pub use in_force::InForce;
pub(crate) use linked_model::Beyond;
pub use linked_model::LinkedModel;
pub use linker::Linker;
pub(crate) use memory_watch::watch_memory;
pub use model_state::{ModelState, Snapshot};
pub use reloader::ModelReloader;
pub use served::Served;
