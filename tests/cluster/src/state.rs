//! The recorded state of a cluster, by which later commands find it, and leftovers can be removed.

use crate::network::Addresses;
use crate::paths::Layout;
use crate::process::ProcessId;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `state.json` in the cluster's folder. It is written after each change, before the next step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) addresses: Addresses,
    /// First process of the namespaces. All other processes in them end with it.
    pub(crate) holder: Option<ProcessId>,
    /// Processes in the namespaces, by name.
    pub(crate) processes: BTreeMap<String, ProcessId>,
    /// SHA-256 of the archive of each imported image, by reference.
    pub(crate) images: BTreeMap<String, String>,
    /// Whether the node was ready at some time.
    pub(crate) complete: bool,
}

impl State {
    pub(crate) fn new(addresses: Addresses) -> Self {
        Self {
            addresses,
            holder: None,
            processes: BTreeMap::new(),
            images: BTreeMap::new(),
            complete: false,
        }
    }

    /// Reads the state. `None` if there is none, or it is incomplete.
    pub(crate) fn read(layout: &Layout) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(layout.join("state.json")).ok()?).ok()
    }

    pub(crate) fn write(&self, layout: &Layout) -> Result<()> {
        let new = layout.join("state.json.new");
        std::fs::write(&new, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(new, layout.join("state.json")).context("writing the cluster's state")
    }
}
