//! Keeps `PersonaReport`s up to date, and publishes Events about new breaches and drift.

use super::audit_logs::pods_with_gaps;
use super::events::{announce_audit_log_gap, announce_breaches, announce_drift};
use super::state::Fleet;
use super::status::{StatusInputs, equivalent, status};
use super::workload::{display_name, report_name};
use super::workload_state::{SILENT_AFTER, Snapshot};
use crate::context::{Context, TraitLabels};
use crate::keys::{Key, ObjectName, Owner};
use crate::outcome::{Done, ReconcileError};
use jiff::Timestamp;
use kube::Api;
use personaguard_api::conditions::reason;
use personaguard_api::{API_VERSION, PersonaReport, PersonaReportStatus};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Between two writes of a report in which only counts changed.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);

pub(crate) struct Controller {
    context: Arc<Context>,
    fleet: Arc<Fleet>,
}

/// How an update ended.
struct Updated {
    requeue_after: Option<Duration>,
    /// There were too many: what is to be written and announced waits.
    postponed: bool,
}

impl Updated {
    fn checked_again(requeue_after: Option<Duration>) -> Self {
        Self { requeue_after, postponed: false }
    }
}

impl Controller {
    pub(crate) fn new(context: Arc<Context>, fleet: Arc<Fleet>) -> Self {
        Self { context, fleet }
    }

    /// Brings a `PersonaReport` up to date.
    pub(crate) async fn reconcile(&self, name: &ObjectName) -> Result<Done, ReconcileError> {
        let pods = self.context.stores.pods.within(&name.namespace);
        let Some(mut snapshot) = self.fleet.snapshot(name, &pods) else {
            return Ok(Done::until_change("Deleted"));
        };
        let breaches = std::mem::take(&mut snapshot.unannounced);
        let updated = self.update(name, &snapshot).await;
        let refused = updated.as_ref().is_err_and(ReconcileError::is_refused);
        let postponed = updated.as_ref().is_ok_and(|updated| updated.postponed);
        if postponed || (updated.is_err() && !refused) {
            self.fleet.put_back(name, breaches);
        } else {
            // People are told also while the report itself cannot be written.
            if !breaches.is_empty() {
                self.fleet.notify_breach();
            }
            announce_breaches(&self.context, &name.namespace, &snapshot.reference, &breaches).await;
            if refused {
                self.fleet.put_back(name, Vec::new());
            }
        }
        Ok(Done { reason: "Reported".to_owned(), requeue_after: updated?.requeue_after })
    }

    /// Looks up the workload of an owner none of whose pods has reported yet, so that the
    /// workload's report counts them.
    pub(crate) async fn resolve_owner(
        &self,
        namespace: &str,
        owner: &Owner,
    ) -> Result<Done, ReconcileError> {
        let workload = self.fleet.workload_behind(namespace, owner).await?;
        self.context.queue.push(Key::Report(report_name(namespace, &workload)));
        Ok(Done::until_change(reason::RESOLVED))
    }

    async fn update(
        &self,
        name: &ObjectName,
        snapshot: &Snapshot,
    ) -> Result<Updated, ReconcileError> {
        let reports = &self.context.stores.reports;
        if reports.unreadable(&name.namespace, &name.name).is_some() {
            // What a newer operator wrote must not be replaced by less.
            self.count(&name.namespace, snapshot);
            return Ok(Updated::checked_again(None));
        }
        let stored = reports.get(&name.namespace, &name.name);
        if stored.is_none() {
            let live = snapshot.counts.pods().any(|pod| snapshot.sidecar_pods.contains(&pod.name));
            if !live {
                self.forget(name);
                return Ok(Updated::checked_again(None));
            }
            if let Some(left) = self.fleet.recreate_grace(name) {
                return Ok(Updated::checked_again(Some(left)));
            }
        }
        let before = stored.as_ref().and_then(|report| report.status.as_ref());
        let (status, changes_in) = self.status(name, snapshot, before);
        self.count(&name.namespace, snapshot);
        let requeue_after = changes_in.into_iter().chain(silence_check(snapshot)).min();
        let same_workload =
            stored.as_ref().is_some_and(|report| report.spec.workload == snapshot.reference);
        if same_workload && before.is_some_and(|before| equivalent(before, &status)) {
            return Ok(Updated::checked_again(requeue_after));
        }
        if let Some(wait) = may_wait(snapshot, before, &status) {
            return Ok(Updated::checked_again(Some(wait)));
        }
        if let Err(wait) = self.fleet.spend_write(name) {
            return Ok(Updated { requeue_after: Some(wait), postponed: true });
        }
        let written = self.write(name, snapshot, &status, same_workload).await;
        // People are told also while the report itself cannot be written, once.
        if written.as_ref().err().is_none_or(ReconcileError::is_refused) {
            let (context, workload) = (&self.context, &snapshot.reference);
            let before = snapshot.announced.as_ref().or(before);
            announce_drift(context, &name.namespace, workload, before, &status).await;
            announce_audit_log_gap(context, &name.namespace, workload, before, &status).await;
            self.fleet.announced(name, &status);
        }
        written.map(|()| Updated::checked_again(requeue_after))
    }

