//! Kubernetes objects as the operator reads and writes them: views of what it watches, and parts
//! that several controllers build. Pure.

mod app_containers;
pub(crate) mod conditions;
mod exempt;
mod failed_creation;
mod job_progress;
pub(crate) mod pod_parts;
mod pod_view;
mod service_view;
mod sidecar_container;

pub(crate) use app_containers::Port;
pub(crate) use failed_creation::{FailedCreation, Refusal};
pub(crate) use job_progress::JobProgress;
pub(crate) use pod_view::{AppPort, PodView, WATCHED_PODS};
pub(crate) use service_view::ServiceView;
pub(crate) use sidecar_container::SidecarStart;
