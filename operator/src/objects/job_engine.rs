//! What runs the model in a Job's pod: our own engine, with the model's weights; or the user's own
//! vLLM, in a container beside ours. Pure.

use super::hub_parts;
use super::pod_parts::{pull_secrets, resources, weights_volume};
use super::vllm_parts;
use crate::settings::Settings;
use kube::ResourceExt as _;
use personaguard_api::conditions::reason;
use personaguard_api::{ModelSource, PersonaModel, Resources, Runtime, VllmServer, names};
use personaguard_resolve::Rejection;
use serde_json::{Value, json};

/// Name of the volume with the weights.
const MODEL: &str = "model";

/// What runs the model in a Job's pod.
pub(crate) struct JobEngine<'a> {
    model: &'a PersonaModel,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Own(&'a ModelSource),
    Vllm(&'a VllmServer),
}

impl<'a> JobEngine<'a> {
    /// For the Jobs of a model.
    pub(crate) fn of(model: &'a PersonaModel) -> Result<Self, Rejection> {
        let spec = &model.spec;
        let kind = spec.source.as_ref().map(Kind::Own).or(spec.vllm.as_ref().map(Kind::Vllm));
        if let Some(kind) = kind {
            return Ok(Self { model, kind });
        }
        let message = format!(
            "PersonaModel `{}` has engine Vllm, and does not say how Jobs start vLLM: add \
             spec.vllm (image, args, volumes and resources of your Deployment, as the page on \
             vLLM has it); or make the vector with `personaguard extract --engine` and import it \
             (artifact and sha256 of the PersonaVector), and screen with `personaguard screen \
             --engine`",
            model.name_any()
        );
        Err(Rejection::new(reason::MODEL_RUN_BY_VLLM, message))
    }

    /// Whether vLLM is beside our own container, and is started again where it ends.
    pub(crate) fn is_beside(&self) -> bool {
        matches!(self.kind, Kind::Vllm(_))
    }

    /// Adds the engine to a pod of which our own container is the only one: what its command is
    /// told, what it mounts and what it needs; and what runs before or beside it. `own` are the
    /// resources that the Job's own object asks for.
    pub(crate) fn join(&self, settings: &Settings, own: Option<&Resources>, pod: &mut Value) {
        let container = &mut pod["containers"][0];
        extend(&mut container["args"], self.arguments().into_iter().map(Value::from));
        extend(&mut container["env"], self.environment());
        extend(&mut container["volumeMounts"], self.mounts());
        container["resources"] = resources(&self.runtime(), own);
        extend(&mut pod["volumes"], self.volumes());
        match self.kind {
            Kind::Own(source) => {
                let fetch = hub_parts::init_containers(settings, self.model, source, MODEL, own);
                pod["initContainers"] = json!(fetch);
            }
            Kind::Vllm(server) => {
                let mut before = vllm_parts::init_containers(settings, server);
                // A quota may ask for them of every container.
                before[0]["resources"] = resources(&self.runtime(), own);
                pod["initContainers"] = json!(before);
                pod["nodeSelector"] = json!(server.node_selector);
                pod["tolerations"] = json!(server.tolerations);
                let all = [&settings.sidecar_image_pull_secrets[..], &server.image_pull_secrets];
                pod["imagePullSecrets"] = json!(pull_secrets(&all.concat()));
            }
        }
    }

    /// The runtime that our own container is made for. vLLM's devices are vLLM's, and what the
    /// sidecar in front of it needs says nothing about Jobs.
    fn runtime(&self) -> Runtime {
        match self.kind {
            Kind::Own(_) => self.model.spec.runtime.clone(),
            Kind::Vllm(_) => Runtime::default(),
        }
    }

    fn arguments(&self) -> Vec<String> {
        match self.kind {
            Kind::Own(source) => {
                vec![format!("--model={}/{}", names::MODEL_DIR, source.path())]
            }
            Kind::Vllm(server) => vllm_parts::arguments(server),
        }
    }

    fn environment(&self) -> Vec<Value> {
        match self.kind {
            Kind::Own(_) => Vec::new(),
            Kind::Vllm(server) => vllm_parts::environment(server),
        }
    }

    fn mounts(&self) -> Vec<Value> {
        match self.kind {
            Kind::Own(_) => {
                let mount = json!({
                    "name": MODEL, "mountPath": names::MODEL_DIR, "readOnly": true
                });
                vec![mount]
            }
            Kind::Vllm(_) => vllm_parts::mounts(),
        }
    }

    fn volumes(&self) -> Vec<Value> {
        match self.kind {
            Kind::Own(source) => {
                let weights = weights_volume(MODEL, source);
                let hub = source.hub.iter().flat_map(hub_parts::volumes);
                std::iter::once(weights).chain(hub).collect()
            }
            Kind::Vllm(server) => vllm_parts::volumes(server),
        }
    }
}

/// Adds to a list, which may not be there yet.
fn extend(list: &mut Value, more: impl IntoIterator<Item = Value>) {
    let mut all = list.as_array().cloned().unwrap_or_default();
    all.extend(more);
    *list = Value::Array(all);
}

#[cfg(test)]
mod tests;