    async fn write(
        &self,
        name: &ObjectName,
        snapshot: &Snapshot,
        status: &PersonaReportStatus,
        same_workload: bool,
    ) -> Result<(), ReconcileError> {
        let api: Api<PersonaReport> = self.context.cluster.namespaced(&name.namespace);
        if !same_workload {
            self.context.cluster.apply(&api, &name.name, &object(name, snapshot)).await?;
        }
        self.context.write_status(&api, &self.context.stores.reports, &name.name, status).await?;
        self.fleet.written(name);
        Ok(())
    }

    /// The workload is gone, and its report with it.
    fn forget(&self, name: &ObjectName) {
        if let Some(workload) = self.fleet.forget(name) {
            self.context.metrics.remove_workload(&name.namespace, &display_name(&workload));
        }
    }

    fn status(
        &self,
        name: &ObjectName,
        snapshot: &Snapshot,
        before: Option<&PersonaReportStatus>,
    ) -> (PersonaReportStatus, Option<Duration>) {
        let mut policies = self.context.stores.policies.within(&name.namespace);
        policies.retain(|policy| policy.metadata.deletion_timestamp.is_none());
        status(&StatusInputs {
            workload: &snapshot.reference,
            counts: &snapshot.counts,
            policies: &policies,
            sidecar_pods: &snapshot.sidecar_pods,
            silent_pods: &snapshot.silent_pods,
            contested_pods: &snapshot.contested_pods,
            before,
            forget_worst: snapshot.forget_worst,
            held: !self.context.stores.policies.unreadable_within(&name.namespace).is_empty(),
            now: Timestamp::now(),
        })
    }

    fn count(&self, namespace: &str, snapshot: &Snapshot) {
        let workload = display_name(&snapshot.reference);
        let metrics = &self.context.metrics;
        metrics.set_silent_pods(namespace, &workload, snapshot.silent_pods.len());
        let with_gaps = pods_with_gaps(snapshot.counts.pods()).count();
        metrics.set_audit_log_gaps(namespace, &workload, with_gaps);
        for scores in snapshot.counts.traits() {
            let drift = scores.drift.is_some_and(|charts| charts.detected);
            let labels = TraitLabels {
                namespace: namespace.to_owned(),
                workload: workload.clone(),
                policy: scores.policy,
                r#trait: scores.vector,
            };
            metrics.set_trait(labels, scores.breaches, drift);
        }
    }
}

/// Nothing happens when a pod falls silent, so reports are checked again after a while.
fn silence_check(snapshot: &Snapshot) -> Option<Duration> {
    (snapshot.sidecar_pods.len() > snapshot.silent_pods.len()).then_some(SILENT_AFTER)
}

/// For how long the write may wait, because only counts changed.
fn may_wait(
    snapshot: &Snapshot,
    before: Option<&PersonaReportStatus>,
    status: &PersonaReportStatus,
) -> Option<Duration> {
    if snapshot.write_now || before?.conditions != status.conditions {
        return None;
    }
    WRITE_INTERVAL.checked_sub(snapshot.since_write?)
}

/// The report without its status. It is owned by its workload.
fn object(name: &ObjectName, snapshot: &Snapshot) -> serde_json::Value {
    let workload = &snapshot.reference;
    let owner = json!({
        "apiVersion": workload.api_version, "kind": workload.kind,
        "name": workload.name, "uid": workload.uid
    });
    json!({
        "apiVersion": API_VERSION, "kind": "PersonaReport",
        "metadata": {
            "name": name.name, "namespace": name.namespace, "ownerReferences": [owner]
        },
        "spec": { "workload": workload }
    })
}
