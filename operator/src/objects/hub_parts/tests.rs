use super::*;
use crate::fixtures;
use crate::objects::pod_parts::weights_volume;
use personaguard_api::ModelSource;

fn hub(fields: &Value) -> HubSource {
    let mut hub = json!({ "repo": "acme/tiny", "revision": "main", "file": "q4/tiny.gguf" });
    for (name, value) in fields.as_object().unwrap() {
        hub[name] = value.clone();
    }
    serde_json::from_value(hub).unwrap()
}

fn model(fields: &Value) -> PersonaModel {
    let mut model = fixtures::model();
    model.spec.source =
        Some(ModelSource { image: None, persistent_volume_claim: None, hub: Some(hub(fields)) });
    model
}

fn named<'a>(list: &'a [Value], name: &str) -> Option<&'a Value> {
    list.iter().find(|it| it["name"] == name)
}

#[test]
fn a_sidecar_is_told_what_to_fetch_and_how_the_hub_is_reached() {
    let plain = source_environment(&hub(&json!({})));
    let expected = json!([
        { "name": "PERSONAGUARD_HUB_REPO", "value": "acme/tiny" },
        { "name": "PERSONAGUARD_HUB_REVISION", "value": "main" },
        { "name": "PERSONAGUARD_HUB_FILE", "value": "q4/tiny.gguf" },
        { "name": "HF_ENDPOINT", "value": "https://huggingface.co" },
        { "name": "PERSONAGUARD_HUB_MAX_SIZE", "value": "20Gi" }
    ]);
    assert_eq!(Value::Array(plain), expected);

    let full = hub(&json!({
        "endpoint": "https://hub.example", "proxy": "http://proxy:3128", "sizeLimit": "5Gi",
        "tokenSecret": { "name": "personaguard-hub", "key": "token" },
        "caConfigMap": { "name": "trust", "key": "bundle.pem" }
    }));
    let environment = source_environment(&full);
    let value = |name: &str| named(&environment, name).unwrap()["value"].clone();
    assert_eq!(value("HF_ENDPOINT"), "https://hub.example");
    assert_eq!(value("PERSONAGUARD_HUB_PROXY"), "http://proxy:3128");
    assert_eq!(value("PERSONAGUARD_HUB_CA_FILE"), "/etc/personaguard/hub-ca/ca.crt");
    assert_eq!(value("PERSONAGUARD_HUB_MAX_SIZE"), "5Gi");
    let token = &named(&environment, "HF_TOKEN").unwrap()["valueFrom"]["secretKeyRef"];
    assert_eq!(*token, json!({ "name": "personaguard-hub", "key": "token", "optional": true }));
    assert_eq!(mounts(&full)[0]["mountPath"], "/etc/personaguard/hub-ca");
    assert_eq!(volumes(&full)[0]["configMap"]["items"][0]["key"], "bundle.pem");
    // Other clients of the sidecar go their own way.
    assert!(named(&environment, "HTTPS_PROXY").is_none());
}

#[test]
fn weights_lie_in_the_pods_own_volume_or_in_a_claim() {
    let own = model(&json!({}));
    let volume = weights_volume("weights", own.spec.source.as_ref().unwrap());
    assert_eq!(volume["emptyDir"]["sizeLimit"], "20Gi");
    let claim = model(&json!({ "claimName": "models" }));
    let volume = weights_volume("weights", claim.spec.source.as_ref().unwrap());
    assert_eq!(volume["persistentVolumeClaim"], json!({ "claimName": "models" }));
    let hub = claim.spec.source.as_ref().unwrap().hub.as_ref().unwrap();
    assert!(named(&source_environment(hub), "PERSONAGUARD_HUB_MAX_SIZE").is_none());
    assert_eq!(own.spec.source.as_ref().unwrap().path(), "acme--tiny@main/q4/tiny.gguf");
}

#[test]
fn a_jobs_pod_fetches_before_it_begins() {
    let init = |model: &PersonaModel| {
        let source = model.spec.source.as_ref().unwrap();
        init_containers(&fixtures::settings(&[]), model, source, "model", None)
    };
    assert_eq!(init(&fixtures::model()), None);
    let model = model(&json!({ "tokenSecret": { "name": "personaguard-hub", "key": "token" } }));
    let containers = init(&model).unwrap();
    let container = &containers[0];
    let sha256 = format!("--sha256={}", model.spec.sha256);
    assert_eq!(
        container["args"],
        json!([
            "fetch",
            "acme/tiny",
            "--revision=main",
            "--file=q4/tiny.gguf",
            "--to=/var/lib/personaguard/model/acme--tiny@main",
            sha256
        ])
    );
    let environment = container["env"].as_array().unwrap();
    assert!(named(environment, "HF_TOKEN").is_some());
    let mount = named(container["volumeMounts"].as_array().unwrap(), "model").unwrap();
    assert!(mount.get("readOnly").is_none(), "it writes there: {mount}");
    assert_eq!(container["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
}
