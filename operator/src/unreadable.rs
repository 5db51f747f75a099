//! Objects that this operator cannot read say so: in a condition, where their kind has any, in an
//! Event, and in a metric. What depends on them stays as it is.

use crate::context::{Context, Notice, Unreadable};
use crate::keys::{Kind, ObjectName};
use crate::objects::conditions::{NewCondition, conditions};
use crate::outcome::{Done, ReconcileError};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ObjectReference, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use personaguard_api::conditions::{condition, event, reason};
use personaguard_api::{
    DatasetScreen, PersonaInjection, PersonaModel, PersonaPolicy, PersonaReport, PersonaVector,
};
use serde_json::json;

/// Says of an object that it cannot be read, unless it says so already.
pub(crate) async fn reconcile(
    context: &Context,
    kind: Kind,
    name: &ObjectName,
) -> Result<Done, ReconcileError> {
    let Some(unreadable) = context.stores.unreadable(kind, name) else {
        return Ok(Done::until_change(reason::RESOLVED));
    };
    let resource = resource(kind);
    let message = message(kind, &name.name, &unreadable);
    let types = condition_types(kind);
    let new: Vec<_> = types
        .iter()
        .map(|type_| NewCondition::unmet(type_, reason::UNREADABLE, message.clone()))
        .collect();
    let before = stored_conditions(&unreadable);
    let generation = unreadable.metadata.generation;
    let conditions = conditions(&new, &before, generation, Timestamp::now());
    let known = conditions.iter().all(|condition| before.contains(condition));
    let mut written = Ok(());
    if !known {
        let api: Api<DynamicObject> = if name.namespace.is_empty() {
            Api::all_with(context.cluster.client.clone(), &resource)
        } else {
            Api::namespaced_with(context.cluster.client.clone(), &name.namespace, &resource)
        };
        let mut object = DynamicObject::new(&name.name, &resource);
        object.metadata.namespace = unreadable.metadata.namespace.clone();
        object.data =
            json!({ "status": { "observedGeneration": generation, "conditions": conditions } });
        if kind == Kind::Report {
            object.data["status"].as_object_mut().map(|status| status.remove("observedGeneration"));
        }
        written = context.cluster.apply_conditions(&api, kind.as_str(), &object).await;
    }
    if !known || types.is_empty() {
        let notice = Notice::new(&event::UNREADABLE, message);
        context.events.publish(&notice, &reference(&resource, &unreadable)).await;
    }
    match written {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(Done::until_change(reason::UNREADABLE)),
    }
}

/// What is said of an object that cannot be read.
pub(crate) fn message(kind: Kind, name: &str, unreadable: &Unreadable) -> String {
    format!(
        "{} `{name}` cannot be read by this operator ({}), so everything of its scope stays as it \
         is: upgrade the operator to the version of the kinds, or correct the object.",
        kind.as_str(),
        unreadable.error
    )
}

/// Conditions that a complete status of the kind has, too: it takes them over.
fn condition_types(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Policy => &[condition::READY, condition::ACCEPTED],
        Kind::Model | Kind::Vector => &[condition::READY],
        Kind::Screen => &[condition::COMPLETE],
        Kind::Report => &[condition::REPORTING],
        Kind::Injection | Kind::ConfigMap | Kind::Pod | Kind::Service | Kind::Namespace => &[],
    }
}

fn stored_conditions(unreadable: &Unreadable) -> Vec<Condition> {
    let stored = unreadable.status["conditions"].as_array().into_iter().flatten();
    stored.filter_map(|raw| serde_json::from_value(raw.clone()).ok()).collect()
}

fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::Policy => ApiResource::erase::<PersonaPolicy>(&()),
        Kind::Model => ApiResource::erase::<PersonaModel>(&()),
        Kind::Vector => ApiResource::erase::<PersonaVector>(&()),
        Kind::Report => ApiResource::erase::<PersonaReport>(&()),
        Kind::Screen => ApiResource::erase::<DatasetScreen>(&()),
        Kind::Injection => ApiResource::erase::<PersonaInjection>(&()),
        Kind::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
        Kind::Pod => ApiResource::erase::<Pod>(&()),
        Kind::Service => ApiResource::erase::<Service>(&()),
        Kind::Namespace => ApiResource::erase::<Namespace>(&()),
    }
}

fn reference(resource: &ApiResource, unreadable: &Unreadable) -> ObjectReference {
    ObjectReference {
        api_version: Some(resource.api_version.clone()),
        kind: Some(resource.kind.clone()),
        name: unreadable.metadata.name.clone(),
        namespace: unreadable.metadata.namespace.clone(),
        uid: unreadable.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests;
