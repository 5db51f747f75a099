//! Labels, annotations, ports, paths and object names that operator, sidecar, charts and tests
//! agree on.

use crate::quantity::Digest;

/// Name of the sidecar container in a guarded pod.
pub const CONTAINER: &str = "personaguard";
/// Field manager of every server-side apply of the operator.
pub const FIELD_MANAGER: &str = "personaguard";
/// Field manager of the conditions of an object that the operator cannot read.
pub const UNREADABLE_FIELD_MANAGER: &str = "personaguard-unreadable";
/// Finalizer of a `PersonaPolicy`: running sidecars must be told before it goes.
pub const FINALIZER: &str = "personaguard.dev/withdraw";
/// Pod annotation patched after the config changed, so that the kubelet refreshes the mount at
/// once.
pub const CONFIG_DIGEST_ANNOTATION: &str = "personaguard.dev/config-digest";
/// Label of everything the operator makes: the model it is for.
pub const MODEL_LABEL: &str = "personaguard.dev/model";
/// Label of the configs that the operator makes, with [`FIELD_MANAGER`]: an admission policy keeps
/// what has it to the operator.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Label of a Job that extracts a vector, and of its pods: the `PersonaVector`.
pub const VECTOR_LABEL: &str = "personaguard.dev/vector";
/// Label of the Jobs of a `DatasetScreen`, and of their pods: its name.
pub const SCREEN_LABEL: &str = "personaguard.dev/screen";
/// Annotation of what an extraction made, and of its Job: digest of all that the vector depends on.
pub const EXTRACTION_ANNOTATION: &str = "personaguard.dev/extraction-digest";
/// Annotation of an extraction's Jobs: how many pods share it.
pub const SHARDS_ANNOTATION: &str = "personaguard.dev/shards";
/// Annotation by which a Job's pod is told the authorities that the operator's report server may
/// present (PEM).
pub const CA_ANNOTATION: &str = "personaguard.dev/ca";
/// Label of the operator pod that leads, so that the reports Service selects it alone.
pub const LEADER_LABEL: &str = "personaguard.dev/leader";
/// Label or annotation of a pod that is to stay without a sidecar, with value `false`.
pub const INJECT: &str = "personaguard.dev/inject";
/// Label of a namespace in which nothing is injected, with value `disabled`.
pub const INJECTION: &str = "personaguard.dev/injection";
/// Prefix of the ConfigMap and of the `PersonaInjection` for a model in a namespace; the model's
/// name follows.
pub const CONFIG_PREFIX: &str = "personaguard-";
/// Annotation of a pod with the names of the containers that are told where the sidecar is, and are
/// expected to use it; without it, all of them.
pub const CONTAINERS: &str = "personaguard.dev/containers";
/// Label of a Secret of the operator's namespace that a `PersonaVector` may name as the key of its
/// endpoint, with value `true`.
pub const ENDPOINT_KEY_LABEL: &str = "personaguard.dev/endpoint-key";
/// Annotation of a Service that leads to a container which does not pass requests on to the model,
/// with value `true`.
pub const LEADS_ELSEWHERE: &str = "personaguard.dev/leads-elsewhere";
/// Name of the volume with the config folder, in a guarded pod.
pub const CONFIG_VOLUME: &str = "personaguard-config";
/// Namespaces in which nothing is ever injected, beside the operator's own.
pub const EXCLUDED_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// Port of the OpenAI-compatible API: on the pod's loopback in placement Serve, on its address in
/// placements Proxy and Engine.
pub const API_PORT: u16 = 8790;
/// Port of `/healthz`, `/readyz` and `/metrics`, on the pod's address.
pub const ADMIN_PORT: u16 = 8791;
/// Path on [`ADMIN_PORT`] of the sidecar's answer to which process it is.
pub const INSTANCE_PATH: &str = "/instance";
/// Name of [`ADMIN_PORT`].
pub const ADMIN_PORT_NAME: &str = "pg-admin";
/// Port on which the operator's leader takes reports (HTTPS).
pub const REPORT_PORT: u16 = 8443;
/// Path on which the operator's leader takes reports.
pub const REPORT_PATH: &str = "/v1/reports";
/// Path on which the operator's leader takes the vector file of an extraction Job.
pub const VECTOR_PATH: &str = "/v1/vectors";
/// Path on which the operator's leader is told how far an extraction Job is.
pub const PROGRESS_PATH: &str = "/v1/progress";
/// Audience of the projected ServiceAccount token with which a sidecar reports.
pub const TOKEN_AUDIENCE: &str = "reports.personaguard.dev";

