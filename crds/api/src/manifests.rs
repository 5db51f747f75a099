//! The CustomResourceDefinitions as YAML.

use crate::injection::PersonaInjection;
use crate::model::PersonaModel;
use crate::policy::PersonaPolicy;
use crate::report::PersonaReport;
use crate::screen::DatasetScreen;
use crate::vector::PersonaVector;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

/// Every CustomResourceDefinition: (file name, YAML).
#[must_use]
pub fn manifests() -> Vec<(String, String)> {
    let all = [
        ("datasetscreens", DatasetScreen::crd()),
        ("personainjections", PersonaInjection::crd()),
        ("personamodels", PersonaModel::crd()),
        ("personapolicies", PersonaPolicy::crd()),
        ("personareports", PersonaReport::crd()),
        ("personavectors", PersonaVector::crd()),
    ];
    all.into_iter()
        .map(|(name, crd)| (format!("{name}.yaml"), yaml(serde_json::to_value(&crd))))
        .collect()
}

fn yaml(crd: serde_json::Result<Value>) -> String {
    // Both steps write types of this crate, which no input can change, and a unit test runs them.
    #[allow(clippy::expect_used)]
    let mut crd = crd.expect("a CustomResourceDefinition serialises");
    crd["metadata"] = json!({
        "annotations": { "helm.sh/resource-policy": "keep" },
        "labels": { "app.kubernetes.io/part-of": "personaguard" },
        "name": crd["metadata"]["name"],
    });
    for version in crd["spec"]["versions"].as_array_mut().into_iter().flatten() {
        tidy(&mut version["schema"]["openAPIV3Schema"]);
    }
    #[allow(clippy::expect_used)]
    serde_saphyr::to_string(&crd).expect("a CustomResourceDefinition is YAML")
}

/// What the API server knows: formats other than its own give warnings, titles are noise, and
/// `nullable` would let an explicit null through to the rules, where without it null is the same as
/// absent.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("title").is_some_and(Value::is_string) {
                object.remove("title");
            }
            if object.get("nullable").is_some_and(Value::is_boolean) {
                object.remove("nullable");
            }
            if let Some(Value::String(description)) = object.get_mut("description") {
                *description = one_paragraph(description);
            }
            integer_format(object);
            for bound in ["minimum", "maximum"] {
                whole_number(object.get_mut(bound));
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Lines of a doc comment are wrapped where the source is; `kubectl explain` wraps them itself.
fn one_paragraph(text: &str) -> String {
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n")
}

fn integer_format(object: &mut Map<String, Value>) {
    let format = match object.get("format").and_then(Value::as_str) {
        Some("uint8" | "uint16" | "uint32" | "uint64") => "int64",
        _ => return,
    };
    object.insert("format".to_owned(), json!(format));
    object.entry("minimum").or_insert(json!(0));
}

/// schemars writes bounds as floats.
fn whole_number(bound: Option<&mut Value>) {
    let Some(bound) = bound else { return };
    #[allow(clippy::cast_possible_truncation)] // no bound of ours is that large
    if let Some(value) = bound.as_f64().filter(|value| value.fract() == 0.0) {
        *bound = json!(value as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn generated_yaml_is_up_to_date() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (name, expected) in manifests() {
            for folder in ["../yaml", "../../charts/personaguard-crds/templates"] {
                let path = root.join(folder).join(&name);
                let found = std::fs::read_to_string(&path).unwrap_or_default();
                assert!(
                    found == expected,
                    "{} is out of date: run `cargo xtask crdgen`",
                    path.display()
                );
            }
        }
    }

    #[test]
    fn the_api_server_knows_every_format_and_helm_finds_nothing_to_fill_in() {
        for (name, yaml) in manifests() {
            assert!(!yaml.contains("uint"), "{name}");
            assert!(!yaml.contains("nullable"), "{name}");
            assert!(!yaml.contains("{{"), "{name}");
        }
    }
}
