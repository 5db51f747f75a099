//! The plugin in the user's own model server (placement Engine), over a Unix socket: which vectors
//! it has, and what it measures of each request. `engines/vllm/PROTOCOL.md` says what the messages
//! mean. Everything that comes is another process's, and is checked before it counts.

mod connection;
mod foreign;
mod frame;
mod inbox;
mod link;
mod malformed;
mod measured_request;
mod message;
mod reader;
mod request_plan;
mod socket;
mod vector_set;

pub(crate) use inbox::{RowFault, Taken};
pub use link::EngineLink;
pub(crate) use link::{Hello, LinkState, Loaded};
pub(crate) use measured_request::MeasuredRequest;
pub(crate) use request_plan::{Change, Effect, RequestPlan, When};
pub use socket::{EngineSocket, SocketError};
pub(crate) use vector_set::{MAX_SLOTS, VectorSet};

#[cfg(test)]
mod tests;
