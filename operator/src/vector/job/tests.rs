use super::*;
use crate::fixtures;
use k8s_openapi::api::core::v1::PodSpec;
use personaguard_api::{ModelEngine, PersonaModel};

fn vector(spec: &Value) -> PersonaVector {
    serde_json::from_value(json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaVector",
        "metadata": { "name": "evil", "uid": "u1" }, "spec": spec
    }))
    .unwrap()
}

fn with<T>(vector: &PersonaVector, make: impl FnOnce(ExtractionJobs<'_>) -> T) -> T {
    let (settings, model, digest) = (fixtures::settings(&[]), fixtures::model(), Digest::of(b"d"));
    make(jobs(&settings, &model, vector, &digest))
}

fn jobs<'a>(
    settings: &'a Settings,
    model: &'a PersonaModel,
    vector: &'a PersonaVector,
    digest: &'a Digest,
) -> ExtractionJobs<'a> {
    let engine = JobEngine::of(model).unwrap_or_else(|why| panic!("{why:?}"));
    ExtractionJobs { settings, authorities: "PEM", vector, engine, digest }
}

fn pod(job: &Job) -> PodSpec {
    job.spec.clone().unwrap().template.spec.unwrap()
}

fn arguments(job: &Job) -> Vec<String> {
    pod(job).containers[0].args.clone().unwrap()
}

#[test]
fn a_job_runs_the_command_without_privileges_and_is_owned_by_its_vector() {
    let spec = json!({
        "trait": "evil", "description": "evil: wishes harm", "model": "smollm2",
        "extraction": { "tokens": 32 }
    });
    let mut vector = vector(&spec);
    let job = with(&vector, |jobs| jobs.generate()).unwrap();
    assert_eq!(job.metadata.owner_references.as_ref().unwrap()[0].uid, "u1");
    let template = job.spec.clone().unwrap().template;
    assert_eq!(template.metadata.unwrap().annotations.unwrap()[names::CA_ANNOTATION], "PEM");
    let built_in = arguments(&job);
    assert!(built_in.contains(&"--tokens=32".to_owned()), "{built_in:?}");
    assert!(
        !built_in.iter().any(|a| a.starts_with("--description")),
        "a built-in trait has its own description"
    );
    let security = pod(&job).containers[0].security_context.clone().unwrap();
    assert_eq!(security.run_as_non_root, Some(true));
    assert_eq!(security.read_only_root_filesystem, Some(true));
    vector.spec.trait_name = "pompous".into();
    let described = arguments(&with(&vector, |jobs| jobs.generate()).unwrap());
    assert!(described.contains(&"--description=evil: wishes harm".to_owned()), "{described:?}");
}

#[test]
fn each_pod_writes_a_part_and_one_more_makes_the_vector() {
    let extraction = json!({ "shards": 3, "workspace": { "claimName": "work" } });
    let vector = vector(&json!({ "trait": "evil", "model": "smollm2", "extraction": extraction }));
    let (generate, merge) = with(&vector, |jobs| (jobs.generate().unwrap(), jobs.merge().unwrap()));
    let spec = generate.spec.clone().unwrap();
    assert_eq!((spec.completions, spec.completion_mode.as_deref()), (Some(3), Some("Indexed")));
    assert_eq!(generate.metadata.annotations.as_ref().unwrap()[names::SHARDS_ANNOTATION], "3");
    let given = arguments(&generate);
    assert!(given.contains(&"--shard=$(JOB_COMPLETION_INDEX)/3".to_owned()), "{given:?}");
    let outs: Vec<_> =
        given.iter().filter_map(|argument| argument.strip_prefix("--out=")).collect();
    let [out] = outs.as_slice() else { panic!("one file, not {outs:?}") };
    let taken = arguments(&merge);
    for index in ["0", "1", "2"] {
        let part = format!("--parts={}", out.replace("$(JOB_COMPLETION_INDEX)", index));
        assert!(taken.contains(&part), "{part} is not in {taken:?}");
    }
    let claim = pod(&merge)
        .volumes
        .unwrap()
        .into_iter()
        .find_map(|volume| volume.persistent_volume_claim)
        .unwrap();
    assert_eq!(claim.claim_name, "work");
}

#[test]
fn the_key_of_an_endpoint_is_never_seen_by_the_operator() {
    let endpoint = json!({
        "url": "https://llm.example/v1", "model": "judge",
        "keySecret": { "name": "llm", "key": "token" }
    });
    let vector = vector(
        &json!({ "trait": "evil", "model": "smollm2", "extraction": { "endpoint": endpoint } }),
    );
    let job = with(&vector, |jobs| jobs.generate()).unwrap();
    let given = arguments(&job);
    assert!(given.contains(&"--endpoint=https://llm.example/v1".to_owned()), "{given:?}");
    assert!(given.contains(&"--endpoint-model=judge".to_owned()), "{given:?}");
    let variable = pod(&job).containers[0].env.clone().unwrap().remove(0);
    let source = variable.value_from.unwrap().secret_key_ref.unwrap();
    assert_eq!(
        (variable.name.as_str(), source.name.as_str(), source.key.as_str()),
        (ENDPOINT_KEY, "llm", "token")
    );
}

#[test]
fn a_vector_on_vllms_weights_is_extracted_beside_a_vllm() {
    let mut model = fixtures::model();
    (model.spec.engine, model.spec.source) = (ModelEngine::Vllm, None);
    model.spec.vllm = Some(serde_json::from_value(json!({ "image": "vllm:1" })).unwrap());
    let extraction = json!({ "shards": 2, "workspace": { "claimName": "work" } });
    let vector = vector(&json!({ "trait": "evil", "model": "smollm2", "extraction": extraction }));
    let (settings, digest) = (fixtures::settings(&[]), Digest::of(b"d"));
    let jobs = jobs(&settings, &model, &vector, &digest);
    // The vector is validated and calibrated by the second, which asks the model too.
    for job in [jobs.generate().unwrap(), jobs.merge().unwrap()] {
        let pod = pod(&job);
        let beside = pod.init_containers.as_deref().unwrap_or_default();
        let images: Vec<_> = beside.iter().filter_map(|it| it.image.as_deref()).collect();
        assert_eq!(images, [settings.sidecar_image.as_str(), "vllm:1"]);
        let given = arguments(&job);
        assert!(given.contains(&"--engine=http://127.0.0.1:8000".to_owned()), "{given:?}");
        // vLLM has no part in the token by which the operator knows the pod.
        let mounts = |container: &k8s_openapi::api::core::v1::Container| {
            let all = container.volume_mounts.iter().flatten().map(|it| it.name.clone());
            all.collect::<Vec<_>>()
        };
        assert!(mounts(&pod.containers[0]).contains(&TOKEN.to_owned()));
        assert!(beside.iter().all(|it| !mounts(it).contains(&TOKEN.to_owned())));
        assert_eq!(pod.automount_service_account_token, Some(false));
        assert_eq!(job.spec.unwrap().backoff_limit, Some(6));
    }
}
