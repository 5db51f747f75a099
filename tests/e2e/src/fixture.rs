//! The namespace of one scenario, and the model and vectors that all scenarios share.

use crate::chat::Chat;
use crate::wait;
use crate::{environment, objects, prompts};
use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::pinned_kind;
use kube::{Client, ResourceExt};
use personaguard_api::{Digest, PersonaPolicy, PersonaReport, names};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

/// Limit for anything that takes seconds on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Namespace of the operator.
pub const SYSTEM: &str = "personaguard-system";
/// Name of the `PersonaModel` of the scenarios.
pub const MODEL: &str = "smollm2-135m";

/// The part of the cluster that belongs to one scenario.
pub struct Fixture {
    /// A client with administrator rights.
    pub client: Client,
    /// Namespace of the scenario.
    pub namespace: String,
}

impl Fixture {
    /// Creates the namespace, and makes sure of the shared objects.
    ///
    /// # Errors
    /// When the cluster that `cargo xtask test` starts does not run.
    pub async fn new(scenario: &str) -> Result<Self> {
        environment::variable("KUBECONFIG")?;
        // Fails only if an earlier test has installed a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_default().await.context("the cluster cannot be reached")?;
        let namespace: Namespace = serde_json::from_value(
            json!({ "metadata": { "generateName": format!("{scenario}-") } }),
        )?;
        let namespace =
            Api::all(client.clone()).create(&PostParams::default(), &namespace).await?.name_any();
        let fixture = Self { client, namespace };
        fixture.apply_shared_objects().await?;
        Ok(fixture)
    }

    /// Deletes the namespace. It is not called if a scenario fails, so that the objects can be
    /// inspected.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn finish(self) -> Result<()> {
        Api::<Namespace>::all(self.client.clone())
            .delete(&self.namespace, &DeleteParams::default())
            .await?;
        Ok(())
    }

    async fn apply_shared_objects(&self) -> Result<()> {
        self.apply(&model_manifest()?).await?;
        for vector in ["evil", "sycophantic"] {
            let file = environment::path("PERSONAGUARD_TEST_VECTORS")?
                .join(format!("{vector}.safetensors"));
            let bytes = std::fs::read(&file).with_context(|| format!("{}", file.display()))?;
            let sha256 = self.upload_vector(&format!("vector-{vector}"), bytes).await?;
            let mut manifest =
                vector_manifest(vector, vector, &format!("vector-{vector}"), &sha256);
            if vector == "evil" {
                manifest["spec"]["layer"] = json!(prompts::EVIL_LAYER);
            }
            self.apply(&manifest).await?;
        }
        Ok(())
    }

    /// Puts a vector file into a ConfigMap of the operator's namespace, key `vector.safetensors`.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn upload_vector(&self, name: &str, bytes: Vec<u8>) -> Result<Digest> {
        let sha256 = Digest::of(&bytes);
        let map = ConfigMap {
            metadata: kube::core::ObjectMeta {
                name: Some(name.into()),
                namespace: Some(SYSTEM.into()),
                ..Default::default()
            },
            binary_data: Some(BTreeMap::from([(
                "vector.safetensors".to_owned(),
                ByteString(bytes),
            )])),
            ..ConfigMap::default()
        };
        let mut map = serde_json::to_value(map)?;
        map["apiVersion"] = json!("v1");
        map["kind"] = json!("ConfigMap");
        self.apply(&map).await?;
        Ok(sha256)
    }

    /// Server-side apply of any object, as `kubectl apply --server-side` does.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn apply(&self, object: &Value) -> Result<DynamicObject> {
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        let types = object.types.as_ref().context("apiVersion and kind are missing")?;
        let (resource, capabilities) =
            pinned_kind(&self.client, &GroupVersionKind::try_from(types)?).await?;
        let api: Api<DynamicObject> = match (capabilities.scope, object.namespace()) {
            (kube::discovery::Scope::Namespaced, Some(namespace)) => {
                Api::namespaced_with(self.client.clone(), &namespace, &resource)
            }
            _ => Api::all_with(self.client.clone(), &resource),
        };
        let params = PatchParams::apply("e2e").force();
        Ok(api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await?)
    }

    /// Creates a claim, and a volume for it that is a folder of the node.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn claim(
        &self,
        namespace: &str,
        claim: &str,
        volume: &str,
        folder: &Path,
    ) -> Result<()> {
        // As a storage class would, so that the container's user may write there.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777))?;
        self.claim_of(namespace, claim, volume, folder).await
    }

    /// A claim whose volume is a folder of the node, which stays as it is.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn claim_of(
        &self,
        namespace: &str,
        claim: &str,
        volume: &str,
        folder: &Path,
    ) -> Result<()> {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": volume },
            "spec": {
                "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteMany"],
                "storageClassName": "", "hostPath": { "path": folder },
                "claimRef": { "namespace": namespace, "name": claim }
            }
        }))
        .await?;
        self.apply(&json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": claim, "namespace": namespace },
            "spec": {
                "accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": volume,
                "resources": { "requests": { "storage": "1Gi" } }
            }
        }))
        .await?;
        Ok(())
    }

    /// A typed API for the scenario's namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Deploys a chat app with label `app: NAME`, and waits until its pod is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn deploy_chat(&self, name: &str, system_prompt: &str) -> Result<Pod> {
        self.apply(&objects::chat_app(
            &self.namespace,
            name,
            &json!({ "app": name }),
            system_prompt,
        ))
        .await?;
        self.ready_pod(name).await
    }

    /// Applies policy `no-villains` with these traits for app `chat`, deploys the app with a plain
    /// system prompt, and waits until it is guarded.
    ///
    /// # Errors
    /// When the policy is refused, or does not become Ready.
    pub async fn guarded_chat(&self, traits: &Value) -> Result<Pod> {
        self.apply_policy("chat", traits).await?;
        // A pod is injected when it is created.
        self.policy_condition("Accepted", "True").await?;
        let pod = self.deploy_chat("chat", prompts::PLAIN).await?;
        self.policy_condition("Ready", "True").await?;
        Ok(pod)
    }

    /// Like [`Self::guarded_chat`], with a threshold that no score passes: the answers are the
    /// model's own.
    ///
    /// # Errors
    /// As for that.
    pub async fn watched_chat(&self) -> Result<Pod> {
        self.guarded_chat(
            &json!([{ "vector": "evil", "threshold": { "projection": 1e6 }, "action": "Alert" }]),
        )
        .await
    }

    /// Waits for a ready pod with label `app: NAME` that is not being deleted.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn ready_pod(&self, name: &str) -> Result<Pod> {
        let pods: Api<Pod> = self.api();
        let selector = ListParams::default().labels(&format!("app={name}"));
        let (pod, _) = wait::until(&format!("pod app={name} to be ready"), PATIENCE, || async {
            Ok(pods.list(&selector).await?.items.into_iter().find(is_ready))
        })
        .await?;
        Ok(pod)
    }

    /// A client for the app in a pod.
    ///
    /// # Errors
    /// When the pod has no address.
    pub fn chat(&self, pod: &Pod) -> Result<Chat> {
        Chat::new(&format!("{}:8080", address(pod)?))
    }

    /// Applies `no-villains` for `app: NAME`.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn apply_policy(&self, app: &str, traits: &Value) -> Result<()> {
        self.apply(&objects::policy(&self.namespace, &json!({ "app": app }), traits)).await?;
        Ok(())
    }

    /// Waits until a condition of `no-villains` has a status. Returns the policy, and how long it
    /// took.
    ///
    /// # Errors
    /// When it does not get there in time.
    pub async fn policy_condition(
        &self,
        kind: &str,
        status: &str,
    ) -> Result<(PersonaPolicy, Duration)> {
        let policies: Api<PersonaPolicy> = self.api();
        wait::until(&format!("condition {kind}={status} of the policy"), PATIENCE, || async {
            let policy = policies.get("no-villains").await?;
            let found = condition(&policy, kind).is_some_and(|c| c.status == status);
            let current = policy.status.as_ref().and_then(|s| s.observed_generation)
                == policy.metadata.generation;
            Ok((found && current).then_some(policy))
        })
        .await
    }

    /// Waits until the report of a Deployment meets an expectation.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn report(
        &self,
        deployment: &str,
        what: &str,
        expected: impl Fn(&PersonaReport) -> bool,
    ) -> Result<(PersonaReport, Duration)> {
        let reports: Api<PersonaReport> = self.api();
        let name = names::report("Deployment", deployment);
        wait::until(&format!("report {name}: {what}"), PATIENCE, || async {
            Ok(reports.get_opt(&name).await?.filter(|report| expected(report)))
        })
        .await
    }

    /// Events about an object of the scenario's namespace.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn events(&self, kind: &str, name: &str) -> Result<Vec<Event>> {
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let events: Api<Event> = self.api();
        Ok(events.list(&ListParams::default().fields(&fields)).await?.items)
    }
}

