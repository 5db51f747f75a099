//! The store of one informer: the objects of one kind, by namespace and name.

use crate::keys::ObjectName;
use kube::Resource;
use kube::runtime::watcher::Event;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::watch;

/// A difference that the store has just seen.
#[derive(Debug)]
pub(crate) struct Change<V> {
    pub(crate) name: ObjectName,
    pub(crate) before: Option<Arc<V>>,
    pub(crate) after: Option<Arc<V>>,
}

#[derive(Debug)]
pub(crate) struct Store<V> {
    inner: RwLock<Inner<V>>,
    synced: watch::Sender<bool>,
}

#[derive(Debug)]
struct Entry<V> {
    version: u64,
    value: Arc<V>,
}

#[derive(Debug)]
struct Inner<V> {
    objects: BTreeMap<ObjectName, Entry<V>>,
    /// Filled while the watch lists again. It replaces `objects` once it is complete, so that an
    /// unfinished list is never mistaken for a cluster without objects.
    listing: Option<BTreeMap<ObjectName, Entry<V>>>,
    /// Resource version at which an object was deleted.
    tombstones: BTreeMap<ObjectName, u64>,
    /// Stands in for the tombstones that were dropped, and for deletions while the watch was
    /// interrupted: any object up to this version may have been deleted since.
    maybe_deleted_up_to: u64,
}

const MAX_TOMBSTONES: usize = 1000;

impl<V> Inner<V> {
    fn add_tombstone(&mut self, name: ObjectName, version: u64) {
        if self.tombstones.len() >= MAX_TOMBSTONES {
            let newest = self.tombstones.values().copied().max().unwrap_or(0);
            self.maybe_deleted_up_to = self.maybe_deleted_up_to.max(newest);
            self.tombstones.clear();
        }
        self.tombstones.insert(name, version);
    }

    /// Whether an object may have been deleted since this version of it.
    fn maybe_deleted(&self, name: &ObjectName, version: u64) -> bool {
        version <= self.maybe_deleted_up_to
            || self.tombstones.get(name).is_some_and(|deleted| version <= *deleted)
    }
}

impl<V> Default for Store<V> {
    fn default() -> Self {
        let inner = Inner {
            objects: BTreeMap::new(),
            listing: None,
            tombstones: BTreeMap::new(),
            maybe_deleted_up_to: 0,
        };
        Self { inner: RwLock::new(inner), synced: watch::Sender::new(false) }
    }
}

impl<V: PartialEq> Store<V> {
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<V>> {
        let name = ObjectName::new(namespace, name);
        self.read().objects.get(&name).map(|entry| Arc::clone(&entry.value))
    }

    /// Objects of a namespace, ordered by name.
    pub(crate) fn within(&self, namespace: &str) -> Vec<Arc<V>> {
        let from = ObjectName::new(namespace, "");
        let inner = self.read();
        let range = inner.objects.range(from..).take_while(|(name, _)| name.namespace == namespace);
        range.map(|(_, entry)| Arc::clone(&entry.value)).collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<V>> {
        self.read().objects.values().map(|entry| Arc::clone(&entry.value)).collect()
    }

    /// Waits until the first list is complete.
    pub(crate) async fn synced(&self) {
        // Fails only if the sender is dropped, and that lives as long as `self`.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// Applies an event of the watch and returns what changed. An object that `convert` turns down
    /// is skipped.
    pub(crate) fn apply<K: Resource>(
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
                let (name, version) = (ObjectName::of(&object), version(&object));
                let Some(value) = convert(object) else { return Vec::new() };
                if let Some(listing) = &mut self.write().listing {
                    listing.insert(name, Entry { version, value: Arc::new(value) });
                }
                Vec::new()
            }
            Event::InitDone => self.finish_list(),
            Event::Apply(object) => {
                let (name, version) = (ObjectName::of(&object), version(&object));
                let change = convert(object).and_then(|value| self.upsert(name, version, value));
                change.into_iter().collect()
            }
            Event::Delete(object) => {
                self.delete(ObjectName::of(&object), version(&object)).into_iter().collect()
            }
        }
    }

    /// Stores the answer to a write of our own, ahead of the watch, so that the next reconciliation
    /// sees it. Ignored if the watch may have seen the object deleted since.
    pub(crate) fn upsert_written<K: Resource>(
        &self,
        object: K,
        convert: impl FnOnce(K) -> Option<V>,
    ) {
        let (name, version) = (ObjectName::of(&object), version(&object));
        let Some(value) = convert(object) else { return };
        let mut inner = self.write();
        if !inner.maybe_deleted(&name, version) {
            upsert(&mut inner, name, version, value);
        }
    }

    fn upsert(&self, name: ObjectName, version: u64, value: V) -> Option<Change<V>> {
        upsert(&mut self.write(), name, version, value)
    }

    fn delete(&self, name: ObjectName, version: u64) -> Option<Change<V>> {
        let mut inner = self.write();
        inner.add_tombstone(name.clone(), version);
        let removed = inner.objects.remove(&name)?;
        Some(Change { name, before: Some(removed.value), after: None })
    }

    /// Puts the complete list in place and compares it with the objects before.
    fn finish_list(&self) -> Vec<Change<V>> {
        let mut inner = self.write();
        let Some(mut listing) = inner.listing.take() else { return Vec::new() };
        let mut changes = Vec::new();
        let before = std::mem::take(&mut inner.objects);
        for (name, listed) in &mut listing {
            match before.get(name) {
                // A write of our own that is newer than the list.
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
        let newest = listing.values().map(|entry| entry.version).max().unwrap_or(0);
        inner.maybe_deleted_up_to = inner.maybe_deleted_up_to.max(newest);
        inner.tombstones.clear();
        inner.objects = listing;
        drop(inner);
        self.synced.send_replace(true);
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

fn upsert<V: PartialEq>(
    inner: &mut Inner<V>,
    name: ObjectName,
    version: u64,
    value: V,
) -> Option<Change<V>> {
    if inner.objects.get(&name).is_some_and(|known| known.version > version) {
        return None;
    }
    let value = Arc::new(value);
    let before = inner.objects.insert(name.clone(), Entry { version, value: Arc::clone(&value) });
    let before = before.map(|entry| entry.value);
    (before.as_ref() != Some(&value)).then_some(Change { name, before, after: Some(value) })
}

/// Resource versions of one resource are rising integers.
fn version(object: &impl Resource) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
