//! What the sidecars of all workloads reported, and the `PersonaReport`s that show it.

mod audit_logs;
mod breach;
mod budget;
mod contest;
mod controller;
mod counts;
mod events;
mod given_policies;
mod loaded;
mod owners;
mod queries;
mod state;
mod status;
mod workload;
mod workload_state;

pub(crate) use breach::{ActiveBreach, active_breaches};
pub(crate) use controller::Controller;
pub(crate) use counts::Contested;
pub(crate) use given_policies::GivenPolicies;
pub(crate) use loaded::loaded;
pub(crate) use state::Fleet;
