//! What the sidecars of all workloads reported, and the `PersonaReport`s that say so.

pub(crate) mod identity;
pub(crate) mod intake;
mod ledger;
pub(crate) mod report;
mod workload;

pub(crate) use workload::resolve_owner;

use crate::context::{Context, Key, Scope};
use crate::events::Notice;
use crate::metrics::TraitOfWorkload;
use crate::pods::{Owner, PodView};
use crate::reconcile::{Done, Failed};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Resource as _, ResourceExt};
use ledger::{Ledger, NewBreach};
use personaguard_api::conditions::condition;
use personaguard_api::{
    API_VERSION, Action, Digest, PersonaReport, PersonaReportStatus, PodCounts, TraitScores,
    WorkloadReference, names,
};
use personaguard_wire::{Sample, SidecarReport};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Between two writes of a report in which only counts changed.
const WRITE_EVERY: Duration = Duration::from_secs(10);
/// How long a report that somebody deleted stays away.
const MOURNING: Duration = Duration::from_secs(5);
/// Event reason of a breach.
const TRAIT_BREACHED: &str = condition::TRAIT_BREACHED;
/// Breaches of one workload for which events wait to be published; more are counted and in the
/// report.
const MAX_PENDING: usize = 16;

/// Namespace and name of a `PersonaReport`.
type ReportName = (String, String);

/// Everything that sidecars reported, by workload.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    workloads: BTreeMap<ReportName, Workload>,
    /// Workload of each controller of pods, by the controller's UID.
    owners: HashMap<String, WorkloadReference>,
    /// When this process began to listen: until some time after, nobody is silent.
    since: Option<Instant>,
}

#[derive(Debug)]
struct Workload {
    reference: WorkloadReference,
    ledger: Ledger,
    /// Something other than counts changed since the last write.
    urgent: bool,
    written: Option<Instant>,
    /// Whether its report was ever there, and since when it is missing.
    was_there: bool,
    missing: Option<Instant>,
    /// Last push of each pod, by UID.
    heard: HashMap<String, Instant>,
    pending: Vec<NewBreach>,
}

impl Workload {
    fn new(reference: WorkloadReference, ledger: Ledger) -> Self {
        Self {
            reference,
            ledger,
            urgent: false,
            written: None,
            was_there: false,
            missing: None,
            heard: HashMap::new(),
            pending: Vec::new(),
        }
    }
}

impl Fleet {
    /// Takes up what a leader before this one knew.
    pub(crate) fn restore(&self, report: &PersonaReport) {
        let name = (report.namespace().unwrap_or_default(), report.name_any());
        let ledger = Ledger::from_status(&report.status.clone().unwrap_or_default());
        let mut inner = self.lock();
        inner.since.get_or_insert_with(Instant::now);
        let reference = report.spec.workload.clone();
        inner
            .workloads
            .entry(name)
            .or_insert_with(|| Workload { was_there: true, ..Workload::new(reference, ledger) });
    }

    /// Takes a push in; says which keys are due because of it.
    fn take(
        &self,
        pod: &PodView,
        workload: &WorkloadReference,
        report: &SidecarReport,
    ) -> Vec<Key> {
        let name = (pod.namespace.clone(), names::report(&workload.kind, &workload.name));
        let mut inner = self.lock();
        inner.since.get_or_insert_with(Instant::now);
        let entry = inner
            .workloads
            .entry(name.clone())
            .or_insert_with(|| Workload::new(workload.clone(), Ledger::default()));
        // A workload of the same name that was made anew.
        entry.reference = workload.clone();
        let was_silent = entry
            .heard
            .insert(pod.uid.clone(), Instant::now())
            .is_none_or(|last| last.elapsed() > report::SILENT_AFTER);
        let taken = entry.ledger.take(&pod.name, &pod.uid, report, Timestamp::now());
        entry.urgent |= taken.state
            || taken.breach_counted
            || taken.drift
            || !taken.breaches.is_empty()
            || was_silent;
        let mut keys = Vec::new();
        if taken.counts || taken.state || was_silent {
            keys.push(Key::Report(name.0, name.1));
        }
        if taken.state || !taken.breaches.is_empty() {
            let model = pod.sidecar.clone().unwrap_or_default();
            keys.push(Key::Scope(Scope { namespace: pod.namespace.clone(), model: model.clone() }));
            if taken.state {
                keys.push(Key::Model(model));
            }
        }
        let room = MAX_PENDING.saturating_sub(entry.pending.len());
        entry.pending.extend(taken.breaches.into_iter().take(room));
        keys
    }

