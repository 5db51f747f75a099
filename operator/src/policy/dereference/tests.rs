use super::*;
use crate::fixtures::{FakeApi, context, policy};
use crate::policy::build::{Desired, build};
use crate::policy::fixtures::inputs;
use crate::policy::validate::validate;
use serde_json::json;

/// The config of policy `a`, as one of model `another`.
fn config(name: &str) -> ConfigMap {
    let inputs = inputs(vec![policy("a", 3, "evil")]);
    let Desired::Present(map) = build(&validate(&inputs), None).unwrap().config else {
        panic!("nothing is in force")
    };
    let mut map = *map;
    map.metadata.name = Some(name.to_owned());
    map.metadata.resource_version = Some("7".into());
    let labels = map.metadata.labels.as_mut().unwrap();
    labels.insert(names::MODEL_LABEL.to_owned(), "another".to_owned());
    map
}

#[tokio::test]
async fn item_14_a_config_map_of_another_name_is_no_config() {
    let server = FakeApi::start(|_| Some((500, json!({}))));
    let scope = Scope { namespace: "support".into(), model: "smollm2".into() };
    let believed = |map: ConfigMap| {
        let context = context(&server);
        context.stores.config_maps.upsert_written(map, Some);
        elsewhere(&context, &Memory::default(), &scope).contains_key("uid-a")
    };
    assert!(believed(config("personaguard-another")));
    assert!(!believed(config("mine")), "it would withdraw the policy from its former model");
    assert!(!believed(config("personaguard-smollm2")));
}

#[tokio::test]
async fn item_14_what_is_in_force_elsewhere_is_what_the_operator_wrote_there() {
    let server = FakeApi::start(|_| Some((500, json!({}))));
    let context = context(&server);
    let other = Scope { namespace: "support".into(), model: "another".into() };
    let memory = Memory::default();
    memory.config_is(&other, Some(Arc::new(config("personaguard-another"))));
    let mut emptied = config("personaguard-another");
    emptied.data = None;
    context.stores.config_maps.upsert_written(emptied, Some);
    let scope = Scope { namespace: "support".into(), model: "smollm2".into() };
    assert!(elsewhere(&context, &memory, &scope).contains_key("uid-a"));
}
