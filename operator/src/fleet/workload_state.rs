//! What is known of one workload between two writes of its `PersonaReport`.

use super::budget::Budget;
use super::contest::Contest;
use super::counts::{Contested, NewBreach, Origin, Process, WorkloadCounts};
use crate::objects::PodView;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use personaguard_api::{PersonaReportStatus, WorkloadReference};
use personaguard_wire::SidecarReport;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A sidecar reports at least every 30 s. One that has not for so long is silent.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(95);
/// For how long a deleted report is not recreated.
const RECREATE_GRACE: Duration = Duration::from_secs(5);
/// Breaches of one workload that wait for their Event. Further ones are only counted.
const MAX_UNANNOUNCED: usize = 16;

#[derive(Debug)]
pub(super) struct WorkloadState {
    pub(super) reference: WorkloadReference,
    pub(super) counts: WorkloadCounts,
    /// More than counts changed since the last write.
    write_now: bool,
    written: Option<Instant>,
    /// Its report has existed at some time, and the counts include what it said then.
    report_existed: bool,
    /// Since when its report is missing.
    missing_since: Option<Instant>,
    /// Time of the last push of each pod, by UID.
    last_seen: HashMap<String, Instant>,
    /// Pushes of another process than the one that is believed, by the pod's UID.
    contests: HashMap<String, Contest>,
    /// New breaches without an Event.
    unannounced: Vec<NewBreach>,
    /// What people were last told of.
    announced: Option<PersonaReportStatus>,
    /// While there was no report: the processes that have reported.
    counted: BTreeSet<Process>,
    /// Processes that are not believed any more, since the last write: the worst score so far may
    /// be one of theirs.
    displaced: bool,
    /// Of writes of its report.
    writes: Budget,
    /// Of changes that concern more than the workload, by the pod's UID.
    changes: HashMap<String, Budget>,
}

/// What needs to be reconciled because of a push.
pub(super) struct Due {
    pub(super) report: bool,
    /// The policies of the pod's scope.
    pub(super) policies: bool,
    pub(super) model: bool,
    /// After how long policies and model are due.
    pub(super) beyond_workload_in: Duration,
}

/// What is needed to write one report.
pub(super) struct Snapshot {
    pub(super) reference: WorkloadReference,
    pub(super) counts: WorkloadCounts,
    pub(super) write_now: bool,
    pub(super) forget_worst: bool,
    pub(super) since_write: Option<Duration>,
    /// Names of pods with a sidecar, and of those that are silent.
    pub(super) sidecar_pods: BTreeSet<String>,
    pub(super) silent_pods: BTreeSet<String>,
    /// Names of pods for which two processes report.
    pub(super) contested_pods: BTreeSet<String>,
    pub(super) unannounced: Vec<NewBreach>,
    /// What people were last told of, if this process told them.
    pub(super) announced: Option<PersonaReportStatus>,
}

impl WorkloadState {
    pub(super) fn new(reference: WorkloadReference) -> Self {
        Self {
            reference,
            counts: WorkloadCounts::default(),
            write_now: false,
            written: None,
            report_existed: false,
            missing_since: None,
            last_seen: HashMap::new(),
            contests: HashMap::new(),
            unannounced: Vec::new(),
            announced: None,
            counted: BTreeSet::new(),
            displaced: false,
            writes: Budget::default(),
            changes: HashMap::new(),
        }
    }

    /// From the report that a former leader wrote.
    pub(super) fn restored(reference: WorkloadReference, counts: WorkloadCounts) -> Self {
        let now = Instant::now();
        let last_seen = counts.pods().map(|pod| (pod.uid.clone(), now)).collect();
        Self { counts, report_existed: true, last_seen, ..Self::new(reference) }
    }

    /// Takes over the report of a former leader that could not be read at first.
    pub(super) fn restore(&mut self, status: &PersonaReportStatus) {
        if self.report_existed {
            return;
        }
        self.counts.add_former(status, &self.counted);
        for pod in self.counts.pods() {
            self.last_seen.entry(pod.uid.clone()).or_insert_with(Instant::now);
        }
        (self.report_existed, self.write_now) = (true, true);
        self.counted.clear();
    }