    /// The pod is gone for good; says whose report that changes.
    pub(crate) fn retire(&self, namespace: &str, uid: &str) -> Option<Key> {
        let mut inner = self.lock();
        let mut entries = inner.workloads.iter_mut().filter(|((within, _), _)| within == namespace);
        let (name, workload) = entries.find(|(_, workload)| workload.ledger.pod(uid).is_some())?;
        workload.ledger.retire(uid);
        workload.heard.remove(uid);
        workload.urgent = true;
        Some(Key::Report(name.0.clone(), name.1.clone()))
    }

    /// Pods of which something is known: namespace and UID.
    pub(crate) fn known_pods(&self) -> Vec<(String, String)> {
        let inner = self.lock();
        let pods = inner.workloads.iter().flat_map(|((namespace, _), workload)| {
            workload.ledger.pods().map(|pod| (namespace.clone(), pod.uid.clone()))
        });
        pods.collect()
    }

    /// Last report of each pod of a namespace, by UID.
    pub(crate) fn reports_within(&self, namespace: &str) -> BTreeMap<String, PodCounts> {
        let inner = self.lock();
        let within = inner.workloads.iter().filter(|((within, _), _)| within == namespace);
        within
            .flat_map(|(_, workload)| workload.ledger.pods())
            .map(|pod| (pod.uid.clone(), pod.clone()))
            .collect()
    }

    /// Scores of each workload of a namespace, by `Kind/name`.
    pub(crate) fn scores_within(&self, namespace: &str) -> BTreeMap<String, Vec<TraitScores>> {
        let inner = self.lock();
        let within = inner.workloads.iter().filter(|((within, _), _)| within == namespace);
        within.map(|(_, workload)| (title(&workload.reference), workload.ledger.traits())).collect()
    }

    /// What was sampled of a trait under a basis, by all workloads of a namespace.
    pub(crate) fn sample(
        &self,
        namespace: &str,
        policy: &str,
        vector: &str,
        basis: &Digest,
    ) -> Sample {
        let inner = self.lock();
        let within = inner.workloads.iter().filter(|((within, _), _)| within == namespace);
        let mut all = Sample::new(basis.clone());
        within.for_each(|(_, workload)| all.merge(&workload.ledger.sample(policy, vector, basis)));
        all
    }

    /// Last report of each sidecar of a model, with its namespace.
    pub(crate) fn sidecars_of(&self, model: &str) -> Vec<(String, PodCounts)> {
        let inner = self.lock();
        let all = inner.workloads.iter().flat_map(|((namespace, _), workload)| {
            workload
                .ledger
                .pods()
                .filter(|pod| pod.model == model)
                .map(|pod| (namespace.clone(), pod.clone()))
        });
        all.collect()
    }

    /// Reports of a namespace.
    pub(crate) fn reports_of(&self, namespace: &str) -> Vec<Key> {
        let inner = self.lock();
        let within = inner.workloads.keys().filter(|(within, _)| within == namespace);
        within.map(|(namespace, name)| Key::Report(namespace.clone(), name.clone())).collect()
    }

