//! What a watch has seen: objects by namespace and name, kept whole while the watch is listed anew.

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::watch;

/// Namespace (empty for a cluster-scoped object) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Name {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub(crate) fn of(object: &impl Resource) -> Self {
        Self::new(object.meta().namespace.clone().unwrap_or_default(), object.name_any())
    }
}

/// A difference that the cache has just seen.
#[derive(Debug)]
pub(crate) struct Change<V> {
    pub(crate) name: Name,
    pub(crate) before: Option<Arc<V>>,
    pub(crate) after: Option<Arc<V>>,
}

#[derive(Debug)]
struct Entry<V> {
    version: u64,
    value: Arc<V>,
}

#[derive(Debug)]
struct Inner<V> {
    objects: BTreeMap<Name, Entry<V>>,
    /// Filled while the watch lists; takes the place of `objects` when it is complete, so that an
    /// empty cache is never mistaken for a cluster without objects.
    listing: Option<BTreeMap<Name, Entry<V>>>,
    /// Resource version at which an object was deleted.
    graves: BTreeMap<Name, u64>,
    /// What stands for the graves that were cleared, and for what happened while the watch was
    /// away.
    floor: u64,
}

/// Graves that are kept at most.
const MAX_GRAVES: usize = 1000;

impl<V> Inner<V> {
    fn bury(&mut self, name: Name, version: u64) {
        if self.graves.len() >= MAX_GRAVES {
            let newest = self.graves.values().copied().max().unwrap_or(0);
            self.floor = self.floor.max(newest);
            self.graves.clear();
        }
        self.graves.insert(name, version);
    }

    /// Whether an object may have been deleted since this version of it.
    fn outdated(&self, name: &Name, version: u64) -> bool {
        version <= self.floor || self.graves.get(name).is_some_and(|deleted| version <= *deleted)
    }
}

#[derive(Debug)]
pub(crate) struct Cache<V> {
    inner: RwLock<Inner<V>>,
    ready: watch::Sender<bool>,
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        let inner =
            Inner { objects: BTreeMap::new(), listing: None, graves: BTreeMap::new(), floor: 0 };
        Self { inner: RwLock::new(inner), ready: watch::Sender::new(false) }
    }
}

impl<V: PartialEq> Cache<V> {
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<V>> {
        self.read().objects.get(&Name::new(namespace, name)).map(|entry| Arc::clone(&entry.value))
    }

