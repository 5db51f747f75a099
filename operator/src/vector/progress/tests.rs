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
