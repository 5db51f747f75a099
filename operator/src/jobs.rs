//! How a Job stands, by its conditions. Pure.

use k8s_openapi::api::batch::v1::Job;

/// How a Job stands.
#[derive(Debug, PartialEq)]
pub(crate) enum Progress {
    /// So many of its pods have done their part.
    Running(i32),
    /// For this reason, as the Job controller says it.
    Failed(String),
    Complete,
}

pub(crate) fn progress(job: &Job) -> Progress {
    let status = job.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let is = |type_: &str| {
        conditions.iter().find(|condition| condition.type_ == type_ && condition.status == "True")
    };
    if let Some(failed) = is("Failed") {
        return Progress::Failed(failed.message.clone().unwrap_or_default());
    }
    if is("Complete").is_some() {
        Progress::Complete
    } else {
        Progress::Running(status.succeeded.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_is_followed_by_its_conditions() {
        let job = |status: serde_json::Value| {
            serde_json::from_value::<Job>(json!({ "status": status })).unwrap()
        };
        assert_eq!(progress(&job(json!({ "succeeded": 2 }))), Progress::Running(2));
        let complete =
            json!({ "succeeded": 4, "conditions": [{ "type": "Complete", "status": "True" }] });
        assert_eq!(progress(&job(complete)), Progress::Complete);
        let failed =
            json!({ "conditions": [{ "type": "Failed", "status": "True", "message": "no room" }] });
        assert_eq!(progress(&job(failed)), Progress::Failed("no room".to_owned()));
    }
}
