//! Events about policies and workloads: aggregated, and never in the way of a reconciliation.

use crate::leader::Fence;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Longest note that the API server takes.
const LONGEST: usize = 1000;

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Notice {
    warning: bool,
    reason: String,
    action: &'static str,
    note: String,
}

impl Notice {
    pub(crate) fn normal(reason: &str, action: &'static str, note: String) -> Self {
        Self { warning: false, reason: reason.to_owned(), action, note }
    }

    pub(crate) fn warning(reason: &str, action: &'static str, note: String) -> Self {
        Self { warning: true, reason: reason.to_owned(), action, note }
    }
}

pub(crate) struct Events {
    recorder: Recorder,
    fence: Fence,
}

impl Events {
    pub(crate) fn new(client: Client, instance: String, fence: Fence) -> Self {
        let reporter = Reporter {
            controller: "personaguard.dev/operator".to_owned(),
            instance: Some(instance),
        };
        Self { recorder: Recorder::new(client, reporter), fence }
    }

    /// Publishes an event; the same one again within some minutes is counted, not repeated. An
    /// event that cannot be published is logged: conditions say the same.
    pub(crate) async fn publish(&self, notice: &Notice, about: &ObjectReference) {
        if self.fence.check().is_err() {
            return;
        }
        let event = Event {
            type_: if notice.warning { EventType::Warning } else { EventType::Normal },
            reason: notice.reason.clone(),
            note: Some(notice.note.chars().take(LONGEST).collect()),
            action: notice.action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::warn!(%error, reason = notice.reason, object = about.name, "an event could not be published");
        }
    }
}
