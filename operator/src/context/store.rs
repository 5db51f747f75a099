//! The store of one informer: the objects of one kind, by namespace and name. Of an object that can
//! no longer be read, it keeps the last state that could.

use super::readable::{Readable, Unreadable};
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
    /// The last readable states.
    pub(crate) before: Option<Arc<V>>,
    pub(crate) after: Option<Arc<V>>,
    /// Why it could not be read.
    pub(crate) unreadable_before: Option<Arc<Unreadable>>,
    /// Why it cannot be read now.
    pub(crate) unreadable: Option<Arc<Unreadable>>,
}

impl<V> Change<V> {
    /// It can be read now and could not before, or the other way round.
    pub(crate) fn of_readability(&self) -> bool {
        self.unreadable_before != self.unreadable
    }
}

#[derive(Debug)]
pub(crate) struct Store<V> {
    inner: RwLock<Inner<V>>,
    synced: watch::Sender<bool>,
}

#[derive(Debug)]
struct Entry<V> {
    version: u64,
    uid: Option<String>,
    /// The last state that could be read, if any could.
    value: Option<Arc<V>>,
    /// Why the newest cannot be.
    unreadable: Option<Arc<Unreadable>>,
}

impl<V: PartialEq> Entry<V> {
    /// `None` if `convert` turns the object down.
    fn new<K: Resource>(
        object: Readable<K>,
        convert: impl FnOnce(K) -> Option<V>,
    ) -> Option<(ObjectName, Self)> {
        let (name, version) = (ObjectName::of(&object), version(&object));
        let uid = object.meta().uid.clone();
        let (value, unreadable) = match object {
            Readable::Read(object) => (Some(Arc::new(convert(object)?)), None),
            Readable::Unreadable(unreadable) => (None, Some(Arc::from(unreadable))),
        };
        Some((name, Self { version, uid, value, unreadable }))
    }

    /// Takes over the last readable state of the same object.
    fn remember(&mut self, before: Option<&Self>) {
        if let Some(before) = before.filter(|before| before.uid == self.uid) {
            self.value = self.value.take().or_else(|| before.value.clone());
        }
    }

    fn change(name: ObjectName, before: Option<&Self>, after: Option<&Self>) -> Option<Change<V>> {
        let value = |entry: Option<&Self>| entry.and_then(|entry| entry.value.clone());
        let unreadable = |entry: Option<&Self>| entry.and_then(|entry| entry.unreadable.clone());
        let change = Change {
            name,
            before: value(before),
            after: value(after),
            unreadable_before: unreadable(before),
            unreadable: unreadable(after),
        };
        (change.before != change.after || change.of_readability()).then_some(change)
    }
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
        self.read().objects.get(&name).and_then(|entry| entry.value.clone())
    }

    /// Why an object cannot be read, if it cannot.
    pub(crate) fn unreadable(&self, namespace: &str, name: &str) -> Option<Arc<Unreadable>> {
        let name = ObjectName::new(namespace, name);
        self.read().objects.get(&name).and_then(|entry| entry.unreadable.clone())
    }

    /// Objects of a namespace that cannot be read.
    pub(crate) fn unreadable_within(&self, namespace: &str) -> Vec<Arc<Unreadable>> {
        self.select(namespace, |entry| entry.unreadable.clone())
    }

    /// Objects that cannot be read, by name.
    pub(crate) fn all_unreadable(&self) -> Vec<ObjectName> {
        let inner = self.read();
        let unreadable = inner.objects.iter().filter(|(_, entry)| entry.unreadable.is_some());
        unreadable.map(|(name, _)| name.clone()).collect()
    }

    /// Objects of a namespace, ordered by name.
    pub(crate) fn within(&self, namespace: &str) -> Vec<Arc<V>> {
        self.select(namespace, |entry| entry.value.clone())
    }

    fn select<T>(&self, namespace: &str, of: impl Fn(&Entry<V>) -> Option<T>) -> Vec<T> {
        let from = ObjectName::new(namespace, "");
        let inner = self.read();
        let range = inner.objects.range(from..).take_while(|(name, _)| name.namespace == namespace);
        range.filter_map(|(_, entry)| of(entry)).collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<V>> {
        self.read().objects.values().filter_map(|entry| entry.value.clone()).collect()
    }

    /// Waits until the first list is complete.
    pub(crate) async fn synced(&self) {
        // Fails only if the sender is dropped, and that lives as long as `self`.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// Whether the first list is complete.
    pub(crate) fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Applies an event of the watch and returns what changed. An object that `convert` turns down
    /// counts as none.
    pub(crate) fn apply<K: Resource>(
        &self,
        event: Event<Readable<K>>,
        convert: impl FnOnce(K) -> Option<V>,
    ) -> Vec<Change<V>> {
        match event {
            Event::Init => {
                self.write().listing = Some(BTreeMap::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let Some((name, entry)) = Entry::new(object, convert) else { return Vec::new() };
                if let Some(listing) = &mut self.write().listing {
                    listing.insert(name, entry);
                }
                Vec::new()
            }
            Event::InitDone => self.finish_list(),
            Event::Apply(object) => {
                let (name, version) = (ObjectName::of(&object), version(&object));
                let change = match Entry::new(object, convert) {
                    Some((name, entry)) => upsert(&mut self.write(), name, entry),
                    None => self.delete(name, version),
                };
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
        let Some((name, entry)) = Entry::new(Readable::Read(object), convert) else { return };
        let mut inner = self.write();
        if !inner.maybe_deleted(&name, entry.version) {
            upsert(&mut inner, name, entry);
        }
    }

    fn delete(&self, name: ObjectName, version: u64) -> Option<Change<V>> {
        let mut inner = self.write();
        inner.add_tombstone(name.clone(), version);
        let removed = inner.objects.remove(&name)?;
        Entry::change(name, Some(&removed), None)
    }

    /// Puts the complete list in place and compares it with the objects before.
    fn finish_list(&self) -> Vec<Change<V>> {
        let mut inner = self.write();
        let Some(mut listing) = inner.listing.take() else { return Vec::new() };
        let mut changes = Vec::new();
        let mut before = std::mem::take(&mut inner.objects);
        for (name, listed) in &mut listing {
            match before.remove(name) {
                // A write of our own that is newer than the list.
                Some(known) if listed.version < known.version => *listed = known,
                known => {
                    listed.remember(known.as_ref());
                    changes.extend(Entry::change(name.clone(), known.as_ref(), Some(listed)));
                }
            }
        }
        let gone = before.into_iter();
        changes.extend(gone.filter_map(|(name, entry)| Entry::change(name, Some(&entry), None)));
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
    mut entry: Entry<V>,
) -> Option<Change<V>> {
    if inner.objects.get(&name).is_some_and(|known| known.version > entry.version) {
        return None;
    }
    let known = inner.objects.remove(&name);
    entry.remember(known.as_ref());
    let change = Entry::change(name.clone(), known.as_ref(), Some(&entry));
    inner.objects.insert(name, entry);
    change
}

/// Resource versions of one resource are rising integers.
fn version(object: &impl Resource) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
