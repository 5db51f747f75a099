//! Objects of the scenarios, as users write them.

use serde_json::{Value, json};

/// A Deployment of the demo's chat app, whose pods carry `labels`, with a system prompt.
#[must_use]
pub fn chat_app(namespace: &str, name: &str, labels: &Value, system_prompt: &str) -> Value {
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
                    "terminationGracePeriodSeconds": 2,
                    "containers": [{
                        "name": "chat",
                        "image": "localhost/chat-app:dev",
                        "imagePullPolicy": "IfNotPresent",
                        "ports": [{ "name": "http", "containerPort": 8080 }],
                        "env": [{ "name": "SYSTEM_PROMPT", "value": system_prompt }],
                        "readinessProbe": { "httpGet": { "path": "/healthz", "port": "http" }, "periodSeconds": 1 }
                    }]
                }
            }
        }
    })
}

/// A PersonaPolicy named `no-villains` with the given traits.
#[must_use]
pub fn policy(namespace: &str, labels: &Value, traits: &Value) -> Value {
    json!({
        "apiVersion": "personaguard.dev/v1alpha1",
        "kind": "PersonaPolicy",
        "metadata": { "namespace": namespace, "name": "no-villains" },
        "spec": { "mode": "Enforce", "selector": { "matchLabels": labels }, "model": "smollm2-135m", "traits": traits }
    })
}
