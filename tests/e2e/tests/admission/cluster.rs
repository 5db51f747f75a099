//! What the cases share.

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Client, ResourceExt};
use personaguard_api::{PersonaInjection, names};
use personaguard_e2e::{environment, fixture, wait};
use serde_json::{Value, json};
use std::path::Path;

pub(crate) fn cases(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../admission").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The API server, as an administrator and as the operator.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// With the operator's name: nobody else may write what it owns.
    pub(crate) operator: Client,
    pub(crate) injection: Value,
    /// A namespace that the policy excludes.
    pub(crate) control: String,
}

impl Cluster {
    pub(crate) async fn connect() -> Self {
        environment::variable("KUBECONFIG").unwrap();
        // Fails only if an earlier test has installed a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_default().await.unwrap();
        let injection = cases("injection.yaml");
        let operator = operator().await;
        let mut cluster = Self { client, operator, injection, control: String::new() };
        cluster.control = cluster
            .namespace("control", &json!({ "personaguard.dev/injection": "disabled" }))
            .await;
        cluster
    }

    pub(crate) async fn namespace(&self, name: &str, labels: &Value) -> String {
        let generate_name = format!("admission-{name}-");
        let metadata = json!({ "generateName": generate_name, "labels": labels });
        let namespace: Namespace = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        Api::all(self.client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap()
            .name_any()
    }

    pub(crate) async fn inject(
        &self,
        namespace: &str,
        name: &str,
        selectors: &Value,
        image: Option<&str>,
    ) -> Value {
        let mut spec = self.injection.clone();
        spec["selectors"] = selectors.clone();
        if let Some(image) = image {
            spec["container"]["image"] = json!(image);
        }
        self.write(namespace, name, spec).await
    }

    pub(crate) async fn write(&self, namespace: &str, name: &str, spec: Value) -> Value {
        self.try_write(namespace, name, &spec).await.unwrap();
        spec
    }

    pub(crate) async fn try_write(
        &self,
        namespace: &str,
        name: &str,
        spec: &Value,
    ) -> Result<(), String> {
        let object: PersonaInjection = serde_json::from_value(
            json!({ "metadata": { "name": name, "namespace": namespace }, "spec": spec }),
        )
        .unwrap();
        let api: Api<PersonaInjection> = Api::namespaced(self.operator.clone(), namespace);
        let created = api.create(&PostParams::default(), &object).await;
        created.map(drop).map_err(|error| error.to_string())
    }

    /// A namespace with selectors in force.
    pub(crate) async fn guarded(&self, name: &str, selectors: &Value) -> String {
        let namespace = self.namespace(name, &json!({})).await;
        self.inject(&namespace, "case", selectors, None).await;
        self.settle(&namespace).await;
        namespace
    }

    /// Waits until the API server has seen the PersonaInjections of a namespace. It sees them in
    /// the order of the writes, so once a later one works, the earlier ones do, too.
    pub(crate) async fn settle(&self, namespace: &str) {
        let sentinel = labelled(&json!({ "sentinel": namespace }));
        self.inject(
            namespace,
            "sentinel",
            &json!([{ "matchLabels": { "sentinel": namespace } }]),
            None,
        )
        .await;
        wait::until(
            "the API server to see the sentinel's PersonaInjection",
            fixture::PATIENCE,
            || async {
                let pod = self.dry_run(namespace, &sentinel).await.map_err(anyhow::Error::msg)?;
                Ok(pod["spec"]["initContainers"].is_array().then_some(()))
            },
        )
        .await
        .unwrap();
    }

    /// What the API server makes of a pod, without the fields that differ between requests.
    pub(crate) async fn dry_run(&self, namespace: &str, pod: &Value) -> Result<Value, String> {
        let mut pod: Value = pod.clone();
        // The token volume's name is random, and the order of the mounts depends on that of the
        // admission plugins.
        if pod["spec"]["automountServiceAccountToken"].is_null() {
            pod["spec"]["automountServiceAccountToken"] = json!(false);
        }
        // The API server's default, set here so that the cases also hold where that plugin is off.
        if pod["spec"]["serviceAccountName"].is_null() {
            pod["spec"]["serviceAccountName"] = json!("default");
        }
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let answer =
            Api::<Pod>::namespaced(self.client.clone(), namespace).create(&params, &pod).await;
        let mut answer = serde_json::to_value(answer.map_err(|error| error.to_string())?).unwrap();
        for volatile in ["uid", "creationTimestamp", "managedFields", "namespace"] {
            answer["metadata"].as_object_mut().unwrap().remove(volatile);
        }
        if !answer["metadata"]["generateName"].is_null() {
            answer["metadata"].as_object_mut().unwrap().remove("name");
        }
        Ok(answer)
    }

    pub(crate) async fn assert_injected(&self, namespace: &str, pod: &Value, what: &str) {
        let expected =
            self.dry_run(&self.control, &injected_by_hand(pod, &self.injection)).await.unwrap();
        assert_eq!(self.dry_run(namespace, pod).await.unwrap(), expected, "{what}");
    }

    pub(crate) async fn assert_untouched(&self, namespace: &str, pod: &Value, what: &str) {
        let expected = self.dry_run(&self.control, pod).await.unwrap();
        assert_eq!(self.dry_run(namespace, pod).await.unwrap(), expected, "{what}");
    }

    /// Not called if a test fails, so that the objects can be inspected.
    pub(crate) async fn finish(self, namespaces: Vec<String>) {
        for namespace in namespaces.iter().chain([&self.control]) {
            Api::<Namespace>::all(self.client.clone())
                .delete(namespace, &DeleteParams::default())
                .await
                .unwrap();
        }
    }
}

/// A client with the name of the operator's ServiceAccount.
async fn operator() -> Client {
    let mut config = kube::Config::infer().await.unwrap();
    let name = format!("system:serviceaccount:{}:personaguard-operator", fixture::SYSTEM);
    config.auth_info.impersonate = Some(name);
    Client::try_from(config).unwrap()
}

/// A second implementation of injection: the sidecar comes first, but for what fills its claim, its
/// volumes replace those of the same name, containers get the variables that they do not have,
/// before their own, and meshes are told of its port.
pub(crate) fn injected_by_hand(pod: &Value, injection: &Value) -> Value {
    let mut pod = pod.clone();
    let named = |items: &[Value], name: &Value| items.iter().any(|item| item["name"] == *name);
    exclude_from_meshes(&mut pod, &injection["container"]);
    let spec = &mut pod["spec"];
    let added = list(&injection["volumes"]);
    let mut init = list(&spec["initContainers"]).to_vec();
    let place = init.iter().rposition(|it| fills_the_claim(it, list(&spec["volumes"]), added));
    init.insert(place.map_or(0, |place| place + 1), injection["container"].clone());
    spec["initContainers"] = json!(init);
    let mut volumes: Vec<Value> = list(&spec["volumes"])
        .iter()
        .filter(|volume| !named(added, &volume["name"]))
        .cloned()
        .collect();
    volumes.extend_from_slice(added);
    spec["volumes"] = json!(volumes);
    let annotation = pod["metadata"]["annotations"][names::CONTAINERS].as_str().unwrap_or_default();
    let told: Vec<String> = annotation
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|it| it.trim().to_owned())
        .collect();
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        if !told.is_empty() && !told.iter().any(|name| container["name"] == json!(name)) {
            continue;
        }
        let own = list(&container["env"]);
        let mut env: Vec<Value> = list(&injection["env"])
            .iter()
            .filter(|variable| !named(own, &variable["name"]))
            .cloned()
            .collect();
        env.extend_from_slice(own);
        if !env.is_empty() {
            container["env"] = json!(env);
        }
    }
    pod
}