    /// Records a push.
    pub(super) fn record(
        &mut self,
        pod: &PodView,
        own_address: bool,
        report: &SidecarReport,
    ) -> Result<Due, Contested> {
        let other_is_silent =
            self.last_seen.get(&pod.uid).is_some_and(|last| last.elapsed() > SILENT_AFTER);
        let origin = Origin { restarts: pod.restarts, own_address, other_is_silent };
        let recorded = self.counts.record(&pod.name, &pod.uid, origin, report, Timestamp::now());
        if recorded.is_err() {
            self.contests.entry(pod.uid.clone()).or_default().add(Instant::now());
        }
        let effect = recorded?;
        if !self.report_existed {
            self.counted.extend(self.counts.pod(&pod.uid).map(Process::of));
        }
        let last_seen = self.last_seen.insert(pod.uid.clone(), Instant::now());
        let was_silent = last_seen.is_none_or(|last| last.elapsed() > SILENT_AFTER);
        self.displaced |= effect.displaced;
        let breached = !effect.breaches.is_empty();
        self.write_now |= effect.state
            || effect.displaced
            || effect.breach_counted
            || effect.drift
            || effect.log_gap
            || breached
            || was_silent;
        let room = MAX_UNANNOUNCED.saturating_sub(self.unannounced.len());
        self.unannounced.extend(effect.breaches.into_iter().take(room));
        let beyond_workload = effect.state || breached;
        let spent = beyond_workload
            .then(|| self.changes.entry(pod.uid.clone()).or_default().spend(Instant::now()));
        Ok(Due {
            report: effect.counts || effect.state || was_silent,
            policies: beyond_workload,
            model: effect.state,
            beyond_workload_in: spent.and_then(Result::err).unwrap_or_default(),
        })
    }

    /// The pod is gone.
    pub(super) fn retire_pod(&mut self, uid: &str) {
        self.counts.retire_pod(uid);
        self.last_seen.remove(uid);
        self.contests.remove(uid);
        self.changes.remove(uid);
        self.write_now = true;
    }

    /// Takes out what one write needs. Call [`Self::written`] or [`Self::put_back`] afterwards.
    /// `sidecar_pods` are the workload's pods that have a sidecar; `listening` is for how long this
    /// process has received reports.
    pub(super) fn snapshot(
        &mut self,
        sidecar_pods: &[&Arc<PodView>],
        listening: Duration,
    ) -> Snapshot {
        // A pod that has never reported is not silent: it may be loading its weights, and that it
        // does not serve shows in other conditions.
        let silent = sidecar_pods.iter().filter(|pod| {
            let since_last = self.last_seen.get(&pod.uid).map_or(listening, Instant::elapsed);
            self.counts.pod(&pod.uid).is_some() && since_last > SILENT_AFTER
        });
        let contested = sidecar_pods
            .iter()
            .filter(|pod| self.contests.get(&pod.uid).is_some_and(Contest::lasts));
        Snapshot {
            contested_pods: contested.map(|pod| pod.name.clone()).collect(),
            silent_pods: silent.map(|pod| pod.name.clone()).collect(),
            sidecar_pods: sidecar_pods.iter().map(|pod| pod.name.clone()).collect(),
            reference: self.reference.clone(),
            counts: self.counts.clone(),
            write_now: std::mem::take(&mut self.write_now),
            forget_worst: self.displaced,
            since_write: self.written.map(|written| written.elapsed()),
            unannounced: std::mem::take(&mut self.unannounced),
            announced: self.announced.clone(),
        }
    }

    /// People were told of what the conditions say.
    pub(super) fn announced(&mut self, conditions: &[Condition]) {
        let conditions = conditions.to_vec();
        self.announced = Some(PersonaReportStatus { conditions, ..PersonaReportStatus::default() });
    }

    /// Whether its report may be written now, and if not, after how long.
    pub(super) fn spend_write(&mut self) -> Result<(), Duration> {
        self.writes.spend(Instant::now())
    }

    pub(super) fn written(&mut self) {
        self.written = Some(Instant::now());
        self.report_existed = true;
        self.displaced = false;
        self.missing_since = None;
        self.counted.clear();
    }

    /// The write failed.
    pub(super) fn put_back(&mut self, unannounced: Vec<NewBreach>) {
        self.write_now = true;
        self.unannounced.splice(0..0, unannounced);
    }

    /// For how long a missing report is not recreated: it may have been deleted with its workload,
    /// whose pods go a moment later.
    pub(super) fn recreate_grace(&mut self) -> Option<Duration> {
        if !self.report_existed {
            return None;
        }
        let missing = self.missing_since.get_or_insert_with(Instant::now).elapsed();
        RECREATE_GRACE.checked_sub(missing).filter(|left| !left.is_zero())
    }
}
