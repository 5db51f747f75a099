//! The sidecar as the API server injects it. Pure.

use crate::objects::hub_parts;
use crate::objects::pod_parts::{
    resources, restricted_security_context, token_volume, weights_volume,
};
use crate::settings::Settings;
use k8s_openapi::api::core::v1::{Container, EnvVar, Volume};
use kube::ResourceExt;
use personaguard_api::{Device, HubSource, ModelEngine, PersonaModel, Runtime, names};
use personaguard_ops::listen;
use serde_json::{Value, json};

/// For how long a sidecar may load its weights, and for how long it may fetch them as well. What
/// it has fetched by then is not lost: its container is started anew, and goes on.
const STARTUP_SECONDS: u32 = 1800;
const FETCH_SECONDS: u32 = 7200;

/// Names of volumes.
const POD: &str = "personaguard-pod";
const TOKEN: &str = "personaguard-token";
const MODEL: &str = "personaguard-model";
const SCRATCH: &str = "personaguard-tmp";
/// Of the volume with the plugin, which is smaller by far.
const ENGINE_SIZE: &str = "16Mi";

/// The sidecar, for the model of this identity. In front of another server it takes over the port
/// of this name.
pub(super) fn container(
    settings: &Settings,
    model: &PersonaModel,
    identity: &str,
    takeover: Option<&str>,
) -> serde_json::Result<Container> {
    let probe = |path: &str| json!({ "path": path, "port": names::ADMIN_PORT_NAME });
    let runtime = runtime(model);
    let startup = if hub(model).is_some() { FETCH_SECONDS } else { STARTUP_SECONDS };
    let own = runtime.resources.as_ref().or(settings.sidecar_resources.as_ref());
    // vLLM is started once this one is up, and its plugin is what a sidecar that has no weights
    // becomes ready by: it must not be waited for.
    let up = if runs_in_vllm(model) { "/healthz" } else { "/readyz" };
    serde_json::from_value(json!({
        "name": names::CONTAINER,
        "image": settings.sidecar_image,
        "imagePullPolicy": settings.sidecar_image_pull_policy.as_str(),
        // A native sidecar: it starts before the app, and ends after it.
        "restartPolicy": "Always",
        "args": ["serve"],
        "env": environment(settings, model, identity, takeover.is_some()),
        "ports": ports(takeover),
        "startupProbe": {
            "httpGet": probe(up),
            "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": startup
        },
        "livenessProbe": {
            "httpGet": probe("/healthz"),
            "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6
        },
        "readinessProbe": {
            "httpGet": probe("/readyz"),
            "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 3
        },
        "resources": resources(&runtime, own),
        "securityContext": restricted_security_context(settings.run_as_user.0),
        "volumeMounts": mounts(model)
    }))
}

fn runs_in_vllm(model: &PersonaModel) -> bool {
    model.spec.engine == ModelEngine::Vllm
}

fn hub(model: &PersonaModel) -> Option<&HubSource> {
    model.spec.source.as_ref()?.hub.as_ref()
}

/// The GPUs of a model that vLLM runs are vLLM's.
fn runtime(model: &PersonaModel) -> Runtime {
    let own = model.spec.runtime.clone();
    if runs_in_vllm(model) { Runtime { device: Device::Cpu, gpus: None, ..own } } else { own }
}

fn mounts(model: &PersonaModel) -> Vec<Value> {
    let read_only =
        |name: &str, path: &str| json!({ "name": name, "mountPath": path, "readOnly": true });
    let mut mounts = vec![
        read_only(names::CONFIG_VOLUME, names::CONFIG_DIR),
        read_only(POD, names::POD_INFO_DIR),
        read_only(TOKEN, names::TOKEN_DIR),
        match hub(model) {
            _ if runs_in_vllm(model) => {
                json!({ "name": names::ENGINE_VOLUME, "mountPath": names::ENGINE_DIR })
            }
            // It writes there what it fetches.
            Some(_) => json!({ "name": MODEL, "mountPath": names::MODEL_DIR }),
            None => read_only(MODEL, names::MODEL_DIR),
        },
        json!({ "name": SCRATCH, "mountPath": "/tmp" }),
    ];
    mounts.extend(hub(model).into_iter().flat_map(hub_parts::mounts));
    mounts
}

