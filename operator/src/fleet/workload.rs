//! How workloads are named. Pure.

use crate::keys::ObjectName;
use k8s_openapi::api::core::v1::ObjectReference;
use personaguard_api::{WorkloadReference, names};

/// `Deployment/chat`.
pub(super) fn display_name(workload: &WorkloadReference) -> String {
    format!("{}/{}", workload.kind, workload.name)
}

/// The `PersonaReport` of a workload.
pub(super) fn report_name(namespace: &str, workload: &WorkloadReference) -> ObjectName {
    ObjectName::new(namespace, names::report(&workload.kind, &workload.name))
}

/// The workload, as an Event refers to it.
pub(super) fn object_reference(namespace: &str, workload: &WorkloadReference) -> ObjectReference {
    ObjectReference {
        api_version: Some(workload.api_version.clone()),
        kind: Some(workload.kind.clone()),
        name: Some(workload.name.clone()),
        namespace: Some(namespace.to_owned()),
        uid: Some(workload.uid.clone()),
        ..ObjectReference::default()
    }
}
