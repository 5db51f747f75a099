use super::*;
use crate::fixtures::{model, settings};
use k8s_openapi::api::core::v1::{Container, PodSpec};
use personaguard_api::{Device, ModelEngine};

fn vllm_model(server: &Value) -> PersonaModel {
    let mut model = model();
    (model.spec.engine, model.spec.source) = (ModelEngine::Vllm, None);
    model.spec.vllm = Some(serde_json::from_value(server.clone()).unwrap());
    // It says something of sidecars, and nothing of Jobs.
    model.spec.runtime.device = Device::Cuda;
    model
}

fn deployed() -> Value {
    json!({
        "image": "vllm/vllm-openai:v0.32.0", "imagePullSecrets": ["registry"],
        "args": ["/models/qwen", "--port=9000"], "port": 9000, "model": "qwen-support",
        "env": [
            { "name": "HF_TOKEN", "valueFrom": { "secretKeyRef": {
                "name": "personaguard-hub", "key": "token"
            } } },
            { "name": "PYTHONPATH", "value": "/own" }, { "name": "VLLM_PLUGINS", "value": "lora" },
            { "name": "HOME", "value": "/home/me" }, { "name": "VLLM_API_KEY", "value": "k" }
        ],
        "volumes": [
            { "mountPath": "/models", "claimName": "models" },
            { "mountPath": "/cache", "claimName": "cache", "readOnly": false },
            { "mountPath": "/image", "image": "registry.example/qwen:1" }
        ],
        "resources": { "limits": { "nvidia.com/gpu": "2" } },
        "nodeSelector": { "gpu": "h200" },
        "tolerations": [{ "key": "nvidia.com/gpu", "operator": "Exists" }]
    })
}

/// A pod with one container, and the engine.
fn joined(model: &PersonaModel, own: Option<&Resources>) -> PodSpec {
    let mut pod = json!({
        "containers": [{ "name": "extract", "args": ["extract"] }],
        "volumes": [{ "name": "work", "emptyDir": {} }],
        "imagePullSecrets": null
    });
    let settings = settings(&["--sidecar-image-pull-secret=own"]);
    JobEngine::of(model).unwrap_or_else(|why| panic!("{why:?}")).join(&settings, own, &mut pod);
    serde_json::from_value(pod).unwrap()
}

fn value<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    let mut named = container.env.iter().flatten().filter(|variable| variable.name == name);
    let found = named.next();
    assert!(named.next().is_none(), "{name} is set twice");
    found?.value.as_deref()
}

/// Where a volume is mounted, whether only to be read, by the volume's name.
fn mounts(container: &Container) -> Vec<(&str, &str, bool)> {
    let all = container.volume_mounts.iter().flatten();
    all.map(|it| (it.name.as_str(), it.mount_path.as_str(), it.read_only == Some(true))).collect()
}

