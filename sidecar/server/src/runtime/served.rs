//! What serves at one moment, by where its scores come from.

use super::active_model::ActiveModel;
use super::in_force::InForce;
use super::linked_model::LinkedModel;
use std::sync::Arc;

/// What serves, by where its scores come from.
#[derive(Clone, Debug)]
pub enum Served {
    /// Our own engine.
    Own(Arc<ActiveModel>),
    /// The plugin in the user's engine.
    Linked(Arc<LinkedModel>),
}

impl Served {
    /// What is measured and enforced.
    #[must_use]
    pub fn in_force(&self) -> &InForce {
        match self {
            Self::Own(active) => &active.in_force,
            Self::Linked(linked) => &linked.in_force,
        }
    }
}