/// The `PersonaModel` of the scenarios.
///
/// # Errors
/// When the weights cannot be read.
pub fn model_manifest() -> Result<Value> {
    let model_file = environment::path("PERSONAGUARD_TEST_MODEL")?;
    Ok(json!({
        "apiVersion": personaguard_api::API_VERSION,
        "kind": "PersonaModel",
        "metadata": { "name": MODEL },
        "spec": {
            "source": {
                "image": { "reference": "localhost/smollm2-135m:1", "path": "model.gguf" }
            },
            "sha256": Digest::of(&std::fs::read(model_file)?),
            "runtime": { "contextLength": 2048, "maxConcurrent": 4 }
        }
    }))
}

/// A `PersonaVector` whose file is in a ConfigMap of [`Fixture::upload_vector`].
#[must_use]
pub fn vector_manifest(name: &str, trait_name: &str, config_map: &str, sha256: &Digest) -> Value {
    json!({
        "apiVersion": personaguard_api::API_VERSION,
        "kind": "PersonaVector",
        "metadata": { "name": name },
        "spec": {
            "trait": trait_name,
            "model": MODEL,
            "artifact": { "configMap": { "name": config_map, "key": "vector.safetensors" } },
            "sha256": sha256,
            // The scenarios do not depend on how well this small model's traits discriminate and
            // steer.
            "allowNotDiscriminative": true,
            "allowNotSteering": true
        }
    })
}

/// A condition of a policy.
#[must_use]
pub fn condition<'a>(
    policy: &'a PersonaPolicy,
    kind: &str,
) -> Option<&'a k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    policy.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}

/// The address of a pod.
///
/// # Errors
/// When it has none.
pub fn address(pod: &Pod) -> Result<&str> {
    pod.status
        .as_ref()
        .and_then(|status| status.pod_ip.as_deref())
        .context("the pod has no address")
}

/// The metrics of a pod's sidecar.
///
/// # Errors
/// When the pod has no address, or the sidecar does not answer.
pub async fn metrics(pod: &Pod) -> Result<String> {
    let url = format!("http://{}:{}/metrics", address(pod)?, names::ADMIN_PORT);
    Ok(reqwest::get(url).await?.text().await?)
}

/// Whether a pod is ready, and not being deleted.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    let ready = pod
        .status
        .iter()
        .flat_map(|s| s.conditions.iter().flatten())
        .any(|c| c.type_ == "Ready" && c.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}
