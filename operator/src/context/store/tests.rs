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

fn read(object: ConfigMap) -> Readable<ConfigMap> {
    Readable::Read(object)
}

/// An object of a newer version.
fn unreadable(name: &str, version: u64) -> Readable<ConfigMap> {
    let raw = serde_json::json!({
        "metadata": {"namespace": "a", "name": name, "resourceVersion": version.to_string()},
        "data": 7
    });
    serde_json::from_value(raw).unwrap()
}

fn list(store: &Store<ConfigMap>, objects: Vec<ConfigMap>) -> Vec<Change<ConfigMap>> {
    list_all(store, objects.into_iter().map(read).collect())
}

fn list_all(store: &Store<ConfigMap>, objects: Vec<Readable<ConfigMap>>) -> Vec<Change<ConfigMap>> {
    store.apply(Event::<Readable<ConfigMap>>::Init, Some);
    for object in objects {
        store.apply(Event::InitApply(object), Some);
    }
    store.apply(Event::<Readable<ConfigMap>>::InitDone, Some)
}

#[test]
fn item_11_an_object_that_can_no_longer_be_read_is_not_gone() {
    let store = Store::default();
    list(&store, vec![object("x", 1), object("y", 2)]);
    for changes in [
        store.apply(Event::Apply(unreadable("x", 3)), Some),
        list_all(&store, vec![unreadable("x", 4), read(object("y", 2))]),
    ] {
        let [change] = changes.as_slice() else { panic!("{changes:?}") };
        assert!(change.unreadable.is_some() && change.of_readability());
        assert_eq!((change.before.is_some(), change.after.is_some()), (true, true));
        assert_eq!(names(&store), ["x", "y"], "its last readable state stays");
        assert!(store.unreadable("a", "x").is_some());
    }
    // Read again, then gone.
    let changes = store.apply(Event::Apply(read(object("x", 5))), Some);
    assert!(changes[0].unreadable.is_none() && changes[0].of_readability());
    assert!(store.unreadable("a", "x").is_none());
    store.apply(Event::Apply(unreadable("x", 6)), Some);
    let changes = store.apply(Event::Delete(unreadable("x", 7)), Some);
    assert!(changes[0].after.is_none() && changes[0].unreadable.is_none());
    assert_eq!((names(&store), store.all_unreadable()), (vec!["y".to_owned()], Vec::new()));
}

#[test]
fn item_11_after_a_restart_an_object_that_cannot_be_read_is_known_to_exist() {
    let store = Store::default();
    let changes = list_all(&store, vec![unreadable("x", 3), read(object("y", 2))]);
    assert_eq!(changes.len(), 2);
    assert_eq!(names(&store), ["y"]);
    assert_eq!(store.all_unreadable(), [ObjectName::new("a", "x")]);
    assert_eq!(store.unreadable_within("a").len(), 1);
}

#[test]
fn objects_stay_while_the_watch_lists_again() {
    let store = Store::default();
    assert_eq!(list(&store, vec![object("x", 1), object("y", 2)]).len(), 2);
    store.apply(Event::<Readable<ConfigMap>>::Init, Some);
    assert_eq!(names(&store), ["x", "y"]);
    store.apply(Event::InitApply(read(object("y", 2))), Some);
    let changes = store.apply(Event::<Readable<ConfigMap>>::InitDone, Some);
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
    store.apply(Event::Delete(read(object("x", 7))), Some);
    store.upsert_written(object("x", 6), Some);
    assert!(names(&store).is_empty());
    store.upsert_written(object("x", 8), Some);
    assert_eq!(names(&store), ["x"]);
    store.apply(Event::Apply(read(object("x", 4))), Some);
    assert_eq!(store.get("a", "x").unwrap().metadata.resource_version.as_deref(), Some("8"));
}
