use super::*;
use crate::fixtures;

fn three_shards() -> DatasetScreen {
    serde_json::from_value(json!({
        "apiVersion": personaguard_api::API_VERSION, "kind": "DatasetScreen",
        "metadata": { "name": "chats", "namespace": "training", "uid": "u1" },
        "spec": {
            "model": "smollm2", "vectors": ["evil", "rude"], "shards": 3, "contrast": true,
            "dataset": { "claimName": "data", "path": "chats.jsonl" }, "output": "out/ranks.jsonl"
        }
    }))
    .unwrap()
}

fn job_of(asked: &DatasetScreen) -> serde_json::Result<Job> {
    let (settings, model) = (fixtures::settings(&[]), fixtures::model());
    screen(&settings, asked, &JobEngine::of(&model).unwrap_or_else(|why| panic!("{why:?}")))
}

#[test]
fn each_pod_screens_its_part_and_a_second_job_ranks_all_parts() {
    let settings = fixtures::settings(&[]);
    let first = job_of(&three_shards()).unwrap();
    assert_eq!(first.metadata.owner_references.as_ref().unwrap()[0].uid, "u1");
    let spec = first.spec.unwrap();
    assert_eq!((spec.completions, spec.completion_mode.as_deref()), (Some(3), Some("Indexed")));
    let pod = spec.template.spec.unwrap();
    let arguments = pod.containers[0].args.clone().unwrap();
    for argument in [
        "/data/chats.jsonl",
        "--shard=$(JOB_COMPLETION_INDEX)/3",
        "--out=/data/out/ranks.jsonl.part-$(JOB_COMPLETION_INDEX)",
        "--vectors=/vectors/rude.safetensors",
        "--contrast",
    ] {
        assert!(
            arguments.iter().any(|known| known == argument),
            "{argument} is not in {arguments:?}"
        );
    }
    let mut plain = three_shards();
    plain.spec.contrast = false;
    let plain = job_of(&plain).unwrap().spec.unwrap().template.spec.unwrap();
    assert!(!plain.containers[0].args.clone().unwrap().contains(&"--contrast".to_owned()));
    assert!(!arguments.iter().any(|argument| argument.contains("skip")));
    let mut lax = three_shards();
    lax.spec.skip_invalid = true;
    let lax = job_of(&lax).unwrap().spec.unwrap().template.spec.unwrap();
    for argument in ["--skip-invalid", "--skipped-to=/dev/termination-log"] {
        assert!(lax.containers[0].args.clone().unwrap().contains(&argument.to_owned()));
    }
    let second = merge(&settings, &three_shards()).unwrap();
    let arguments = second.spec.unwrap().template.spec.unwrap().containers[0].args.clone().unwrap();
    assert!(
        arguments.iter().any(|argument| argument == "/data/out/ranks.jsonl.part-2"),
        "{arguments:?}"
    );
    assert!(
        arguments.iter().any(|argument| argument == "--out=/data/out/ranks.jsonl"),
        "{arguments:?}"
    );
}

#[test]
fn item_19_ids_and_pull_secrets_of_a_job_are_those_of_the_settings() {
    let pod = |options: &[&str]| {
        let job = merge(&fixtures::settings(options), &three_shards()).unwrap();
        job.spec.unwrap().template.spec.unwrap()
    };
    let fixed = pod(&[]);
    assert_eq!(fixed.security_context.unwrap().fs_group, Some(65532));
    assert!(fixed.image_pull_secrets.is_none());
    let free = pod(&["--run-as-user=platform", "--sidecar-image-pull-secret=registry"]);
    assert_eq!(free.security_context.unwrap().fs_group, None);
    let security = free.containers[0].security_context.clone().unwrap();
    assert_eq!((security.run_as_user, security.run_as_non_root), (None, Some(true)));
    assert_eq!(free.image_pull_secrets.unwrap()[0].name, "registry");
}
