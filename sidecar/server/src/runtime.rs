//! What the sidecar serves and enforces at this moment, and the loop that keeps it in step with
//! the config folder.

mod active_model;
mod app_state;
mod fetching;
pub mod interventions;
mod memory;
mod memory_watch;
mod message;
mod model_state;
mod reloader;
mod weights;

pub use active_model::ActiveModel;
pub use app_state::AppState;
pub use fetching::WeightsHub;
pub(crate) use memory_watch::watch_memory;
pub use model_state::{ModelState, Snapshot};
pub use reloader::ModelReloader;
