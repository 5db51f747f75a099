//! HTTP as both placements use it: sockets and their limits, bodies, errors, server-sent events.
//! It knows neither models nor policies.

mod body;
mod body_budget;
mod connections;
mod error;
mod event_stream;
mod front;
mod headers;
mod http2;
mod limits;
mod listen;
mod notify;
mod router;
pub(crate) mod sse;
mod write_timeout;

pub(crate) use body::{
    Broken, Patience, Received, collect, discard, not_received, receive, request_body,
};
pub use body_budget::{ArrivingBody, BodyBudget, BodyGuard, NoRoom};
pub(crate) use error::ApiError;
pub(crate) use event_stream::{KEEP_ALIVE, event_stream};
pub(crate) use front::{front, open_to_browsers};
pub(crate) use headers::is_encoded;
pub use limits::Limits;
pub use listen::listen;
pub(crate) use router::{catch_panics, with_fallbacks};