/// Environment variable by which the app container finds the sidecar.
pub const BASE_URL_ENV: &str = "OPENAI_BASE_URL";
/// The same, as older clients know it.
pub const FORMER_BASE_URL_ENV: &str = "OPENAI_API_BASE";

/// Environment variable by which a sidecar in placement Proxy or Engine finds the app; the API
/// server sets it, by the app's port.
pub const UPSTREAM_ENV: &str = "PERSONAGUARD_UPSTREAM";

/// Name of the volume that a sidecar in placement Engine shares with the model server.
pub const ENGINE_VOLUME: &str = "personaguard-engine";
/// Where that volume is mounted, in both.
pub const ENGINE_DIR: &str = "/run/personaguard";
/// In it, the socket on which the sidecar listens for the plugin.
pub const ENGINE_SOCKET: &str = "/run/personaguard/engine.sock";
/// In it, the folder into which the sidecar writes the plugin.
pub const PLUGIN_DIR: &str = "/run/personaguard/plugin";
/// Environment variable by which a sidecar knows that socket.
pub const ENGINE_SOCKET_ENV: &str = "PERSONAGUARD_ENGINE_SOCKET";
/// Environment variable by which a sidecar knows that folder.
pub const PLUGIN_DIR_ENV: &str = "PERSONAGUARD_PLUGIN_DIR";
/// Environment variable by which the plugin knows that socket.
pub const SOCKET_ENV: &str = "PERSONAGUARD_SOCKET";
/// Environment variable by which Python finds the plugin.
pub const PYTHON_PATH_ENV: &str = "PYTHONPATH";
/// Environment variable by which vLLM knows the plugins to load; without it, all that are there.
pub const VLLM_PLUGINS_ENV: &str = "VLLM_PLUGINS";
/// Name of the plugin among vLLM's.
pub const PLUGIN: &str = "personaguard";

/// Where the (namespace, model) ConfigMap is mounted in the sidecar.
pub const CONFIG_DIR: &str = "/etc/personaguard/config";
/// Where the pod's labels are mounted (downward API, file `labels`).
pub const POD_INFO_DIR: &str = "/etc/personaguard/pod";
/// Where the projected token is mounted (file `token`).
pub const TOKEN_DIR: &str = "/var/run/secrets/personaguard.dev";
/// Where the model's volume is mounted.
pub const MODEL_DIR: &str = "/var/lib/personaguard/model";

/// Config-folder file: a `GuardConfig` as YAML.
pub const CONFIG_FILE: &str = "config.yaml";
/// Config-folder file: each vector's chosen layer, F32, one tensor of shape `[hidden]` named after
/// the `PersonaVector`.
pub const VECTORS_FILE: &str = "vectors.safetensors";
/// Config-folder file: PEM bundle of the authorities that the operator's report server may present.
pub const CA_FILE: &str = "ca.crt";

/// Environment variable by which a sidecar knows for which weights its pod was made: the identity
/// of its model in the config.
pub const MODEL_IDENTITY_ENV: &str = "PERSONAGUARD_MODEL_IDENTITY";