/// Whether an init container may write to a claim that the sidecar mounts, and then ends.
fn fills_the_claim(container: &Value, volumes: &[Value], sidecars: &[Value]) -> bool {
    let claim =
        |volume: &Value| volume["persistentVolumeClaim"]["claimName"].as_str().map(str::to_owned);
    let shared = |name: &Value| {
        let mut own = volumes.iter().filter(|volume| volume["name"] == *name).filter_map(claim);
        own.any(|own| sidecars.iter().filter_map(claim).any(|claim| claim == own))
    };
    let mut mounts = list(&container["volumeMounts"]).iter();
    container["restartPolicy"] != json!("Always")
        && mounts.any(|mount| mount["readOnly"] != json!(true) && shared(&mount["name"]))
}

/// Under strict mutual TLS, Istio and Linkerd refuse the kubelet's probes of a native sidecar.
fn exclude_from_meshes(pod: &mut Value, sidecar: &Value) {
    if pod["metadata"]["annotations"].is_null() {
        pod["metadata"]["annotations"] = json!({});
    }
    let admin = list(&sidecar["ports"]).iter().find(|port| port["name"] == json!("pg-admin"));
    let Some(port) = admin.map(|port| port["containerPort"].to_string()) else { return };
    for key in
        ["traffic.sidecar.istio.io/excludeInboundPorts", "config.linkerd.io/skip-inbound-ports"]
    {
        let annotation = &mut pod["metadata"]["annotations"][key];
        let own = annotation.as_str().unwrap_or_default().to_owned();
        if !own.split(',').any(|it| it.trim() == port) {
            *annotation =
                json!(if own.is_empty() { port.clone() } else { format!("{own},{port}") });
        }
    }
}

pub(crate) fn labelled(labels: &Value) -> Value {
    let mut pod = json!({
        "metadata": { "name": "app" },
        "spec": { "containers": [{ "name": "app", "image": "app" }] }
    });
    if !labels.is_null() {
        pod["metadata"]["labels"] = labels.clone();
    }
    pod
}
