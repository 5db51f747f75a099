//! The record of a cluster, by which a later command finds it and can remove what a killed command
//! left.

use crate::network::Addresses;
use crate::paths::Layout;
use crate::process::ProcessId;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `state.json` in the cluster's folder, written after every change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) addresses: Addresses,
    /// The first process of the namespaces. Everything in them ends with it.
    pub(crate) init: Option<ProcessId>,
    /// The processes of the cluster, by name.
    pub(crate) processes: BTreeMap<String, ProcessId>,
    /// The SHA-256 of each imported image's archive, by the image's reference.
    pub(crate) images: BTreeMap<String, String>,
    /// Whether the cluster has been up once.
    pub(crate) complete: bool,
}

impl State {
    pub(crate) fn new(addresses: Addresses) -> Self {
        Self {
            addresses,
            init: None,
            processes: BTreeMap::new(),
            images: BTreeMap::new(),
            complete: false,
        }
    }

    /// Reads the state. `None` if there is none, or a kill cut it off.
    pub(crate) fn read(layout: &Layout) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(layout.join("state.json")).ok()?).ok()
    }

    pub(crate) fn write(&self, layout: &Layout) -> Result<()> {
        let new = layout.join("state.json.new");
        std::fs::write(&new, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(new, layout.join("state.json")).context("writing the cluster's state")
    }
}
