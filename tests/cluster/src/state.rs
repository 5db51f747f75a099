//! What is recorded of a cluster, so that a later command finds it and a killed one's leftovers can
//! be cleared.

use crate::network::Addresses;
use crate::paths::Layout;
use crate::process::ProcessId;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `state.json` in the cluster's folder; written after every change, before the next step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) addresses: Addresses,
    /// First process of the namespaces; everything in them ends with it.
    pub(crate) holder: Option<ProcessId>,
    /// The processes started in them, by name.
    pub(crate) processes: BTreeMap<String, ProcessId>,
    /// Imported images: reference → SHA-256 of the archive.
    pub(crate) images: BTreeMap<String, String>,
    /// Whether the node has been ready once.
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

    /// Reads the state; `None` where there is none or it was cut off by a kill.
    pub(crate) fn read(layout: &Layout) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(layout.join("state.json")).ok()?).ok()
    }

    pub(crate) fn write(&self, layout: &Layout) -> Result<()> {
        let new = layout.join("state.json.new");
        std::fs::write(&new, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(new, layout.join("state.json")).context("writing the cluster's state")
    }
}
