//! The vectors that the plugin steers with. It has room for a few; extraction tries many.

use crate::error::{Result, bail};
use personaguard_engine_link::{EngineLink, Hello, MAX_SLOTS, VectorSet};
use personaguard_terms::Layer;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, watch};

/// Longest wait until the plugin has taken vectors.
const LOADING: Duration = Duration::from_secs(60);

type Wanted = (Layer, Arc<[f32]>);

/// The vectors that are loaded, of which requests hold some, and those that are waited for.
#[derive(Debug)]
pub(super) struct Vectors {
    link: Arc<EngineLink>,
    hidden: usize,
    slots: usize,
    /// Held for reading by each request that steers: a set goes when nobody needs it any more.
    loaded: RwLock<VectorSet>,
    /// Held by the one that takes a set in place of another.
    loading: tokio::sync::Mutex<()>,
    /// Says so to the others, of whom many wait for vectors of the same set.
    changed: watch::Sender<()>,
    waiting: Mutex<Vec<Wanted>>,
}

/// A vector that the plugin has, until this is dropped.
pub(super) struct Held<'a> {
    loaded: RwLockReadGuard<'a, VectorSet>,
    slot: usize,
}

impl Held<'_> {
    pub(super) fn set(&self) -> u64 {
        self.loaded.number
    }

    pub(super) fn slot(&self) -> usize {
        self.slot
    }
}

impl Vectors {
    pub(super) fn new(link: Arc<EngineLink>, hello: &Hello) -> Self {
        Self {
            link,
            hidden: hello.hidden,
            slots: hello.slots.clamp(1, MAX_SLOTS),
            loaded: RwLock::new(VectorSet::new(hello.hidden, std::iter::empty())),
            loading: tokio::sync::Mutex::default(),
            changed: watch::Sender::default(),
            waiting: Mutex::default(),
        }
    }

    /// Has the plugin take a vector, unless it has it. Where it takes others in place of those that
    /// it has, it takes as many as wait at that moment.
    ///
    /// # Errors
    /// If the plugin refuses them, or is gone.
    pub(super) async fn hold(&self, layer: usize, values: &[f32]) -> Result<Held<'_>> {
        let layer = Layer(u32::try_from(layer)?);
        if let Some(held) = Self::held(self.loaded.read().await, layer, values) {
            return Ok(held);
        }
        let wanted: Wanted = (layer, values.into());
        self.waiting().push(wanted.clone());
        loop {
            let mut changed = self.changed.subscribe();
            if let Some(held) = Self::held(self.loaded.read().await, layer, values) {
                return Ok(held);
            }
            let Ok(loading) = self.loading.try_lock() else {
                // The sender lives as long as this.
                let _ = changed.changed().await;
                continue;
            };
            let mut loaded = self.loaded.write().await;
            let set = self.next(&wanted);
            let result = self.load(&set).await;
            if result.is_ok() {
                *loaded = set;
            }
            let loaded = RwLockWriteGuard::downgrade(loaded);
            // First: whoever wakes up and needs yet another set takes its turn.
            drop(loading);
            self.changed.send_replace(());
            result?;
            match Self::held(loaded, layer, values) {
                Some(held) => return Ok(held),
                None => bail!("a vector is not in the set that was made of it"),
            }
        }
    }

    fn held<'a>(
        loaded: RwLockReadGuard<'a, VectorSet>,
        layer: Layer,
        values: &[f32],
    ) -> Option<Held<'a>> {
        let slot = loaded.slot_of(layer, values)?;
        Some(Held { loaded, slot })
    }

    /// This vector, and others that wait, as far as there is room.
    fn next(&self, wanted: &Wanted) -> VectorSet {
        let mut waiting = self.waiting();
        let mut chosen = vec![wanted.clone()];
        waiting.retain(|other| {
            let is_chosen = chosen.contains(other);
            if !is_chosen && chosen.len() < self.slots {
                chosen.push(other.clone());
                return false;
            }
            !is_chosen
        });
        VectorSet::new(self.hidden, chosen.iter().map(|(layer, values)| (*layer, values)))
    }

    async fn load(&self, set: &VectorSet) -> Result<()> {
        let mut states = self.link.watch();
        self.link.load(set);
        let told = states.wait_for(|state| {
            state.hello.is_none() || state.loaded.as_ref().is_some_and(|it| it.set == set.number)
        });
        let told = match tokio::time::timeout(LOADING, told).await {
            Ok(Ok(state)) => state.loaded.clone(),
            Ok(Err(_)) | Err(_) => bail!("the plugin in vLLM takes no vectors: see vLLM's log"),
        };
        match told {
            None => bail!("the plugin in vLLM is gone: start vLLM again, then this command"),
            Some(loaded) => match loaded.error {
                None => Ok(()),
                Some(error) => bail!("the plugin in vLLM refuses vectors: {error}"),
            },
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Wanted>> {
        // What it holds is valid after each statement.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
