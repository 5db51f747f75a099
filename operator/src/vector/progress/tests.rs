use super::*;

#[test]
fn progress_is_that_of_all_shards_together() {
    let progress = Progress::default();
    let part = |done| ExtractionProgress { done, total: 100 };
    progress.record("evil", PodRole::Shard(0), part(10));
    progress.record("evil", PodRole::Shard(1), part(20));
    progress.record("evil", PodRole::Shard(1), part(30));
    progress.record("evil", PodRole::Shard(MAX_SHARDS), part(99));
    assert_eq!(progress.of("evil"), Some(ExtractionProgress { done: 40, total: 200 }));
    progress.record("evil", PodRole::Merge, part(50));
    assert_eq!(progress.of("evil"), Some(part(50)));
}

#[test]
fn what_was_last_seen_of_a_pod_outlives_it_and_is_no_progress() {
    let progress = Progress::default();
    progress.record_trouble("evil", "No node takes it.".to_owned());
    assert_eq!(progress.of("evil"), None);
    assert_eq!(progress.trouble("evil").as_deref(), Some("No node takes it."));
    progress.forget("evil");
    assert_eq!(progress.trouble("evil"), None);
}
