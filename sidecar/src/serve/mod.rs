//! The OpenAI-compatible API, health and metrics.

mod admin;
mod answer;
mod chat;
mod error;
mod listen;
mod models;
mod record;
mod request;
mod response;
mod router;
mod sse;

pub use listen::{Limits, listen};
pub use router::{admin as admin_router, api as api_router};