fn environment(
    settings: &Settings,
    model: &PersonaModel,
    identity: &str,
    in_front: bool,
) -> Vec<Value> {
    let variable = |name: &str, value: &str| json!({ "name": name, "value": value });
    let report_url =
        format!("https://{}:{}{}", settings.report_host(), names::REPORT_PORT, names::REPORT_PATH);
    let mut environment = vec![
        variable("PERSONAGUARD_CONFIG", names::CONFIG_DIR),
        variable(names::MODEL_IDENTITY_ENV, identity),
        variable("PERSONAGUARD_ADMIN_LISTEN", &listen::everywhere(names::ADMIN_PORT).to_string()),
        variable("PERSONAGUARD_REPORT_URL", &report_url),
        variable("PERSONAGUARD_TOKEN_FILE", &format!("{}/token", names::TOKEN_DIR)),
        // In the pod's scratch volume of 64 MiB: logs survive a restart of the sidecar, and go with
        // the pod.
        variable("PERSONAGUARD_AUDIT_LOG", "/tmp/audit.jsonl"),
        variable("PERSONAGUARD_CONVERSATION_LOG", "/tmp/conversations.jsonl"),
        variable("PERSONAGUARD_LOG_FILE_BYTES", "4194304"),
        variable("PERSONAGUARD_LOG_FILES", "4"),
        variable("PERSONAGUARD_POD_LABELS", &format!("{}/labels", names::POD_INFO_DIR)),
    ];
    environment.extend(hub(model).into_iter().flat_map(hub_parts::source_environment));
    if runs_in_vllm(model) {
        environment.push(variable(names::ENGINE_SOCKET_ENV, names::ENGINE_SOCKET));
        environment.push(variable(names::PLUGIN_DIR_ENV, names::PLUGIN_DIR));
    }
    if let Some(endpoint) = &settings.sidecar_otlp_endpoint {
        environment.push(variable("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint));
    }
    for (name, value) in settings.sidecar_otel() {
        environment.push(variable(name, value));
    }
    if in_front {
        // The API server adds the address of the app, by the pod's own ports.
        environment.push(variable(
            "PERSONAGUARD_LISTEN",
            &listen::everywhere(names::API_PORT).to_string(),
        ));
    }
    environment
}

fn ports(takeover: Option<&str>) -> Vec<Value> {
    let admin = tcp_port(names::ADMIN_PORT_NAME, names::ADMIN_PORT);
    let api = takeover.map(|name| tcp_port(name, names::API_PORT));
    std::iter::once(admin).chain(api).collect()
}

fn tcp_port(name: &str, number: u16) -> Value {
    json!({ "name": name, "containerPort": number, "protocol": "TCP" })
}

pub(super) fn volumes(model: &PersonaModel) -> serde_json::Result<Vec<Volume>> {
    let config = names::for_model(&model.name_any());
    let labels = json!({ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } });
    let mut volumes = vec![
        json!({ "name": names::CONFIG_VOLUME, "configMap": { "name": config } }),
        json!({ "name": POD, "downwardAPI": { "items": [labels] } }),
        token_volume(TOKEN),
        match &model.spec.source {
            Some(source) => weights_volume(MODEL, source),
            None => {
                json!({ "name": names::ENGINE_VOLUME, "emptyDir": { "sizeLimit": ENGINE_SIZE } })
            }
        },
        json!({ "name": SCRATCH, "emptyDir": { "sizeLimit": "64Mi" } }),
    ];
    volumes.extend(hub(model).into_iter().flat_map(hub_parts::volumes));
    serde_json::from_value(Value::Array(volumes))
}

/// Variables for the app's own containers, unless they have them already.
pub(super) fn app_environment() -> Vec<EnvVar> {
    let variable = |name: &str, value: String| EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    };
    let url = format!("http://127.0.0.1:{}/v1", names::API_PORT);
    vec![
        variable(names::BASE_URL_ENV, url.clone()),
        // Older clients read this, and some of the newer ones read it first.
        variable(names::FORMER_BASE_URL_ENV, url),
        // Clients insist on a key. The sidecar needs none.
        variable("OPENAI_API_KEY", "unused".to_owned()),
    ]
}
