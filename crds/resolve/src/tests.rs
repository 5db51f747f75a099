use super::*;
use crate::fixtures::{model, policy, refusal, rule, sigma, steer, vectors};
use crate::vector::digest_of;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use personaguard_api::conditions::reason;
use personaguard_api::{Action, Capping, Layer, LayerBounds};

#[test]
fn only_vectors_in_use_are_in_the_config_and_it_reads_back() {
    let policies = [policy("p", "chat", vec![rule("evil", sigma(1.0 / 3.0), Action::Alert)])];
    let config = resolve(&model(), &vectors(), &policies).config;
    assert_eq!(config.vectors.keys().collect::<Vec<_>>(), ["evil"]);
    assert_eq!(config.model.file, "/var/lib/personaguard/model/model.gguf");
    let yaml = config.to_yaml().unwrap();
    assert_eq!(GuardConfig::from_yaml(yaml.as_bytes()).unwrap(), config);
    let foreign = yaml.replace("v1alpha1", "v9");
    assert!(
        GuardConfig::from_yaml(foreign.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("of one version")
    );
}

#[test]
fn steering_and_caps_at_several_layers_bring_their_parts() {
    let mut steered = steer("a", "chat", -1.0, 10);
    steered.spec.traits[0].steer.as_mut().unwrap().layers = vec![Layer(17), Layer(16)];
    let mut capped = policy("b", "chat", vec![rule("evil", sigma(3.0), Action::Cap)]);
    let bounds = |layer| LayerBounds { layer: Layer(layer), floor: Some(-1.0), ceiling: Some(2.0) };
    capped.spec.traits[0].cap = Some(Capping { layers: vec![bounds(18)], ..Default::default() });
    let resolution = resolve(&model(), &vectors(), &[steered.clone(), capped.clone()]);
    assert!(resolution.rejected.is_empty(), "{:?}", resolution.rejected);
    let names: Vec<_> = resolution.config.vectors.keys().map(String::as_str).collect();
    assert_eq!(names, ["evil", "evil/16-15", "evil/17-16", "evil/18"]);
    assert_eq!(resolution.values["evil/17-16"], [1.0, 0.0]);
    assert_eq!(resolution.values["evil/18"], [18.0, 2.0]);
    assert_eq!(resolution.config.vectors["evil/18"].layer, Layer(18));
    assert!(names.iter().all(
        |name| resolution.config.vectors[*name].sha256 == digest_of(&resolution.values[*name])
    ));
    // Another file is another policy, also where only another layer of it is other.
    let mut other = vectors();
    other.get_mut("evil").unwrap().layers = (0..=20_u8).map(|_| vec![3.0, 2.0]).collect();
    let digest = |vectors| resolve_policy(&steered, &model(), vectors).unwrap().digest;
    assert_ne!(digest(&vectors()), digest(&other));
    // Layers that the file lacks, or that stand there twice, and caps that leave no room.
    let with = |layers: &[u32]| {
        let mut policy = steered.clone();
        policy.spec.traits[0].steer.as_mut().unwrap().layers =
            layers.iter().map(|layer| Layer(*layer)).collect();
        refusal(&policy, &vectors()).reason
    };
    assert_eq!(with(&[21]), reason::LAYER_MISSING);
    assert_eq!(with(&[0]), reason::LAYER_MISSING);
    assert_eq!(with(&[16, 17, 16]), reason::ACTION_INCOMPLETE);
    let mut narrow = capped.clone();
    narrow.metadata.name = Some("c".to_owned());
    narrow.metadata.creation_timestamp = Some(Time(Timestamp::from_second(20).unwrap()));
    narrow.spec.traits[0].cap.as_mut().unwrap().layers =
        vec![LayerBounds { layer: Layer(18), floor: Some(3.0), ceiling: None }];
    let resolution = resolve(&model(), &vectors(), &[capped, narrow]);
    assert_eq!(resolution.rejected["c"].reason, reason::STEERING_CONFLICT);
}
