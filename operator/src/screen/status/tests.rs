use super::*;
use personaguard_api::API_VERSION;
use serde_json::json;

fn screen() -> DatasetScreen {
    serde_json::from_value(json!({
        "apiVersion": API_VERSION, "kind": "DatasetScreen",
        "metadata": { "name": "chats", "namespace": "training", "generation": 1 },
        "spec": {
            "model": "smollm2", "vectors": ["evil"], "shards": 4, "output": "ranks.jsonl",
            "dataset": { "claimName": "data", "path": "chats.jsonl" }
        }
    }))
    .unwrap()
}

#[test]
fn the_status_shows_the_progress_and_finally_where_the_ranks_are() {
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let running = status(&screen(), &Phase::Running { done_shards: 1, trouble: None }, now);
    assert_eq!(
        (running.shards.as_deref(), running.conditions[0].reason.as_str()),
        (Some("1/4"), "Screening")
    );
    let phase = Phase::Complete { samples: Some(90), skipped: Some(3) };
    let complete = status(&screen(), &phase, now);
    assert_eq!(complete.skipped, Some(3));
    assert_eq!((complete.samples, complete.conditions[0].status.as_str()), (Some(90), "True"));
    let message = &complete.conditions[0].message;
    assert!(message.contains("ranks.jsonl"), "{message}");
    assert!(message.contains(" 3 samples cannot be read and were left out"), "{message}");
}

#[test]
fn what_keeps_the_pods_from_getting_on_is_told_with_the_progress() {
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let told = |reason| {
        let message = "Its vLLM ended with exit code 78.".to_owned();
        let phase = Phase::Running { done_shards: 1, trouble: Some(Trouble { reason, message }) };
        status(&screen(), &phase, now).conditions.remove(0)
    };
    assert_eq!(told(None).reason, "Screening");
    let refused = told(Some(reason::PLUGIN_REFUSES));
    assert_eq!(refused.reason, "PluginRefuses");
    assert!(refused.message.contains("1 of 4 parts. Its vLLM ended"), "{}", refused.message);
}
