//! What a running sidecar has loaded stays; another identity of the model is for new pods.

use super::{enforced, settle};
use crate::fixtures::{artifact, pod, policy, report};
use crate::policy::dereference::Inputs;
use crate::policy::fixtures::inputs;
use crate::policy::validate::validate;
use personaguard_api::{Device, Digest, PersonaModel, PodState, names};
use personaguard_wire::GuardConfig;
use std::sync::Arc;

/// A pod that runs, with the identity that it was injected with.
fn running() -> (Inputs, String) {
    let mut inputs = inputs(vec![policy("a", 3, "evil"), policy("b", 1, "evil")]);
    settle(&mut inputs);
    let env = inputs.injection.as_ref().unwrap().spec.container.clone().unwrap().env.unwrap();
    let identity =
        env.into_iter().find(|it| it.name == names::MODEL_IDENTITY_ENV).unwrap().value.unwrap();
    let mut pod = pod("chat-1", Some("smollm2"));
    pod.identity = Some(identity.clone());
    inputs.pods = vec![Arc::new(pod)];
    let known = enforced(&inputs, "config.yaml");
    let report = report("chat-1", &known.iter().collect::<Vec<_>>());
    inputs.reports.insert(report.uid.clone(), report);
    (inputs, identity)
}

fn model(inputs: &mut Inputs) -> &mut PersonaModel {
    Arc::make_mut(inputs.model.as_mut().unwrap())
}

fn file(inputs: &Inputs, name: &str) -> Option<String> {
    inputs.config_map.as_ref()?.data.as_ref()?.get(name).cloned()
}

#[test]
fn item_13_an_edit_of_the_model_is_for_pods_created_after_and_those_that_run_keep_everything() {
    type Edit = fn(&mut PersonaModel);
    let edits: [(&str, Edit); 5] = [
        ("sha256", |it| it.spec.sha256 = Digest::of(b"typed wrong")),
        ("context", |it| it.spec.runtime.context_length = 64),
        ("device", |it| it.spec.runtime.device = Device::Cuda),
        ("threads", |it| it.spec.runtime.threads = Some(3)),
        ("path", |it| {
            let image = it.spec.source.as_mut().unwrap().image.as_mut();
            image.unwrap().path = "other.gguf".into();
        }),
    ];
    for (case, edit) in edits {
        let (mut inputs, identity) = running();
        let before = file(&inputs, "config.yaml").unwrap();
        let vectors = inputs.config_map.as_ref().unwrap().binary_data.clone().unwrap();
        edit(model(&mut inputs));
        settle(&mut inputs);
        let former = file(&inputs, &names::former_config(&identity));
        assert_eq!(former.as_ref(), Some(&before), "{case}");
        let now = inputs.config_map.as_ref().unwrap().binary_data.clone().unwrap();
        assert_eq!(now[&names::former_vectors(&identity)], vectors["vectors.safetensors"]);
        // New pods are told the new one.
        let config = GuardConfig::from_yaml(file(&inputs, "config.yaml").unwrap().as_bytes());
        let present = config.unwrap().model.identity();
        assert_ne!(present, identity, "{case}");
        let env = inputs.injection.as_ref().unwrap().spec.container.clone().unwrap().env.unwrap();
        assert!(env.iter().any(|it| it.value.as_ref() == Some(&present)), "{case}");
        // The pod enforces what it did, and status counts it so.
        let validated = validate(&inputs);
        let pod = Arc::clone(&inputs.pods[0]);
        assert_eq!(validated.in_force_in(&pod, "a").unwrap().generation, 3, "{case}");
        // Nothing more is written, and the correction puts all back.
        let written = inputs.config_map.clone();
        settle(&mut inputs);
        assert_eq!(inputs.config_map, written, "{case}");
        inputs.model = Some(Arc::new(crate::fixtures::model()));
        settle(&mut inputs);
        assert_eq!(file(&inputs, "config.yaml"), Some(before), "{case}");
        assert_eq!(file(&inputs, &names::former_config(&identity)), None, "{case}");
    }
}

#[test]
fn item_13_a_former_config_goes_with_its_pods_and_its_policies_are_withdrawn() {
    let (mut inputs, identity) = running();
    model(&mut inputs).spec.sha256 = Digest::of(b"newer weights");
    inputs.vectors.insert("evil".into(), Ok(artifact(b"newer weights", 8)));
    settle(&mut inputs);
    let former = names::former_config(&identity);
    assert_eq!(enforced(&inputs, &former).len(), 2);
    assert_eq!(enforced(&inputs, "config.yaml").len(), 2, "and for new pods");
    // A policy that is deleted is withdrawn from both.
    let deleted = inputs.policies.remove(0);
    inputs.deleted_policies = vec![deleted.metadata.clone()];
    settle(&mut inputs);
    assert_eq!((enforced(&inputs, &former).len(), enforced(&inputs, "config.yaml").len()), (1, 1));
    // A pod that could not load its weights is to try the present ones.
    let report = inputs.reports.values_mut().next().unwrap();
    report.state = PodState::Failed;
    settle(&mut inputs);
    assert_eq!(file(&inputs, &former), None);
}

#[test]
fn item_13_what_is_no_identity_changes_at_once() {
    let (mut inputs, identity) = running();
    model(&mut inputs).spec.runtime.max_concurrent = 2;
    settle(&mut inputs);
    let config = GuardConfig::from_yaml(file(&inputs, "config.yaml").unwrap().as_bytes()).unwrap();
    assert_eq!((config.model.max_concurrent, config.model.identity()), (2, identity.clone()));
    assert_eq!(file(&inputs, &names::former_config(&identity)), None);
}
