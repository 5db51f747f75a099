use super::*;
use serde_json::json;

fn job(digest: &Digest, shards: u32, condition: &str) -> Job {
    let condition =
        json!({ "type": condition, "status": "True", "message": "BackoffLimitExceeded" });
    let annotations = json!({
        names::EXTRACTION_ANNOTATION: digest, names::SHARDS_ANNOTATION: shards.to_string()
    });
    serde_json::from_value(json!({
        "metadata": { "annotations": annotations }, "status": { "conditions": [condition] }
    }))
    .unwrap()
}

#[test]
fn a_job_is_started_once_and_restarted_when_what_it_depends_on_changed() {
    let (now, before) = (Digest::of(b"now"), Digest::of(b"before"));
    let alone = |job: Option<Job>, shards| next_step(job.as_ref(), None, shards, &now);
    assert_eq!(alone(None, 1), Step::Start(Stage::Generate));
    assert_eq!(alone(Some(job(&now, 1, "Suspended")), 1), Step::Wait);
    assert_eq!(alone(Some(job(&before, 1, "Complete")), 1), Step::Restart);
    assert_eq!(alone(Some(job(&now, 1, "Complete")), 2), Step::Restart, "other shards");
    let failed = Step::GiveUp(Stage::Generate, "BackoffLimitExceeded".to_owned());
    assert_eq!(alone(Some(job(&now, 1, "Failed")), 1), failed);
    let complete = alone(Some(job(&now, 1, "Complete")), 1);
    assert!(matches!(complete, Step::GiveUp(Stage::Generate, _)), "without a vector");
}

#[test]
fn parts_are_merged_once_all_of_them_are_complete() {
    let now = Digest::of(b"now");
    let with = |generate: &str, merge: Option<&str>| {
        let merge = merge.map(|condition| job(&now, 4, condition));
        next_step(Some(&job(&now, 4, generate)), merge.as_ref(), 4, &now)
    };
    assert_eq!(with("Suspended", None), Step::Wait);
    assert_eq!(with("Complete", None), Step::Start(Stage::Merge));
    assert_eq!(with("Complete", Some("Suspended")), Step::Wait);
    assert!(matches!(with("Complete", Some("Failed")), Step::GiveUp(Stage::Merge, _)));
    let outdated = job(&Digest::of(b"before"), 4, "Complete");
    assert_eq!(next_step(None, Some(&outdated), 4, &now), Step::Restart);
}

#[test]
fn what_keeps_the_pods_of_a_job_from_getting_on_is_told_and_kept() {
    let calm = waiting("system", "vector-evil", None);
    assert_eq!((calm.reason, calm.message.contains("is extracting")), ("Extracting", true));
    let trouble =
        |reason| Trouble { reason, message: "Image vllm:1 cannot be had: no such host.".into() };
    let told = waiting("system", "vector-evil", Some(&trouble(None)));
    assert_eq!(told.reason, "Extracting");
    assert!(told.message.contains("does not get on: Image vllm:1"), "{}", told.message);
    let refused = waiting("system", "vector-evil", Some(&trouble(Some("PluginRefuses"))));
    assert_eq!(refused.reason, "PluginRefuses");
    let seen = Some("Image vllm:1 cannot be had: no such host.");
    let failed = failed("system", "vector-evil", "BackoffLimitExceeded", seen);
    assert!(failed.message.contains("BackoffLimitExceeded. Image vllm:1"), "{}", failed.message);
}
