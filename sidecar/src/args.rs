//! Options that several commands share.

mod engine;
mod hub;

pub(crate) use engine::{EngineArgs, VllmArgs};
pub(crate) use hub::HubArgs;
