use super::*;
use serde_json::json;

#[test]
fn progress_follows_from_the_conditions_of_the_job() {
    let progress = |status: serde_json::Value| {
        JobProgress::of(&serde_json::from_value::<Job>(json!({ "status": status })).unwrap())
    };
    let running = JobProgress::Running { succeeded_pods: 2 };
    assert_eq!(progress(json!({ "succeeded": 2 })), running);
    let complete =
        json!({ "succeeded": 4, "conditions": [{ "type": "Complete", "status": "True" }] });
    assert_eq!(progress(complete), JobProgress::Complete);
    let failed =
        json!({ "conditions": [{ "type": "Failed", "status": "True", "message": "no room" }] });
    assert_eq!(progress(failed), JobProgress::Failed("no room".to_owned()));
}
