//! Kubernetes objects as the operator reads and writes them: views of what it watches, and parts
//! that several controllers build. Pure.

mod app_containers;
pub(crate) mod conditions;
mod container_start;
mod content;
mod exempt;
mod failed_creation;
pub(crate) mod hub_parts;
pub(crate) mod job_engine;
pub(crate) mod job_pods;
mod job_progress;
mod own_server;
pub(crate) mod pod_parts;
mod pod_view;
mod service_view;
mod sidecar_container;
mod vllm_parts;

pub(crate) use app_containers::Port;
pub(crate) use container_start::ContainerStart;
pub(crate) use content::same_content;
pub(crate) use failed_creation::{FailedCreation, Refusal};
pub(crate) use job_pods::Trouble;
pub(crate) use job_progress::JobProgress;
#[cfg(test)]
pub(crate) use own_server::OwnServer;
pub(crate) use pod_view::{AppPort, PodView, WATCHED_PODS};
pub(crate) use service_view::ServiceView;
