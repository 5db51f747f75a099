//! The plugin in the user's own vLLM, over a Unix socket: which vectors it has, and what it
//! measures of each request. `engines/vllm/PROTOCOL.md` says what the messages mean. Everything
//! that comes is another process's, and is checked before it counts.

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
mod states_inbox;
mod states_request;
mod vector_set;

pub use inbox::{RowFault, Taken};
pub use link::{EngineLink, LinkState};
pub use measured_request::MeasuredRequest;
pub use message::{Hello, Loaded};
pub use request_plan::{Change, Effect, RequestPlan, When};
pub use socket::{EngineSocket, SocketError};
pub use states_inbox::{MeanState, ToldStates};
pub use states_request::{NoStates, StatesRequest};
pub use vector_set::{MAX_SLOTS, Slot, VectorSet};

#[cfg(test)]
mod tests;
