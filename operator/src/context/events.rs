//! Events about policies and workloads. Repeated ones are aggregated, and a failure to publish one
//! never fails a reconciliation.

use super::fence::Fence;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Longest note that the API server accepts.
const MAX_NOTE_CHARS: usize = 1000;

/// An Event to publish.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Notice {
    type_: NoticeType,
    reason: String,
    action: &'static str,
    note: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum NoticeType {
    Normal,
    Warning,
}

impl Notice {
    pub(crate) fn normal(reason: &str, action: &'static str, note: String) -> Self {
        Self { type_: NoticeType::Normal, reason: reason.to_owned(), action, note }
    }

    pub(crate) fn warning(reason: &str, action: &'static str, note: String) -> Self {
        Self { type_: NoticeType::Warning, reason: reason.to_owned(), action, note }
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
        let event = Event {
            type_: match notice.type_ {
                NoticeType::Normal => EventType::Normal,
                NoticeType::Warning => EventType::Warning,
            },
            reason: notice.reason.clone(),
            note: Some(notice.note.chars().take(MAX_NOTE_CHARS).collect()),
            action: notice.action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, object).await {
            tracing::warn!(
                %error,
                reason = notice.reason,
                object = object.name,
                "an Event could not be published"
            );
        }
    }
}