/// Environment variable by which a sidecar knows the repository that its weights are fetched from.
pub const HUB_REPO_ENV: &str = "PERSONAGUARD_HUB_REPO";
/// The same of the revision.
pub const HUB_REVISION_ENV: &str = "PERSONAGUARD_HUB_REVISION";
/// The same of the file; without it, the folder is fetched.
pub const HUB_FILE_ENV: &str = "PERSONAGUARD_HUB_FILE";
/// The same of the proxy by which the hub is reached.
pub const HUB_PROXY_ENV: &str = "PERSONAGUARD_HUB_PROXY";
/// The same of the authorities that the hub may present besides the public ones.
pub const HUB_CA_FILE_ENV: &str = "PERSONAGUARD_HUB_CA_FILE";
/// The same of the largest size of the weights.
pub const HUB_MAX_SIZE_ENV: &str = "PERSONAGUARD_HUB_MAX_SIZE";
/// Environment variable with a hub's URL, as the hub's own tools know it.
pub const HUB_ENDPOINT_ENV: &str = "HF_ENDPOINT";
/// Environment variable with a hub's token, as the hub's own tools know it.
pub const HUB_TOKEN_ENV: &str = "HF_TOKEN";
/// The hub where a model names none.
pub const PUBLIC_HUB: &str = "https://huggingface.co";
/// Where authorities are mounted that a hub or its proxy may present (file `ca.crt`).
pub const HUB_CA_DIR: &str = "/etc/personaguard/hub-ca";

/// Prefix of the config-folder files for pods that were made for former weights of the model.
pub const FORMER_PREFIX: &str = "former-";

/// Config-folder file in place of [`CONFIG_FILE`], for pods that were made for these weights.
#[must_use]
pub fn former_config(identity: &str) -> String {
    format!("{FORMER_PREFIX}{identity}.yaml")
}

/// Config-folder file in place of [`VECTORS_FILE`], for pods that were made for these weights.
#[must_use]
pub fn former_vectors(identity: &str) -> String {
    format!("{FORMER_PREFIX}{identity}.safetensors")
}

/// Key of the vector file in the ConfigMap that an extraction fills.
pub const VECTOR_KEY: &str = "vector.safetensors";

/// Name of the Job that extracts a vector, and of the ConfigMap that it fills.
#[must_use]
pub fn for_extraction(vector: &str) -> String {
    // Longest name of a Job whose pods' names fit a label.
    const LONGEST: usize = 52;
    bounded(format!("extract-{vector}"), LONGEST)
}

/// Name of the Job that makes the vector from the parts, where several pods share an extraction.
#[must_use]
pub fn for_extraction_merge(vector: &str) -> String {
    const LONGEST: usize = 52;
    bounded(format!("merge-extract-{vector}"), LONGEST)
}

/// Name of the Job that screens a data set and of the ConfigMap with its vectors; the Job that
/// merges the ranks has `-merge` after it.
#[must_use]
pub fn for_screen(screen: &str) -> String {
    format!("screen-{screen}")
}

/// Name of the ConfigMap and of the `PersonaInjection` for a model in a namespace.
#[must_use]
pub fn for_model(model: &str) -> String {
    format!("{CONFIG_PREFIX}{model}")
}

/// Name of a workload's `PersonaReport`: `deployment-chat` for Deployment `chat`. A name that would
/// be longer than an object's may be ends in a digest of the whole.
#[must_use]
pub fn report(kind: &str, name: &str) -> String {
    const LONGEST: usize = 253;
    bounded(format!("{}-{name}", kind.to_lowercase()), LONGEST)
}

/// A name that would be too long ends in a digest of the whole instead.
fn bounded(whole: String, longest: usize) -> String {
    if whole.len() <= longest {
        return whole;
    }
    let digest = Digest::of(whole.as_bytes());
    let kept: String = whole.chars().take(longest - 1 - digest.short().len()).collect();
    format!("{kept}-{}", digest.short())
}

#[cfg(test)]
mod tests;
