//! Reconciles the policies of a scope.

use super::apply::apply;
use super::build::build;
use super::dereference::dereference;
use super::finalizer::{Withdrawals, add_finalizers, release_finalizers};
use super::memory::Memory;
use super::status::update_status;
use super::validate::validate;
use crate::certs::TrustBundle;
use crate::context::Context;
use crate::fleet::Fleet;
use crate::keys::Scope;
use crate::outcome::{Done, FailedWrites, ReconcileError};
use crate::vector::ArtifactCache;
use personaguard_api::conditions::reason;
use std::sync::Arc;

pub(crate) struct Controller {
    context: Arc<Context>,
    artifacts: Arc<ArtifactCache>,
    fleet: Arc<Fleet>,
    trust_bundle: TrustBundle,
    withdrawals: Withdrawals,
    memory: Memory,
}

impl Controller {
    pub(crate) fn new(
        context: Arc<Context>,
        artifacts: Arc<ArtifactCache>,
        fleet: Arc<Fleet>,
        trust_bundle: TrustBundle,
    ) -> Self {
        let (withdrawals, memory) = (Withdrawals::default(), Memory::default());
        Self { context, artifacts, fleet, trust_bundle, withdrawals, memory }
    }

    /// A write that fails keeps no other from being tried: status, Events and finalizers go on, and
    /// the status tells what was refused. All is tried again afterwards.
    pub(crate) async fn reconcile(&self, scope: &Scope) -> Result<Done, ReconcileError> {
        let Self { context, artifacts, fleet, trust_bundle, memory, .. } = self;
        let inputs = dereference(context, artifacts, fleet, trust_bundle, memory, scope).await?;
        let mut failed = FailedWrites::default();
        add_finalizers(context, &inputs, &mut failed).await?;
        let validated = validate(&inputs);
        fleet.give(scope, validated.given());
        let desired = build(&validated, inputs.config_map.as_deref());
        let built = match &desired {
            Ok(desired) => {
                apply(context, memory, &inputs, &validated, desired, &mut failed).await.map(Ok)?
            }
            Err(error) => Err(ReconcileError::Build(error.clone())),
        };
        let status_changes_in =
            update_status(context, fleet, &inputs, &validated, &mut failed).await?;
        let release_in =
            release_finalizers(context, &self.withdrawals, &inputs, &mut failed).await?;
        built?;
        failed.into_result()?;
        let rejection = validated.rejected.values().next();
        Ok(Done {
            reason: rejection.map_or(reason::RESOLVED, |rejection| rejection.reason).to_owned(),
            requeue_after: status_changes_in
                .into_iter()
                .chain(release_in)
                .chain(inputs.look_again)
                .min(),
        })
    }
}
