//! Kubernetes objects as the operator reads and writes them: views of what it watches, and parts
//! that several controllers build. Pure.

pub(crate) mod conditions;
mod job_progress;
pub(crate) mod pod_parts;
mod pod_view;
mod service_view;

pub(crate) use job_progress::JobProgress;
pub(crate) use pod_view::{AppPort, PodView, WATCHED_PODS};
pub(crate) use service_view::ServiceView;
