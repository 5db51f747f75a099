//! The config folder: as the operator mounts it, as plain manifests, and changed under way.

use crate::rig::{Folder, LAYER, MODEL, Rig, Variant, chat, policy, text, vector, weights, with};
use futures::StreamExt as _;
use personaguard_persona::{LayerMatrix, ModelIdentity, SampleCounts, VectorFile, VectorMetadata};
use personaguard_server::config::{Source, load};
use personaguard_terms::{Action, Digest, names};
use personaguard_wire::{GuardConfig, PodState};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_applied_without_restart_and_spares_answers_in_progress() {
    let mut rig = Rig::ready(vec![policy(Action::Alert, Some(-1e6))]).await;
    let body = with(chat("Tell me about the sea."), json!({ "stream": true, "max_tokens": 1000 }));
    let mut running = rig.post(&body).await.bytes_stream();
    let mut bytes = running.next().await.unwrap().unwrap().to_vec();

    rig.folder.config.policies[0] = policy(Action::Block, Some(-1e6));
    rig.folder.config.policies[0].generation = 4;
    rig.folder.write();
    let acknowledged = async || rig.sidecar().app().report().policies[0].generation == 4;
    rig.until("acknowledged", acknowledged).await;
    assert_eq!(
        rig.metric("personaguard_policy_generation{policy=\"no-villains\"}").await,
        Some(4.0)
    );
    assert_eq!(text(&rig.complete(&chat("Hi")).await), "");

    while let Some(chunk) = running.next().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    let (chunks, done) = crate::rig::parse_sse(&String::from_utf8(bytes).unwrap());
    assert!(done && crate::rig::finish_reason(&chunks) != "content_filter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_config_leaves_the_one_before_in_force() {
    let rig = Rig::ready(vec![policy(Action::Block, Some(-1e6))]).await;
    let file = rig.folder.path().join("config.yaml");
    std::fs::write(&file, "apiVersion: personaguard.dev/v1alpha1\nkind: GuardConfig\nmodel: 5\n")
        .unwrap();
    let told = async || rig.sidecar().app().report().config_error.is_some();
    rig.until("told", told).await;
    assert_eq!(text(&rig.complete(&chat("Hi")).await), "");
    assert_eq!(rig.get("/readyz").await.0, 200);
    assert_eq!(
        rig.metric("personaguard_config_reloads_total{result=\"rejected\"}").await,
        Some(1.0)
    );
    rig.folder.write();
    let mended = async || rig.sidecar().app().report().config_error.is_none();
    rig.until("mended", mended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_read_as_the_kubelet_swaps_it() {
    let folder = Folder::new(vec![policy(Action::Alert, Some(1.0))]).await;
    let mount = tempfile::TempDir::new().unwrap();
    let publish = |version: &str, config: &str| {
        let data = mount.path().join(version);
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("config.yaml"), config).unwrap();
        std::fs::copy(folder.path().join("vectors.safetensors"), data.join("vectors.safetensors"))
            .unwrap();
        symlink(version, mount.path().join("..data_tmp")).unwrap();
        std::fs::rename(mount.path().join("..data_tmp"), mount.path().join("..data")).unwrap();
    };
    publish("..1", &folder.config.to_yaml().unwrap());
    symlink("..data/config.yaml", mount.path().join("config.yaml")).unwrap();
    symlink("..data/vectors.safetensors", mount.path().join("vectors.safetensors")).unwrap();
    let source =
        Source { folder: mount.path().to_owned(), model_file: None, labels: None, identity: None };
    let before = personaguard_server::config::fingerprint(&source);
    assert_eq!(load(&source).unwrap().guard, folder.config);
    assert_eq!(before, personaguard_server::config::fingerprint(&source));
    let mut changed = folder.config.clone();
    changed.policies[0].generation = 9;
    publish("..2", &changed.to_yaml().unwrap());
    assert_ne!(before, personaguard_server::config::fingerprint(&source));
    assert_eq!(load(&source).unwrap().guard, changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_policies_that_select_the_pod_are_enforced() {
    let mut folder = Folder::new(vec![policy(Action::Block, Some(-1e6))]).await;
    folder.config.policies[0].selector.match_labels =
        [("app".to_owned(), "chat".to_owned())].into();
    folder.write();
    let labels = folder.path().join("labels");
    std::fs::write(&labels, "app=\"other\"\ntier=\"web\"\n").unwrap();
    let rig =
        Rig::start(folder, Variant { labels: Some(labels.clone()), ..Variant::default() }).await;
    rig.until_ready().await;
    assert!(rig.sidecar().app().report().policies.is_empty());
    assert_ne!(text(&rig.complete(&chat("Hi")).await), "");
    // Relabelled, the pod is guarded without a restart.
    std::fs::write(&labels, "app=\"chat\"\ntier=\"web-1\"\n").unwrap();
    let guarded = async || !rig.sidecar().app().report().policies.is_empty();
    rig.until("guarded", guarded).await;
    assert_eq!(text(&rig.complete(&chat("Hi")).await), "");
}

/// A vector file of the test's vector at every layer.
async fn vector_file(trait_name: &str) -> Vec<u8> {
    let (digest, values) = vector().await;
    let metadata = VectorMetadata {
        format: VectorMetadata::FORMAT.to_owned(),
        trait_name: trait_name.to_owned(),
        description: String::new(),
        model: ModelIdentity { name: MODEL.to_owned(), sha256: digest.to_string() },
        made_on: None,
        method: "mean-difference/response-avg".to_owned(),
        counts: SampleCounts { positive: 1, negative: 1 },
        best_layer: LAYER,
        validation: vec![],
        calibration: vec![],
        steering: Vec::new(),
        settings: Default::default(),
    };
    let matrix = LayerMatrix::from_rows(&vec![values.clone(); 31]).unwrap();
    VectorFile::new(metadata, matrix, None, None).unwrap().to_bytes().unwrap()
}

async fn manifests(folder: &Path, coefficient: &str) {
    let file = vector_file("evil").await;
    std::fs::write(folder.join("evil.safetensors"), &file).unwrap();
    let (model_digest, _) = vector().await;
    let text = format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: something-else}}
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaModel
metadata: {{name: {MODEL}}}
spec:
  source: {{image: {{reference: localhost/model:1, path: model.gguf}}}}
  sha256: {model_digest}
  runtime: {{contextLength: 512, threads: 1}}
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaVector
metadata: {{name: evil}}
spec:
  trait: evil
  model: {MODEL}
  artifact: {{configMap: {{name: vectors, key: evil.safetensors}}}}
  sha256: {}
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaPolicy
metadata: {{name: no-villains, namespace: support}}
spec:
  mode: Enforce
  selector: {{matchLabels: {{app: chat}}}}
  model: {MODEL}
  traits:
  - {{vector: evil, threshold: {{projection: 1.5}}, action: Steer, steer: {{coefficient: \
  {coefficient}}}}}
",
        Digest::of(&file)
    );
    std::fs::write(folder.join("policy.yaml"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_for_kubectl_serve_without_a_cluster() {
    let folder = Folder::new(vec![]).await;
    std::fs::remove_file(folder.path().join("config.yaml")).unwrap();
    std::fs::remove_file(folder.path().join("vectors.safetensors")).unwrap();
    manifests(folder.path(), "-1.5").await;
    symlink(weights(), folder.path().join("model.gguf")).unwrap();
    let rig = Rig::start(folder, Variant::default()).await;
    rig.until_ready().await;
    let body = with(chat("Hi"), json!({ "personaguard": { "scores": true } }));
    let score = &rig.complete(&body).await["personaguard"]["scores"][0];
    assert_eq!(
        (&score["threshold"], &score["action"], &score["policy"]),
        (&json!(1.5), &json!("Steer"), &json!("no-villains"))
    );
    let report = rig.sidecar().app().report();
    assert_eq!((report.model.state, report.policies.len()), (PodState::Ready, 1));

    // What a cluster would refuse is refused here, in a sentence; what was in force stays.
    manifests(rig.folder.path(), "-40").await;
    let told = async || rig.sidecar().app().report().config_error.is_some();
    rig.until("told", told).await;
    let error = rig.sidecar().app().report().config_error.unwrap();
    assert!(error.contains("between -4 and 4"), "{error}");
    assert_eq!(rig.post(&chat("Hi")).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_say_what_is_wrong_with_them() {
    let folder = tempfile::TempDir::new().unwrap();
    let source = Source {
        folder: folder.path().to_owned(),
        model_file: Some(weights()),
        labels: None,
        identity: None,
    };
    let error = |part: &str| {
        let error = load(&source).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    error("holds 0 PersonaModels");
    manifests(folder.path(), "-1").await;
    assert_eq!(load(&source).unwrap().guard.policies.len(), 1);
    std::fs::write(folder.path().join("evil.safetensors"), vector_file("kind").await).unwrap();
    error("SHA-256");
    std::fs::remove_file(folder.path().join("evil.safetensors")).unwrap();
    error("evil.safetensors");
    manifests(folder.path(), "-1").await;
    let text = std::fs::read_to_string(folder.path().join("policy.yaml")).unwrap();
    std::fs::write(
        folder.path().join("policy.yaml"),
        text.replace("key: evil.safetensors", "key: ../evil.safetensors"),
    )
    .unwrap();
    error("not a file name");
    std::fs::write(folder.path().join("policy.yaml"), "kind: [\n").unwrap();
    error("policy.yaml");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_of_placement_engine_are_those_for_kubectl() {
    let folder = tempfile::TempDir::new().unwrap();
    let source =
        Source { folder: folder.path().to_owned(), model_file: None, labels: None, identity: None };
    manifests(folder.path(), "-1").await;
    let file = folder.path().join("policy.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let own = "source: {image: {reference: localhost/model:1, path: model.gguf}}";
    assert!(text.contains(own));
    let vllm = text.replace(own, "engine: Vllm");
    std::fs::write(&file, &vllm).unwrap();
    let error = load(&source).unwrap_err().to_string();
    assert!(error.contains("use placement Engine"), "{error}");
    let placed = vllm.replace("  traits:", "  placement: Engine\n  port: http\n  traits:");
    std::fs::write(&file, placed).unwrap();
    let config = load(&source).unwrap();
    assert_eq!((config.guard.policies.len(), config.vectors.len()), (1, 1));
    // There are no weights to serve alone.
    let todo = config.model_file.unwrap_err();
    assert!(todo.contains("--engine-socket"), "{todo}");
}

#[tokio::test(flavor = "multi_thread")]
async fn item_13_another_identity_of_the_model_does_not_take_a_running_sidecar_down() {
    let rig = Rig::ready(vec![policy(Action::Block, Some(-1e6))]).await;
    let serves = async || {
        assert_eq!(rig.get("/readyz").await.0, 200);
        let answer = rig.complete(&with(chat("Hi"), json!({ "max_tokens": 4 }))).await;
        assert_eq!(answer["choices"][0]["finish_reason"], "content_filter", "{answer}");
    };
    serves().await;
    let before = rig.sidecar().app().report();
    let good = rig.folder.config.clone();
    let write = |config: &GuardConfig| {
        let file = rig.folder.path().join("config.yaml");
        std::fs::write(file.with_extension("new"), config.to_yaml().unwrap()).unwrap();
        std::fs::rename(file.with_extension("new"), file).unwrap();
    };
    type Edit = fn(&mut GuardConfig);
    let edits: [Edit; 4] = [
        |it| it.model.sha256 = Digest::of(b"typed wrong"),
        |it| it.model.file = "/nowhere.gguf".to_owned(),
        |it| it.model.context_length /= 2,
        // What else came with it is not applied either: it is for other weights.
        |it| {
            it.model.sha256 = Digest::of(b"newer weights");
            it.policies.clear();
        },
    ];
    for edit in edits {
        let mut edited = good.clone();
        edit(&mut edited);
        write(&edited);
        let held = async || rig.sidecar().app().report().config_error.is_some();
        rig.until("the config to be held", held).await;
        serves().await;
        let report = rig.sidecar().app().report();
        assert_eq!(
            (report.model, report.policies),
            (before.model.clone(), before.policies.clone())
        );
        assert!(report.config_error.unwrap().contains("until its pod is replaced"));
        write(&good);
        let applied = async || rig.sidecar().app().report().config_error.is_none();
        rig.until("the former config", applied).await;
    }
    // Nothing was loaded again.
    assert_eq!(rig.sidecar().app().report().model, before.model);
}

#[tokio::test(flavor = "multi_thread")]
async fn item_13_a_pod_for_former_weights_reads_their_config_also_after_a_restart() {
    let folder = Folder::new(vec![policy(Action::Block, Some(-1e6))]).await;
    let (good, identity) = (folder.config.clone(), folder.config.model.identity());
    let former = folder.path().join(names::former_config(&identity));
    std::fs::write(&former, good.to_yaml().unwrap()).unwrap();
    let vectors = folder.path().join(names::former_vectors(&identity));
    std::fs::copy(folder.path().join(names::VECTORS_FILE), vectors).unwrap();
    // The model is another for new pods, whose vectors are, too.
    let mut present = good.clone();
    present.model.sha256 = Digest::of(b"newer weights");
    std::fs::write(folder.path().join(names::CONFIG_FILE), present.to_yaml().unwrap()).unwrap();
    std::fs::write(folder.path().join(names::VECTORS_FILE), b"newer").unwrap();
    let variant = || Variant { identity: Some(identity.clone()), ..Variant::default() };
    let rig = Rig::start(folder, variant()).await;
    rig.until_ready().await;
    assert_eq!(rig.sidecar().app().report().policies.len(), 1);
    // Edits reach it there.
    let mut edited = good.clone();
    edited.policies.clear();
    std::fs::write(&former, edited.to_yaml().unwrap()).unwrap();
    let withdrawn = async || rig.sidecar().app().report().policies.is_empty();
    rig.until("the policy to be withdrawn", withdrawn).await;
    assert_eq!(rig.get("/readyz").await.0, 200);
}
