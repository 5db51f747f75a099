//! What the sidecars of all workloads reported, in memory. Its readers' part is in `queries`.

use super::counts::{Contested, NewBreach, WorkloadCounts};
use super::given_policies::GivenPolicies;
use super::owners::Owners;
use super::workload::report_name;
use super::workload_state::{Snapshot, WorkloadState};
use crate::keys::{Key, ObjectName, Owner, Scope};
use crate::objects::PodView;
use kube::Client;
use personaguard_api::{PersonaReport, PersonaReportStatus, WorkloadReference};
use personaguard_wire::SidecarReport;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Shared by those who receive reports and those who read them.
pub(crate) struct Fleet {
    owners: Owners,
    inner: Mutex<Inner>,
    breach_announced: watch::Sender<()>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    /// By the name of the `PersonaReport`.
    pub(super) workloads: BTreeMap<ObjectName, WorkloadState>,
    /// What sidecars can report of, where that is known.
    given: BTreeMap<Scope, GivenPolicies>,
    /// When this process began to receive reports. For a while after that, no pod is silent.
    listening_since: Option<Instant>,
}

impl Fleet {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            owners: Owners::new(client),
            inner: Mutex::default(),
            breach_announced: watch::Sender::new(()),
        }
    }

    /// Takes over what a former leader wrote, once.
    pub(crate) fn restore(&self, report: &PersonaReport) {
        let status = report.status.clone().unwrap_or_default();
        let mut inner = self.lock();
        inner.listening_since.get_or_insert_with(Instant::now);
        match inner.workloads.entry(ObjectName::of(report)) {
            Entry::Occupied(mut known) => known.get_mut().restore(&status),
            Entry::Vacant(new) => {
                let counts = WorkloadCounts::from_status(&status);
                new.insert(WorkloadState::restored(report.spec.workload.clone(), counts));
            }
        }
    }

    pub(crate) async fn workload_of(&self, pod: &PodView) -> kube::Result<WorkloadReference> {
        self.owners.workload_of(pod).await
    }

    pub(crate) async fn workload_behind(
        &self,
        namespace: &str,
        owner: &Owner,
    ) -> kube::Result<WorkloadReference> {
        self.owners.workload_behind(namespace, owner).await
    }

    pub(crate) fn owner_is_known(&self, owner: &Owner) -> bool {
        self.owners.is_known(owner)
    }

    /// What the sidecars of a scope can report of; `None` if that cannot be told.
    pub(crate) fn give(&self, scope: &Scope, given: Option<GivenPolicies>) {
        let mut inner = self.lock();
        match given {
            Some(given) => drop(inner.given.insert(scope.clone(), given)),
            None => drop(inner.given.remove(scope)),
        }
    }

    /// Records a push and returns the keys that are due because of it, and when. `own_address`: it
    /// came from an address of the pod.
    pub(crate) fn record(
        &self,
        pod: &PodView,
        own_address: bool,
        workload: &WorkloadReference,
        report: &SidecarReport,
    ) -> Result<Vec<(Key, Instant)>, Contested> {
        let name = report_name(&pod.namespace, workload);
        let model = pod.sidecar.clone().unwrap_or_default();
        let scope = Scope { namespace: pod.namespace.clone(), model: model.clone() };
        let inner = &mut *self.lock();
        let now = Instant::now();
        inner.listening_since.get_or_insert(now);
        let state = inner
            .workloads
            .entry(name.clone())
            .or_insert_with(|| WorkloadState::new(workload.clone()));
        // It may be a new workload of the same name.
        state.reference = workload.clone();
        let given = inner.given.get(&scope);
        let part = given.map(|it| it.part_of(report, pod, state.counts.pod(&pod.uid)));
        let due = state.record(pod, own_address, part.as_deref().unwrap_or(report))?;
        let later = now + due.beyond_workload_in;
        let keys = [
            due.report.then_some((Key::Report(name), now)),
            due.policies.then_some((Key::Scope(scope), later)),
            due.model.then_some((Key::Model(model), later)),
        ];
        Ok(keys.into_iter().flatten().collect())
    }

    /// Retires a pod that is gone. Returns the report that changes, if the pod was known.
    pub(crate) fn retire_pod(&self, namespace: &str, uid: &str) -> Option<Key> {
        let mut inner = self.lock();
        let (name, state) = inner
            .workloads
            .iter_mut()
            .filter(|(name, _)| name.namespace == namespace)
            .find(|(_, state)| state.counts.pod(uid).is_some())?;
        state.retire_pod(uid);
        Some(Key::Report(name.clone()))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each method leaves the maps valid after each statement.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the controller of `PersonaReport`s.
impl Fleet {
    /// Takes out what one write of a report needs. Call [`Fleet::written`] or [`Fleet::put_back`]
    /// afterwards.
    pub(super) fn snapshot(&self, name: &ObjectName, pods: &[Arc<PodView>]) -> Option<Snapshot> {
        let mut inner = self.lock();
        let listening = inner.listening_since.map(|since| since.elapsed()).unwrap_or_default();
        let state = inner.workloads.get_mut(name)?;
        let belongs = |pod: &&Arc<PodView>| {
            let workload = self.owners.known_workload(pod);
            let same = workload.is_some_and(|workload| workload.uid == state.reference.uid);
            pod.sidecar.is_some() && !pod.terminating && same
        };
        let sidecar_pods: Vec<_> = pods.iter().filter(belongs).collect();
        Some(state.snapshot(&sidecar_pods, listening))
    }

    pub(super) fn announced(&self, name: &ObjectName, status: &PersonaReportStatus) {
        if let Some(state) = self.lock().workloads.get_mut(name) {
            state.announced(&status.conditions);
        }
    }

    pub(super) fn written(&self, name: &ObjectName) {
        if let Some(state) = self.lock().workloads.get_mut(name) {
            state.written();
        }
    }

    /// Whether a report may be written now, and if not, after how long.
    pub(super) fn spend_write(&self, name: &ObjectName) -> Result<(), Duration> {
        match self.lock().workloads.get_mut(name) {
            Some(state) => state.spend_write(),
            None => Ok(()),
        }
    }

    pub(super) fn put_back(&self, name: &ObjectName, unannounced: Vec<NewBreach>) {
        if let Some(state) = self.lock().workloads.get_mut(name) {
            state.put_back(unannounced);
        }
    }

    pub(super) fn recreate_grace(&self, name: &ObjectName) -> Option<Duration> {
        self.lock().workloads.get_mut(name)?.recreate_grace()
    }

    pub(super) fn forget(&self, name: &ObjectName) -> Option<WorkloadReference> {
        self.lock().workloads.remove(name).map(|state| state.reference)
    }

    /// Notified when new breaches were announced.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.breach_announced.subscribe()
    }

    pub(super) fn notify_breach(&self) {
        self.breach_announced.send_replace(());
    }
}
