use super::*;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

fn object(name: &str, version: u64) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.namespace = Some("a".into());
    object.metadata.name = Some(name.into());
    object.metadata.resource_version = Some(version.to_string());
    object
}

fn names(store: &Store<ConfigMap>) -> Vec<String> {
    store.within("a").iter().map(|object| object.name_any()).collect()
}

fn list(store: &Store<ConfigMap>, objects: Vec<ConfigMap>) -> Vec<Change<ConfigMap>> {
    store.apply(Event::<ConfigMap>::Init, Some);
    for object in objects {
        store.apply(Event::InitApply(object), Some);
    }
    store.apply(Event::<ConfigMap>::InitDone, Some)
}

#[test]
fn objects_stay_while_the_watch_lists_again() {
    let store = Store::default();
    assert_eq!(list(&store, vec![object("x", 1), object("y", 2)]).len(), 2);
    store.apply(Event::<ConfigMap>::Init, Some);
    assert_eq!(names(&store), ["x", "y"]);
    store.apply(Event::InitApply(object("y", 2)), Some);
    let changes = store.apply(Event::<ConfigMap>::InitDone, Some);
    assert_eq!(names(&store), ["y"]);
    assert_eq!(changes.len(), 1);
    assert!(changes[0].after.is_none());
}

#[test]
fn an_object_first_seen_in_a_later_list_is_a_change() {
    let store = Store::default();
    list(&store, vec![object("x", 1)]);
    let changes = list(&store, vec![object("x", 1), object("y", 2)]);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].name.name, "y");
}

#[test]
fn a_late_answer_does_not_bring_back_a_deleted_object() {
    let store = Store::default();
    list(&store, vec![object("x", 1)]);
    store.apply(Event::Delete(object("x", 7)), Some);
    store.upsert_written(object("x", 6), Some);
    assert!(names(&store).is_empty());
    store.upsert_written(object("x", 8), Some);
    assert_eq!(names(&store), ["x"]);
    store.apply(Event::Apply(object("x", 4)), Some);
    assert_eq!(store.get("a", "x").unwrap().metadata.resource_version.as_deref(), Some("8"));
}
