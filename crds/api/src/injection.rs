//! `PersonaInjection`: what the API server adds to the pods of one (namespace, model).

use k8s_openapi::api::core::v1::{Container, EnvVar, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Internal: written by the operator, read by the MutatingAdmissionPolicy `personaguard`. Do not
/// edit.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "personaguard.dev",
    version = "v1alpha1",
    kind = "PersonaInjection",
    plural = "personainjections",
    category = "personaguard",
    derive = "PartialEq",
    doc = "Internal: what the API server adds to the pods of one model in one namespace. Written \
           by the operator; do not edit.",
    namespaced,
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.container.image"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = (
    "has(self.container) || size(self.selectors) == 0",
    "selectors without a container: there is nothing to inject"
))]
#[serde(rename_all = "camelCase")]
pub struct PersonaInjectionSpec {
    /// Pods that any of these selects get a sidecar.
    pub selectors: Vec<LabelSelector>,
    /// Pods that any of these selects do not start without their sidecar. These are the selectors
    /// of policies that fail closed, also of those for which nothing can be injected yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed_selectors: Vec<LabelSelector>,
    /// The sidecar: an init container with `restartPolicy: Always`, put first. None while nothing
    /// can be injected, because the PersonaModel does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "preserved_object")]
    pub container: Option<Container>,
    /// Volumes to add.
    #[serde(default)]
    #[schemars(schema_with = "preserved_objects")]
    pub volumes: Vec<Volume>,
    /// In placements Proxy and Engine: name of the container port that the sidecar takes over from
    /// the app. A pod without such a port gets no sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeover: Option<String>,
    /// In placement Engine: what the containers get whose port the sidecar takes over. A pod with
    /// one of them that cannot be given it gets no sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerParts>,
    /// Environment variables for every regular container. Those that a container already has stay
    /// as they are.
    #[serde(default)]
    pub env: Vec<EnvVar>,
}

/// What a model server gets, so that it loads the plugin.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerParts {
    /// Mounts to add. A container that has one of its own in such a folder cannot be given them.
    #[schemars(schema_with = "preserved_objects")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Environment variables, in place of those that the container has of these names.
    pub env: Vec<EnvVar>,
    /// Variables that are lists, of which a container may have its own.
    pub joins: Vec<JoinedVariable>,
}

/// An entry of a variable that is a list. It comes before what the container has there. One whose
/// value the container takes from elsewhere (`valueFrom`) cannot be joined.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinedVariable {
    /// Name of the variable.
    pub name: String,
    /// The entry.
    pub value: String,
    /// What stands between two entries.
    pub separator: String,
    /// Whether it is also set where the container has no such variable.
    pub always: bool,
}

fn preserved_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

fn preserved_objects(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
    })
}
