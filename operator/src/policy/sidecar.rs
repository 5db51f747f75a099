//! The sidecar as the API server injects it. Pure.

use crate::pod_parts::{confined, resources, token, weights};
use crate::settings::Settings;
use k8s_openapi::api::core::v1::{Container, EnvVar, Volume};
use personaguard_api::{PersonaModel, names};
use serde_json::json;

/// Seconds that a sidecar may take to load its weights.
const STARTUP_SECONDS: u32 = 1800;
const CONFIG: &str = "personaguard-config";
const POD: &str = "personaguard-pod";
const TOKEN: &str = "personaguard-token";
const MODEL: &str = "personaguard-model";
const SCRATCH: &str = "personaguard-tmp";

/// The sidecar; in placement Proxy it takes over the port of this name.
pub(super) fn container(
    settings: &Settings,
    model: &PersonaModel,
    port: Option<&str>,
) -> serde_json::Result<Container> {
    let mut environment = vec![
        json!({ "name": "PERSONAGUARD_CONFIG", "value": names::CONFIG_DIR }),
        json!({ "name": "PERSONAGUARD_ADMIN_LISTEN", "value": format!("0.0.0.0:{}", names::ADMIN_PORT) }),
        json!({
            "name": "PERSONAGUARD_REPORT_URL",
            "value": format!("https://{}:{}{}", settings.report_host(), names::REPORT_PORT, names::REPORT_PATH)
        }),
        json!({ "name": "PERSONAGUARD_TOKEN_FILE", "value": format!("{}/token", names::TOKEN_DIR) }),
        // In the pod's scratch volume, which holds 64 MiB: they go with the pod, and outlive a
        // restart of the sidecar.
        json!({ "name": "PERSONAGUARD_AUDIT_LOG", "value": "/tmp/audit.jsonl" }),
        json!({ "name": "PERSONAGUARD_CONVERSATION_LOG", "value": "/tmp/conversations.jsonl" }),
        json!({ "name": "PERSONAGUARD_LOG_FILE_BYTES", "value": "4194304" }),
        json!({ "name": "PERSONAGUARD_LOG_FILES", "value": "4" }),
        json!({ "name": "PERSONAGUARD_POD_LABELS", "value": format!("{}/labels", names::POD_INFO_DIR) }),
    ];
    if let Some(endpoint) = &settings.sidecar_otlp_endpoint {
        environment.push(json!({ "name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": endpoint }));
    }
    let mut ports = vec![
        json!({ "name": names::ADMIN_PORT_NAME, "containerPort": names::ADMIN_PORT, "protocol": "TCP" }),
    ];
    if let Some(port) = port {
        // The API server adds where the app is, by the pod's own ports.
        let address = format!("0.0.0.0:{}", names::API_PORT);
        environment.push(json!({ "name": "PERSONAGUARD_LISTEN", "value": address }));
        ports.push(json!({ "name": port, "containerPort": names::API_PORT, "protocol": "TCP" }));
    }
    let probe = |path: &str| json!({ "path": path, "port": names::ADMIN_PORT_NAME });
    serde_json::from_value(json!({
        "name": names::CONTAINER,
        "image": settings.sidecar_image,
        "imagePullPolicy": settings.sidecar_image_pull_policy.as_str(),
        // A native sidecar: it is up before the app starts, and goes after it.
        "restartPolicy": "Always",
        "args": ["serve"],
        "env": environment,
        "ports": ports,
        "startupProbe": { "httpGet": probe("/readyz"), "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": STARTUP_SECONDS },
        "livenessProbe": { "httpGet": probe("/healthz"), "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6 },
        "readinessProbe": { "httpGet": probe("/readyz"), "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 3 },
        "resources": resources(&model.spec.runtime, None),
        "securityContext": confined(),
        "volumeMounts": [
            { "name": CONFIG, "mountPath": names::CONFIG_DIR, "readOnly": true },
            { "name": POD, "mountPath": names::POD_INFO_DIR, "readOnly": true },
            { "name": TOKEN, "mountPath": names::TOKEN_DIR, "readOnly": true },
            { "name": MODEL, "mountPath": names::MODEL_DIR, "readOnly": true },
            { "name": SCRATCH, "mountPath": "/tmp" }
        ]
    }))
}

pub(super) fn volumes(model: &PersonaModel) -> serde_json::Result<Vec<Volume>> {
    serde_json::from_value(json!([
        { "name": CONFIG, "configMap": { "name": names::for_model(model.metadata.name.as_deref().unwrap_or_default()) } },
        { "name": POD, "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
        token(TOKEN),
        weights(MODEL, &model.spec.source),
        { "name": SCRATCH, "emptyDir": { "sizeLimit": "64Mi" } }
    ]))
}

/// For the app's own containers, where they have no such variable.
pub(super) fn environment() -> Vec<EnvVar> {
    let variable = |name: &str, value: String| EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    };
    vec![
        variable(names::BASE_URL_ENV, format!("http://127.0.0.1:{}/v1", names::API_PORT)),
        // Clients insist on a key; the sidecar asks for none.
        variable("OPENAI_API_KEY", "unused".to_owned()),
    ]
}