    pub(crate) fn owner_known(&self, owner: &Owner) -> bool {
        self.lock().owners.contains_key(&owner.uid)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each method leaves the maps valid after each statement.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `Deployment/chat`.
fn title(workload: &WorkloadReference) -> String {
    format!("{}/{}", workload.kind, workload.name)
}

/// What is needed to write one report.
struct Snapshot {
    reference: WorkloadReference,
    ledger: Ledger,
    urgent: bool,
    since_write: Option<Duration>,
    guarded_pods: BTreeSet<String>,
    silent_pods: BTreeSet<String>,
    pending: Vec<NewBreach>,
}

impl Fleet {
    /// Takes the pending breaches out; [`Fleet::written`] must follow.
    fn snapshot(&self, name: &ReportName, pods: &[std::sync::Arc<PodView>]) -> Option<Snapshot> {
        let mut inner = self.lock();
        let Inner { workloads, owners, since } = &mut *inner;
        let workload = workloads.get_mut(name)?;
        let listening = since.map(|since| since.elapsed()).unwrap_or_default();
        let mine = |pod: &&std::sync::Arc<PodView>| {
            let owner = pod.owner.as_ref().and_then(|owner| owners.get(&owner.uid));
            let same = owner.is_some_and(|owner| owner.uid == workload.reference.uid)
                || pod.uid == workload.reference.uid;
            pod.sidecar.is_some() && !pod.terminating && same
        };
        let guarded: Vec<_> = pods.iter().filter(mine).collect();
        // A pod that has never reported may be loading its weights; that it does not serve shows
        // elsewhere.
        let silent =
            guarded.iter().filter(|pod| workload.ledger.pod(&pod.uid).is_some()).filter(|pod| {
                workload.heard.get(&pod.uid).map_or(listening, Instant::elapsed)
                    > report::SILENT_AFTER
            });
        Some(Snapshot {
            reference: workload.reference.clone(),
            ledger: workload.ledger.clone(),
            urgent: std::mem::take(&mut workload.urgent),
            since_write: workload.written.map(|written| written.elapsed()),
            silent_pods: silent.map(|pod| pod.name.clone()).collect(),
            guarded_pods: guarded.iter().map(|pod| pod.name.clone()).collect(),
            pending: std::mem::take(&mut workload.pending),
        })
    }

    fn written(&self, name: &ReportName) {
        if let Some(workload) = self.lock().workloads.get_mut(name) {
            workload.written = Some(Instant::now());
            workload.was_there = true;
            workload.missing = None;
        }
    }

    /// The write failed: what was taken out is due again.
    fn put_back(&self, name: &ReportName, pending: Vec<NewBreach>) {
        if let Some(workload) = self.lock().workloads.get_mut(name) {
            workload.urgent = true;
            workload.pending.splice(0..0, pending);
        }
    }

    /// Time left in which a report that was there and is missing is not made anew: it may have gone
    /// with its workload, whose pods go a moment later.
    fn mourning(&self, name: &ReportName) -> Option<Duration> {
        let mut inner = self.lock();
        let workload = inner.workloads.get_mut(name).filter(|workload| workload.was_there)?;
        let passed = workload.missing.get_or_insert_with(Instant::now).elapsed();
        MOURNING.checked_sub(passed).filter(|left| !left.is_zero())
    }

    fn forget(&self, name: &ReportName) -> Option<WorkloadReference> {
        self.lock().workloads.remove(name).map(|workload| workload.reference)
    }
}

/// Brings a `PersonaReport` up to date, and tells people of new breaches.
pub(crate) async fn reconcile(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Done, Failed> {
    let key = (namespace.to_owned(), name.to_owned());
    let Some(mut snapshot) = context.fleet.snapshot(&key, &context.world.pods.within(namespace))
    else {
        return Ok(Done::idle("Deleted"));
    };
    let pending = std::mem::take(&mut snapshot.pending);
    match update(context, &key, &snapshot).await {
        Ok(again) => {
            announce(context, namespace, &snapshot.reference, &pending).await;
            Ok(Done { outcome: "Reported".to_owned(), again })
        }
        Err(error) => {
            context.fleet.put_back(&key, pending);
            Err(error)
        }
    }
}

async fn update(
    context: &Context,
    key: &ReportName,
    snapshot: &Snapshot,
) -> Result<Option<Duration>, Failed> {
    let (namespace, name) = key;
    let there = context.world.reports.get(namespace, name);
    if there.is_none()
        && !snapshot.ledger.pods().any(|pod| snapshot.guarded_pods.contains(&pod.name))
    {
        // The workload went, and its report with it.
        if let Some(reference) = context.fleet.forget(key) {
            context.metrics.workload_gone(namespace, &title(&reference));
        }
        return Ok(None);
    }
    if let Some(left) = there.is_none().then(|| context.fleet.mourning(key)).flatten() {
        return Ok(Some(left));
    }
    let mut policies = context.world.policies.within(namespace);
    policies.retain(|policy| policy.metadata.deletion_timestamp.is_none());
    let before = there.as_ref().and_then(|report| report.status.as_ref());
    let (status, next) = report::status(&report::Observation {
        workload: &snapshot.reference,
        ledger: &snapshot.ledger,
        policies: &policies,
        guarded_pods: snapshot.guarded_pods.clone(),
        silent_pods: snapshot.silent_pods.clone(),
        before,
        now: Timestamp::now(),
    });
    count(context, namespace, snapshot);
    // Silence is no event: somebody has to look.
    let look =
        (snapshot.guarded_pods.len() > snapshot.silent_pods.len()).then_some(report::SILENT_AFTER);
    let again = next.into_iter().chain(look).min();
    let owner_changed =
        there.as_ref().is_none_or(|report| report.spec.workload != snapshot.reference);
    if before.is_some_and(|before| report::same(before, &status)) && !owner_changed {
        return Ok(again);
    }
    let only_counts =
        !snapshot.urgent && before.is_some_and(|before| before.conditions == status.conditions);
    if let Some(wait) = snapshot
        .since_write
        .and_then(|passed| WRITE_EVERY.checked_sub(passed))
        .filter(|_| only_counts)
    {
        return Ok(Some(wait));
    }
    let api: Api<PersonaReport> = Api::namespaced(context.cluster.client.clone(), namespace);
    if owner_changed {
        let object = json!({
            "apiVersion": API_VERSION, "kind": "PersonaReport",
            "metadata": { "name": name, "namespace": namespace, "ownerReferences": [{
                "apiVersion": snapshot.reference.api_version, "kind": snapshot.reference.kind,
                "name": snapshot.reference.name, "uid": snapshot.reference.uid
            }] },
            "spec": { "workload": snapshot.reference }
        });
        context.cluster.apply(&api, name, &object).await?;
    }
    let patch = json!({
        "apiVersion": API_VERSION, "kind": "PersonaReport", "metadata": { "name": name, "namespace": namespace }, "status": status
    });
    match context.cluster.apply_status(&api, name, &patch).await {
        Ok(written) => context.world.reports.absorb(written, Some),
        // It went with its workload a moment ago; the watch will say so.
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    context.fleet.written(key);
    if let Some(moved) = newly_drifting(before, &status) {
        let notice = Notice::warning(&moved.reason, "Measure", moved.message.clone());
        context.events.publish(&notice, &about(namespace, &snapshot.reference)).await;
    }
    Ok(again)
}

/// The condition `DriftDetected`, if it has just become True.
fn newly_drifting<'a>(
    before: Option<&PersonaReportStatus>,
    after: &'a PersonaReportStatus,
) -> Option<&'a Condition> {
    let is = |condition: &&Condition| {
        condition.type_ == condition::DRIFT_DETECTED && condition.status == "True"
    };
    let known =
        before.is_some_and(|before| before.conditions.iter().any(|condition| is(&condition)));
    after.conditions.iter().find(is).filter(|_| !known)
}

fn about(namespace: &str, workload: &WorkloadReference) -> ObjectReference {
    ObjectReference {
        api_version: Some(workload.api_version.clone()),
        kind: Some(workload.kind.clone()),
        name: Some(workload.name.clone()),
        namespace: Some(namespace.to_owned()),
        uid: Some(workload.uid.clone()),
        ..ObjectReference::default()
    }
}

fn count(context: &Context, namespace: &str, snapshot: &Snapshot) {
    let workload = title(&snapshot.reference);
    context.metrics.silent_pods(namespace, &workload, snapshot.silent_pods.len());
    for scores in snapshot.ledger.traits() {
        let labels = TraitOfWorkload {
            namespace: namespace.to_owned(),
            workload: workload.clone(),
            policy: scores.policy,
            r#trait: scores.vector,
        };
        context.metrics.scores(
            labels,
            scores.breaches,
            scores.drift.is_some_and(|charts| charts.detected),
        );
    }
}

/// Events on the workload and on the policy. Action `Audit` records and tells nobody.
async fn announce(
    context: &Context,
    namespace: &str,
    workload: &WorkloadReference,
    breaches: &[NewBreach],
) {
    if !breaches.is_empty() {
        context.alerts.ring();
    }
    for breach in breaches.iter().filter(|breach| breach.action >= Action::Alert) {
        let note = format!(
            "{} in {} under policy {} (pod {}, response {}).",
            report::compared(&breach.vector, &breach.at),
            title(workload),
            breach.policy,
            breach.pod,
            breach.at.response_id
        );
        let notice = Notice::warning(TRAIT_BREACHED, "Measure", note);
        context.events.publish(&notice, &about(namespace, workload)).await;
        if let Some(policy) = context.world.policies.get(namespace, &breach.policy) {
            context.events.publish(&notice, &policy.object_ref(&())).await;
        }
        tracing::info!(
            namespace,
            workload = title(workload),
            policy = breach.policy,
            vector = breach.vector,
            score = breach.at.score,
            threshold = breach.at.threshold,
            "a trait is past its threshold"
        );
    }
}
