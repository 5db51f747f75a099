//! What a sidecar pushes to the operator: cumulative and content-free, so that a lost push or a new
//! leader loses nothing.
//!
//! `POST https://…:8443/v1/reports` with `Authorization: Bearer <projected token>`. Whose report it
//! is follows from the token alone, which process of the pod's sidecar made it from the signature
//! ([`KEY_HEADER`](crate::KEY_HEADER)). Responses: 204 accepted; 400 malformed; 401 the token or
//! the signature is not valid; 403 it is not a pod's token; 409 another process of the same
//! container reports; 410 the pod is gone; 413 too large; 503 with Retry-After: not the leader, or
//! overloaded.

use crate::acknowledgement::{Failure, PolicyAcknowledgement};
use crate::audit_log::AuditLog;
use crate::connections::Connections;
use crate::invalid::Invalid;
use crate::limits::{
    MAX_ID, MAX_MESSAGE, MAX_NAME, MAX_POLICIES, MAX_SAMPLES, MAX_TRAITS, all_differ, is_count,
    is_name,
};
use crate::scores::TraitSummary;
use personaguard_terms::Digest;
use serde::{Deserialize, Serialize};

/// One push.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SidecarReport {
    /// Id of the sidecar process, see [`crate::instance_of`]. Counts start from zero with each.
    pub instance: String,
    /// Increases with each push of a process.
    pub sequence: u64,
    /// The model, and whether it is served.
    pub model: ModelObservation,
    /// Policies that select this pod, as they are enforced now.
    pub policies: Vec<PolicyAcknowledgement>,
    /// Why the current config folder cannot be applied, if it cannot. The config before it stays in
    /// force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_error: Option<String>,
    /// Counts since the process started.
    pub totals: Totals,
    /// Connections of the pod that did not pass this sidecar.
    #[serde(default, skip_serializing_if = "Connections::is_empty")]
    pub connections: Connections,
    /// Scores since the process started, also of policies that are gone.
    pub traits: Vec<TraitSummary>,
    /// Where the audit log stands, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_log: Option<AuditLog>,
}

/// The model, and whether it is served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelObservation {
    /// Name of the `PersonaModel`.
    pub name: String,
    /// State of the sidecar.
    pub state: PodState,
    /// Digest of the weight file that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Why the model is not served, in state `Failed`; in state `Loading`, how far its weights have
    /// been fetched, while they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// State of a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodState {
    /// It is loading the weights.
    Loading,
    /// It serves.
    Ready,
    /// It cannot serve.
    Failed,
}

/// Counts of responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Responses that ended, in whatever way.
    pub responses: u64,
    /// Responses with at least one trait past its threshold.
    pub breaches: u64,
    /// Responses that were stopped.
    pub blocked: u64,
    /// Responses that left unscored.
    pub unguarded: u64,
    /// Steered responses that were incoherent.
    #[serde(default)]
    pub incoherent: u64,
}

impl SidecarReport {
    /// Checks everything that a stranger could have put in: that names are names, that scores are
    /// numbers, and that nothing is longer than it can be.
    ///
    /// # Errors
    /// If no sidecar would send it.
    pub fn validate(&self) -> Result<(), Invalid> {
        if !is_name(&self.instance, MAX_ID) {
            return Err(Invalid::Instance);
        }
        if self.policies.len() > MAX_POLICIES || self.traits.len() > MAX_TRAITS {
            return Err(Invalid::TooManyEntries);
        }
        let policies = self.policies.iter().map(|policy| &policy.name);
        let traits = self.traits.iter().map(|scores| (&scores.policy, &scores.vector));
        if !all_differ(policies) || !all_differ(traits) {
            return Err(Invalid::Repeated);
        }
        let Totals { responses, breaches, blocked, unguarded, incoherent } = self.totals;
        let Connections { app, past_sidecar } = self.connections;
        let totals = [responses, breaches, blocked, unguarded, incoherent];
        if !totals.into_iter().chain([app, past_sidecar, self.sequence]).all(is_count) {
            return Err(Invalid::Count);
        }
        if self.traits.iter().filter(|scores| scores.sample.is_some()).count() > MAX_SAMPLES {
            return Err(Invalid::TooManySamples);
        }
        let error = self.config_error.as_ref();
        if self.model.name.len() > MAX_NAME || error.is_some_and(|it| it.len() > MAX_MESSAGE) {
            return Err(Invalid::TooLong);
        }
        if self.model.failure.as_ref().is_some_and(|failure| !failure.is_bounded()) {
            return Err(Invalid::Failure);
        }
        self.audit_log.as_ref().map_or(Ok(()), AuditLog::validate)?;
        self.policies.iter().try_for_each(PolicyAcknowledgement::validate)?;
        self.traits.iter().try_for_each(TraitSummary::validate)
    }
}

#[cfg(test)]
mod tests;
