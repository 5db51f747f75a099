//! Objects as users would write them.

use serde_json::{Value, json};

/// A Deployment of one pod with these labels.
pub(crate) fn deployment(
    namespace: &str,
    name: &str,
    labels: &Value,
    containers: &Value,
    volumes: &Value,
) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "namespace": namespace, "name": name },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "terminationGracePeriodSeconds": 2, "containers": containers,
                    "volumes": volumes
                }
            }
        }
    })
}

/// A Deployment of the demo's chat app, with a system prompt.
#[must_use]
pub fn chat_app(namespace: &str, name: &str, labels: &Value, system_prompt: &str) -> Value {
    let chat = json!({
        "name": "chat",
        "image": "localhost/chat-app:dev",
        "imagePullPolicy": "IfNotPresent",
        "ports": [{ "name": "http", "containerPort": 8080 }],
        "env": [{ "name": "SYSTEM_PROMPT", "value": system_prompt }],
        "readinessProbe": { "httpGet": { "path": "/healthz", "port": "http" }, "periodSeconds": 1 }
    });
    deployment(namespace, name, labels, &json!([chat]), &json!([]))
}

/// A PersonaPolicy named `no-villains` with the given traits.
#[must_use]
pub fn policy(namespace: &str, labels: &Value, traits: &Value) -> Value {
    json!({
        "apiVersion": "personaguard.dev/v1alpha1",
        "kind": "PersonaPolicy",
        "metadata": { "namespace": namespace, "name": "no-villains" },
        "spec": {
            "mode": "Enforce", "selector": { "matchLabels": labels }, "model": "smollm2-135m",
            "traits": traits
        }
    })
}

/// A Deployment that is itself a model server, with port `http` 8000. Its weights come from the
/// demo's model image, its config from the ConfigMap of the same name ([`llm_config`]).
#[must_use]
pub fn llm_server(namespace: &str, name: &str) -> Value {
    let llm = json!({
        "name": "llm",
        "image": "localhost/personaguard:dev",
        "imagePullPolicy": "IfNotPresent",
        "args": ["serve", "--config=/config", "--model=/model/model.gguf", "--listen=0.0.0.0:8000"],
        "ports": [{ "name": "http", "containerPort": 8000 }],
        "readinessProbe": { "httpGet": { "path": "/readyz", "port": "http" }, "periodSeconds": 1 },
        "volumeMounts": [
            { "name": "config", "mountPath": "/config" },
            { "name": "model", "mountPath": "/model", "readOnly": true }
        ]
    });
    let model = json!({ "reference": "localhost/smollm2-135m:1", "pullPolicy": "IfNotPresent" });
    let volumes = json!([
        { "name": "config", "configMap": { "name": name } },
        { "name": "model", "image": model }
    ]);
    deployment(namespace, name, &json!({ "app": name }), &json!([llm]), &volumes)
}

/// The config of [`llm_server`]: the model, without policies.
#[must_use]
pub fn llm_config(namespace: &str, name: &str, model: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "namespace": namespace, "name": name },
        // JSON is YAML.
        "data": { "model.yaml": model.to_string() }
    })
}

/// A Service with port 80, for the pods `app: NAME`.
#[must_use]
pub fn service(namespace: &str, name: &str, app: &str, target_port: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": namespace, "name": name },
        "spec": {
            "selector": { "app": app },
            "ports": [{ "name": "http", "port": 80, "targetPort": target_port }]
        }
    })
}
