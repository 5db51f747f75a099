//! Options that several commands share.

mod engine;
mod hub;

pub(crate) use engine::EngineArgs;
pub(crate) use hub::HubArgs;
