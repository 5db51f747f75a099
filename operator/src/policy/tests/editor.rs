//! Against an editor of the namespace: whatever becomes of the objects in the cluster, what was in
//! force is put back, also while it could not be resolved anew.

use super::edits::{Edit, edits, in_force, older};
use crate::context::Context;
use crate::fixtures::{Asked, FakeApi, context};
use crate::keys::Scope;
use crate::outcome::FailedWrites;
use crate::policy::apply::apply;
use crate::policy::build::build;
use crate::policy::dereference::Inputs;
use crate::policy::memory::{Memory, Objects};
use crate::policy::validate::validate;
use k8s_openapi::api::core::v1::ConfigMap;
use personaguard_api::names;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Objects by path, as an API server keeps them.
type Kept = Arc<Mutex<BTreeMap<String, Value>>>;

const CONFIG: &str = "/api/v1/namespaces/support/configmaps/personaguard-smollm2";
const INJECTION: &str =
    "/apis/personaguard.dev/v1alpha1/namespaces/support/personainjections/personaguard-smollm2";

fn refusal(code: u16, message: &str) -> (u16, Value) {
    (code, json!({ "kind": "Status", "status": "Failure", "code": code, "message": message }))
}

/// Fields of an apply are set; others stay, in maps entry by entry.
fn set(kept: &mut Value, new: &Value) {
    match (kept, new) {
        (Value::Object(kept), Value::Object(new)) => {
            for (key, value) in new {
                match value {
                    Value::Null => drop(kept.remove(key)),
                    value => set(kept.entry(key).or_insert(Value::Null), value),
                }
            }
        }
        (kept, new) => *kept = new.clone(),
    }
}

fn answer(kept: &Kept, asked: &Asked) -> (u16, Value) {
    let path = asked.uri.split('?').next().unwrap();
    let mut kept = kept.lock().unwrap();
    match asked.method.as_str() {
        "GET" => kept.get(path).map_or_else(|| refusal(404, ""), |it| (200, it.clone())),
        "DELETE" => {
            if !kept.get(path).is_some_and(|it| it["metadata"]["finalizers"].is_array()) {
                kept.remove(path);
            }
            (200, json!({ "kind": "Status", "status": "Success" }))
        }
        _ => {
            let patch: Value = serde_json::from_slice(&asked.body).unwrap();
            let before = kept.get(path).cloned().unwrap_or_else(|| json!({}));
            let mut after = before.clone();
            let spec = patch.get("spec").cloned();
            set(&mut after, &patch);
            // Of a PersonaInjection the operator owns every field.
            if let Some(spec) = spec {
                after["spec"] = spec;
            }
            let changed = ["data", "binaryData"].iter().any(|it| after[*it] != before[*it]);
            if before["immutable"] == true && changed {
                return refusal(422, "field is immutable when `immutable` is set");
            }
            kept.insert(path.to_owned(), after.clone());
            (200, after)
        }
    }
}

struct World {
    kept: Kept,
    context: Arc<Context>,
    memory: Memory,
    inputs: Inputs,
}

impl World {
    /// With two policies in force.
    async fn new() -> Self {
        let kept: Kept = Arc::default();
        let objects = Arc::clone(&kept);
        let server = FakeApi::start(move |asked| Some(answer(&objects, asked)));
        let context = context(&server);
        let mut inputs = in_force();
        (inputs.config_map, inputs.injection, inputs.pods) = (None, None, Vec::new());
        let mut world = Self { kept, context, memory: Memory::default(), inputs };
        world.reconcile().await;
        world
    }

    fn found(&self) -> Objects {
        let kept = self.kept.lock().unwrap();
        // The informers go by their labels.
        let ours = |it: &&Value| {
            let labels = &it["metadata"]["labels"];
            labels[names::MODEL_LABEL].is_string()
                && labels[names::MANAGED_BY_LABEL] == names::FIELD_MANAGER
        };
        let config_map = kept.get(CONFIG).filter(ours);
        Objects {
            config_map: config_map.map(|it| Arc::new(serde_json::from_value(it.clone()).unwrap())),
            injection: kept
                .get(INJECTION)
                .map(|it| Arc::new(serde_json::from_value(it.clone()).unwrap())),
        }
    }

    async fn reconcile(&mut self) {
        let scope = Scope { namespace: "support".into(), model: "smollm2".into() };
        let found = self.found();
        let Objects { config_map, injection } = self.memory.recall(&scope, &found);
        (self.inputs.config_map, self.inputs.injection) = (config_map, injection);
        self.inputs.found = found;
        let validated = validate(&self.inputs);
        let desired = build(&validated, self.inputs.config_map.as_deref()).unwrap();
        let mut failed = FailedWrites::default();
        let (context, memory) = (&self.context, &self.memory);
        apply(context, memory, &self.inputs, &validated, &desired, &mut failed).await.unwrap();
        failed.into_result().unwrap();
    }

