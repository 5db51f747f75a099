//! A `PersonaVector`: its file is imported, or extracted by a Job. It is ready when it fits its
//! model and discriminates.

mod artifact;
mod artifact_cache;
mod controller;
mod extraction;
mod job;
mod progress;
mod source;
mod status;

#[cfg(test)]
pub(crate) use artifact::Artifact;
pub(crate) use artifact_cache::{ArtifactCache, CheckedArtifact};
pub(crate) use controller::{Controller, DeliveryError};
pub(crate) use progress::PodRole;
pub(crate) use source::{extraction_digest, model_not_found};
