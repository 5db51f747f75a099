//! Events about policies and workloads. Repeated ones are aggregated, and a failure to publish one
//! never fails a reconciliation.

use super::fence::Fence;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{self, EventType, Recorder, Reporter};
use personaguard_api::conditions::Event;

/// Longest note that the API server accepts.
const MAX_NOTE_CHARS: usize = 1000;

/// An Event to publish.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Notice {
    event: Event,
    note: String,
}

impl Notice {
    pub(crate) fn new(event: &Event, note: String) -> Self {
        Self { event: *event, note }
    }

    #[cfg(test)]
    pub(crate) fn reason(&self) -> &'static str {
        self.event.reason
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

    /// Publishes an Event about an object. The same one again within a few minutes only raises its
    /// count. An Event that cannot be published is logged; a condition says the same.
    pub(crate) async fn publish(&self, notice: &Notice, object: &ObjectReference) {
        if self.fence.check().is_err() {
            return;
        }
        let Notice { event: Event { reason, warning, action, .. }, note } = notice;
        let event = events::Event {
            type_: if *warning { EventType::Warning } else { EventType::Normal },
            reason: (*reason).to_owned(),
            note: Some(note.chars().take(MAX_NOTE_CHARS).collect()),
            action: (*action).to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, object).await {
            tracing::warn!(
                %error,
                reason,
                object = object.name,
                "an Event could not be published"
            );
        }
    }
}