    /// What pods get to see.
    fn seen(&self) -> (Value, Value, Value) {
        let kept = self.kept.lock().unwrap();
        let of = |path: &str| kept.get(path).cloned().unwrap_or_default();
        let map: ConfigMap = serde_json::from_value(of(CONFIG)).unwrap_or_default();
        let content = json!([map.data, map.immutable.unwrap_or_default()]);
        (content, json!(map.binary_data), of(INJECTION)["spec"].clone())
    }
}

/// What an editor may do to an object.
#[derive(Clone, Copy, Debug)]
enum Tampering {
    Loosened,
    LoosenedImmutable,
    Emptied,
    MoreKeys,
    OtherVectors,
    Disowned,
    Relabelled,
    Held,
    Deleted,
    InjectionDeleted,
    InjectionNarrowed,
}

const TAMPERINGS: [Tampering; 11] = [
    Tampering::Loosened,
    Tampering::LoosenedImmutable,
    Tampering::Emptied,
    Tampering::MoreKeys,
    Tampering::OtherVectors,
    Tampering::Disowned,
    Tampering::Relabelled,
    Tampering::Held,
    Tampering::Deleted,
    Tampering::InjectionDeleted,
    Tampering::InjectionNarrowed,
];

fn tamper(kept: &mut BTreeMap<String, Value>, how: Tampering) {
    let path = match how {
        Tampering::InjectionDeleted | Tampering::InjectionNarrowed => INJECTION,
        _ => CONFIG,
    };
    let Some(object) = kept.get_mut(path) else { return };
    let loosen = |object: &mut Value| {
        let text = object["data"]["config.yaml"].as_str().unwrap_or_default();
        object["data"]["config.yaml"] = json!(text.replace("max: 4.0", "max: 1000000000.0"));
    };
    match how {
        Tampering::Loosened => loosen(object),
        Tampering::LoosenedImmutable => {
            loosen(object);
            object["immutable"] = json!(true);
        }
        Tampering::Emptied => object["data"] = json!({}),
        Tampering::MoreKeys => object["data"]["mine.yaml"] = json!("more"),
        Tampering::OtherVectors => {
            object["binaryData"]["vectors.safetensors"] = json!("AAAA");
        }
        Tampering::Disowned => object["metadata"]["labels"] = json!({}),
        Tampering::Relabelled => object["metadata"]["labels"][names::MODEL_LABEL] = json!("x"),
        Tampering::Held => object["metadata"]["finalizers"] = json!(["example.org/mine"]),
        Tampering::Deleted | Tampering::InjectionDeleted => drop(kept.remove(path)),
        Tampering::InjectionNarrowed => object["spec"]["selectors"] = json!([]),
    }
}

/// An edit of the author that cannot be enforced, or a fault: the second reason for the operator to
/// go by what it has.
fn reasons_to_hold() -> Vec<Edit> {
    let mut all: Vec<Edit> = edits().into_iter().map(|(_, _, edit)| edit).collect();
    all.push(|it| it.unreadable = vec!["PersonaPolicy `c` cannot be read.".into()]);
    all.push(|_| {});
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn invariant_9_what_is_in_force_is_put_back_whatever_an_editor_makes_of_it(
        edit in any::<prop::sample::Index>(),
        tamperings in vec(prop::sample::select(&TAMPERINGS[..]), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            let edit = *edit.get(&reasons_to_hold());
            older(&mut world.inputs).metadata.generation = Some(4);
            edit(&mut world.inputs);
            world.reconcile().await;
            let genuine = world.seen();
            prop_assert!(genuine.0.to_string().contains("max: 4.0"));
            for how in tamperings {
                tamper(&mut world.kept.lock().unwrap(), how);
            }
            world.reconcile().await;
            prop_assert_eq!(world.seen(), genuine);
            Ok::<(), TestCaseError>(())
        })?;
    }
}

#[tokio::test]
async fn item_14_a_loosened_config_does_not_become_what_is_in_force() {
    let mut world = World::new().await;
    // The author edits the policy to something that cannot be enforced, so that generation 3 stays.
    older(&mut world.inputs).metadata.generation = Some(4);
    older(&mut world.inputs).spec.traits[0].vector = "unknown".into();
    world.reconcile().await;
    tamper(&mut world.kept.lock().unwrap(), Tampering::Loosened);
    assert!(world.seen().0.to_string().contains("max: 1000000000.0"));
    world.reconcile().await;
    assert!(world.seen().0.to_string().contains("max: 4.0"), "generation 3 as it was");
}

#[tokio::test]
async fn item_14_what_is_deleted_while_the_model_is_missing_comes_back() {
    let mut world = World::new().await;
    let genuine = world.seen();
    world.inputs.model = None;
    for path in [CONFIG, INJECTION] {
        world.kept.lock().unwrap().remove(path);
    }
    world.reconcile().await;
    assert_eq!(world.seen(), genuine);
}
