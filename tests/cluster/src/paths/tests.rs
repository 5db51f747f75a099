use super::*;

#[test]
fn cluster_names_are_short_and_plain() {
    let cache = Cache(PathBuf::from("/root/.cache/personaguard"));
    assert_eq!(cache.cluster("demo").expect("valid").node(), "pg-demo");
    for bad in ["", "a/b", "Demo", "far-too-long", ".."] {
        assert!(cache.cluster(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_cache_that_the_cluster_would_hide_from_itself_is_refused() {
    let error = Cache(PathBuf::from("/var/lib/cache")).cluster("demo").expect_err("hidden");
    assert!(error.to_string().contains("PERSONAGUARD_CACHE"), "{error}");
}
