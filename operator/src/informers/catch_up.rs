//! What a new leader does first.

use super::triggers::Triggers;
use crate::keys::{Key, Kind, ObjectName};
use kube::ResourceExt;

/// Restores the counts that the former leader wrote, and queues everything, because anything may
/// have changed since. The stores must be synced.
pub(crate) fn catch_up(triggers: &Triggers) {
    let Triggers { context, fleet } = triggers;
    let (stores, queue) = (&context.stores, &context.queue);
    restore(triggers);
    for report in stores.reports.all() {
        queue.push(Key::Report(ObjectName::of(report.as_ref())));
    }
    for pod in stores.pods.all().iter().filter(|pod| pod.sidecar.is_some()) {
        if let Some(owner) = pod.owner.clone().filter(|owner| !fleet.owner_is_known(owner)) {
            queue.push(Key::Owner { namespace: pod.namespace.clone(), owner });
        }
    }
    for scope in stores.scopes() {
        queue.push(Key::Scope(scope));
    }
    for vector in stores.vectors.all() {
        queue.push(Key::Vector(vector.name_any()));
    }
    for model in stores.models.all() {
        queue.push(Key::Model(model.name_any()));
    }
    for screen in stores.screens.all() {
        queue.push(Key::Screen(ObjectName::of(screen.as_ref())));
    }
    for kind in Kind::ALL {
        for name in stores.unreadable_of(kind) {
            queue.push(Key::Unreadable { kind, name });
        }
    }
}

/// Pods that are gone by now are retired.
fn restore(triggers: &Triggers) {
    let Triggers { context, fleet } = triggers;
    for report in context.stores.reports.all() {
        fleet.restore(&report);
    }
    triggers.retire_gone();
}
