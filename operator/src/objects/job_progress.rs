//! How far a Job is, by its conditions.

use k8s_openapi::api::batch::v1::Job;

#[derive(Debug, PartialEq)]
pub(crate) enum JobProgress {
    Running {
        succeeded_pods: i32,
    },
    /// With the Job controller's message.
    Failed(String),
    Complete,
}

impl JobProgress {
    pub(crate) fn of(job: &Job) -> Self {
        let status = job.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let met = |type_: &str| conditions.iter().find(|c| c.type_ == type_ && c.status == "True");
        if let Some(failed) = met("Failed") {
            return Self::Failed(failed.message.clone().unwrap_or_default());
        }
        if met("Complete").is_some() {
            Self::Complete
        } else {
            Self::Running { succeeded_pods: status.succeeded.unwrap_or(0) }
        }
    }
}

#[cfg(test)]
mod tests;