    /// Objects of a namespace, in order of their names.
    pub(crate) fn within(&self, namespace: &str) -> Vec<Arc<V>> {
        let from = Name::new(namespace, "");
        let inner = self.read();
        let range = inner.objects.range(from..).take_while(|(name, _)| name.namespace == namespace);
        range.map(|(_, entry)| Arc::clone(&entry.value)).collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<V>> {
        self.read().objects.values().map(|entry| Arc::clone(&entry.value)).collect()
    }

    /// Waits until the first listing is complete.
    pub(crate) async fn ready(&self) {
        // The sender lives as long as `self`.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Takes in what a watch says; gives what it changed.
    pub(crate) fn feed<K: Resource>(
        &self,
        event: Event<K>,
        convert: impl FnOnce(K) -> Option<V>,
    ) -> Vec<Change<V>> {
        match event {
            Event::Init => {
                self.write().listing = Some(BTreeMap::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let (name, version) = (Name::of(&object), version(&object));
                let Some(value) = convert(object) else { return Vec::new() };
                let mut inner = self.write();
                if let Some(listing) = &mut inner.listing {
                    listing.insert(name, Entry { version, value: Arc::new(value) });
                }
                Vec::new()
            }
            Event::InitDone => self.listed(),
            Event::Apply(object) => {
                let (name, version) = (Name::of(&object), version(&object));
                convert(object)
                    .and_then(|value| self.insert(name, version, value, false))
                    .into_iter()
                    .collect()
            }
            Event::Delete(object) => {
                let name = Name::of(&object);
                let mut inner = self.write();
                inner.bury(name.clone(), version(&object));
                let removed = inner.objects.remove(&name);
                removed
                    .map(|entry| Change { name, before: Some(entry.value), after: None })
                    .into_iter()
                    .collect()
            }
        }
    }

    /// Takes in what a write of our own answered, ahead of the watch: the next reconciliation sees
    /// it. Nothing if the watch is past it.
    pub(crate) fn absorb<K: Resource>(&self, object: K, convert: impl FnOnce(K) -> Option<V>) {
        let (name, version) = (Name::of(&object), version(&object));
        if let Some(value) = convert(object) {
            self.insert(name, version, value, true);
        }
    }

    fn insert(&self, name: Name, version: u64, value: V, absorbed: bool) -> Option<Change<V>> {
        let mut inner = self.write();
        if absorbed && inner.outdated(&name, version) {
            return None;
        }
        if inner.objects.get(&name).is_some_and(|known| known.version > version) {
            return None;
        }
        let value = Arc::new(value);
        let before =
            inner.objects.insert(name.clone(), Entry { version, value: Arc::clone(&value) });
        let before = before.map(|entry| entry.value);
        (before.as_ref() != Some(&value)).then_some(Change { name, before, after: Some(value) })
    }

    fn listed(&self) -> Vec<Change<V>> {
        let mut inner = self.write();
        let Some(mut listing) = inner.listing.take() else { return Vec::new() };
        let mut changes = Vec::new();
        let before = std::mem::take(&mut inner.objects);
        for (name, listed) in &mut listing {
            match before.get(name) {
                // What was absorbed since is newer than the list.
                Some(known) if listed.version < known.version => {
                    *listed = Entry { version: known.version, value: Arc::clone(&known.value) };
                }
                Some(known) if listed.value == known.value => {}
                known => changes.push(Change {
                    name: name.clone(),
                    before: known.map(|entry| Arc::clone(&entry.value)),
                    after: Some(Arc::clone(&listed.value)),
                }),
            }
        }
        let gone = before.into_iter().filter(|(name, _)| !listing.contains_key(name));
        changes.extend(gone.map(|(name, entry)| Change {
            name,
            before: Some(entry.value),
            after: None,
        }));
        inner.floor =
            listing.values().map(|entry| entry.version).max().unwrap_or(0).max(inner.floor);
        inner.graves.clear();
        inner.objects = listing;
        drop(inner);
        self.ready.send_replace(true);
        changes
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner<V>> {
        // Each method leaves the maps valid after each statement.
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner<V>> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resource versions of one resource are integers that rise.
fn version(object: &impl Resource) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn object(name: &str, version: u64) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.namespace = Some("a".into());
        object.metadata.name = Some(name.into());
        object.metadata.resource_version = Some(version.to_string());
        object
    }

    fn names(cache: &Cache<ConfigMap>) -> Vec<String> {
        cache.within("a").iter().map(|object| object.name_any()).collect()
    }

    fn list(cache: &Cache<ConfigMap>, objects: Vec<ConfigMap>) -> Vec<Change<ConfigMap>> {
        cache.feed(Event::<ConfigMap>::Init, Some);
        for object in objects {
            cache.feed(Event::InitApply(object), Some);
        }
        cache.feed(Event::<ConfigMap>::InitDone, Some)
    }

    #[test]
    fn objects_stay_while_the_watch_lists_anew() {
        let cache = Cache::default();
        assert_eq!(list(&cache, vec![object("x", 1), object("y", 2)]).len(), 2);
        cache.feed(Event::<ConfigMap>::Init, Some);
        assert_eq!(names(&cache), ["x", "y"]);
        cache.feed(Event::InitApply(object("y", 2)), Some);
        let changes = cache.feed(Event::<ConfigMap>::InitDone, Some);
        assert_eq!(names(&cache), ["y"]);
        assert_eq!(changes.len(), 1);
        assert!(changes[0].after.is_none());
    }

    #[test]
    fn an_object_that_appears_in_a_later_list_is_a_change() {
        let cache = Cache::default();
        list(&cache, vec![object("x", 1)]);
        let changes = list(&cache, vec![object("x", 1), object("y", 2)]);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].name.name, "y");
    }

    #[test]
    fn a_late_answer_does_not_bring_back_what_was_deleted() {
        let cache = Cache::default();
        list(&cache, vec![object("x", 1)]);
        cache.feed(Event::Delete(object("x", 7)), Some);
        cache.absorb(object("x", 6), Some);
        assert!(names(&cache).is_empty());
        cache.absorb(object("x", 8), Some);
        assert_eq!(names(&cache), ["x"]);
        cache.feed(Event::Apply(object("x", 4)), Some);
        assert_eq!(cache.get("a", "x").unwrap().metadata.resource_version.as_deref(), Some("8"));
    }
}