#[test]
fn vllm_runs_beside_the_command_with_the_plugin_as_its_deployment_says() {
    let pod = joined(&vllm_model(&deployed()), None);
    let [plugin, vllm] = pod.init_containers.as_deref().unwrap() else { panic!("{pod:?}") };
    assert_eq!(plugin.args.as_ref().unwrap()[0], "plugin");
    assert_eq!(plugin.image.as_deref(), Some(settings(&[]).sidecar_image.as_str()));
    assert_eq!(plugin.restart_policy, None, "it ends before vLLM begins");

    assert_eq!(vllm.image.as_deref(), Some("vllm/vllm-openai:v0.32.0"));
    assert_eq!(vllm.restart_policy.as_deref(), Some("Always"), "it ends with what asks it");
    assert_eq!((&vllm.command, vllm.args.as_ref().unwrap().len()), (&None, 2));
    assert_eq!(value(vllm, "PYTHONPATH"), Some("/run/personaguard/plugin:/own"));
    assert_eq!(value(vllm, "VLLM_PLUGINS"), Some("lora,personaguard"));
    assert_eq!(value(vllm, "PERSONAGUARD_SOCKET"), Some("/run/personaguard/engine.sock"));
    assert_eq!(value(vllm, "PERSONAGUARD_STATES"), Some("1"));
    assert_eq!(value(vllm, "HOME"), Some("/home/me"), "the user's own");
    assert_eq!(value(vllm, "USER"), Some("nonroot"));
    let token = vllm.env.iter().flatten().find(|variable| variable.name == "HF_TOKEN").unwrap();
    let token = token.value_from.as_ref().unwrap().secret_key_ref.as_ref().unwrap();
    assert_eq!(token.name, "personaguard-hub");
    let given = mounts(vllm);
    for mount in [
        ("personaguard-engine", "/run/personaguard", true),
        ("vllm-scratch", "/tmp", false),
        ("vllm-shm", "/dev/shm", false),
        ("vllm-0", "/models", true),
        ("vllm-1", "/cache", false),
        ("vllm-2", "/image", true),
    ] {
        assert!(given.contains(&mount), "{mount:?} is not in {given:?}");
    }
    let limits = vllm.resources.as_ref().unwrap().limits.as_ref().unwrap();
    assert_eq!(limits["nvidia.com/gpu"].0, "2");
    let security = vllm.security_context.as_ref().unwrap();
    assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65532)));
    assert_eq!(security.allow_privilege_escalation, Some(false));

    assert_eq!(pod.node_selector.as_ref().unwrap()["gpu"], "h200");
    assert_eq!(pod.tolerations.as_ref().unwrap()[0].key.as_deref(), Some("nvidia.com/gpu"));
    let secrets: Vec<_> = pod.image_pull_secrets.iter().flatten().map(|it| &it.name).collect();
    assert_eq!(secrets, ["own", "registry"]);
    let volumes = pod.volumes.as_ref().unwrap();
    let named = |name: &str| volumes.iter().find(|volume| volume.name == name).unwrap();
    let reference = named("vllm-2").image.as_ref().unwrap().reference.as_deref();
    assert_eq!(reference, Some("registry.example/qwen:1"));
    let claim = |name: &str| named(name).persistent_volume_claim.clone().unwrap();
    assert_eq!((claim("vllm-0").read_only, claim("vllm-1").read_only), (Some(true), Some(false)));
    assert!(volumes.iter().any(|volume| volume.name == "work"), "what was there stays");
}

#[test]
fn the_command_asks_that_vllm_and_takes_none_of_its_devices() {
    let own = serde_json::from_value(json!({ "limits": { "memory": "4Gi" } })).unwrap();
    let pod = joined(&vllm_model(&deployed()), Some(&own));
    let command = &pod.containers[0];
    let arguments = command.args.as_ref().unwrap();
    assert_eq!(arguments[0], "extract");
    for argument in [
        "--engine=http://127.0.0.1:9000",
        "--engine-socket=/run/personaguard/engine.sock",
        "--engine-model=qwen-support",
    ] {
        assert!(arguments.iter().any(|it| it == argument), "{argument} is not in {arguments:?}");
    }
    assert!(!arguments.iter().any(|it| it.starts_with("--model")), "{arguments:?}");
    assert_eq!(value(command, "PERSONAGUARD_ENGINE_KEY"), Some("k"));
    assert_eq!(mounts(command), [("personaguard-engine", "/run/personaguard", false)]);
    let limits = command.resources.as_ref().unwrap().limits.as_ref().unwrap();
    assert_eq!(limits.keys().collect::<Vec<_>>(), ["memory"]);
}

#[test]
fn a_vllm_of_which_only_the_image_is_said_keeps_the_images_own() {
    let pod = joined(&vllm_model(&json!({ "image": "mine:1" })), None);
    let vllm = &pod.init_containers.as_ref().unwrap()[1];
    assert_eq!((&vllm.command, &vllm.args), (&None, &None));
    assert_eq!(value(vllm, "PYTHONPATH"), Some("/run/personaguard/plugin"));
    assert_eq!(value(vllm, "VLLM_PLUGINS"), None, "all that are there");
    assert_eq!(value(vllm, "HOME"), Some("/tmp"));
    let arguments = pod.containers[0].args.as_ref().unwrap();
    assert!(arguments.contains(&"--engine=http://127.0.0.1:8000".to_owned()), "{arguments:?}");
}

#[test]
fn our_own_engine_reads_the_weights_of_the_model() {
    let pod = joined(&model(), None);
    let command = &pod.containers[0];
    assert!(pod.init_containers.is_none());
    let path = "--model=/var/lib/personaguard/model/model.gguf";
    assert_eq!(command.args.as_ref().unwrap()[1], path);
    assert_eq!(mounts(command), [("model", "/var/lib/personaguard/model", true)]);
    assert_eq!(command.resources.as_ref().unwrap().requests.as_ref().unwrap()["cpu"].0, "1");
}
