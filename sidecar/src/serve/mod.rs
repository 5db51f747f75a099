//! The OpenAI-compatible API, health and metrics.

mod admin;
mod answer;
mod chat;
mod crowd;
mod error;
mod listen;
mod models;
mod record;
mod request;
mod response;
mod router;
mod sse;

pub(crate) use chat::not_ready;
pub(crate) use error::ApiError;
pub use listen::{Limits, listen};
pub(crate) use record::Record;
pub(crate) use response::Usage;
pub(crate) use router::catch_panics;
pub use router::{admin as admin_router, api as api_router};
