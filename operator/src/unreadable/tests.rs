use super::*;
use crate::context::Readable;
use crate::fixtures::{Asked, FakeApi, context};
use kube::runtime::watcher::Event;
use serde_json::Value;
use std::sync::{Arc, Mutex};

fn newer(kind: &str, namespace: Option<&str>, status: &Value) -> Value {
    json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": kind,
        "metadata": {
            "name": "a", "namespace": namespace, "uid": "u", "resourceVersion": "5",
            "generation": 3
        },
        "spec": {"future": true, "model": "m"}, "status": status
    })
}

/// What was patched and published about an object of a newer version.
async fn told(kind: Kind, object: &Value) -> Vec<(String, Value)> {
    let told: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let log = Arc::clone(&told);
    let server = FakeApi::start(move |asked: &Asked| {
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        log.lock().unwrap().push((format!("{} {}", asked.method, asked.uri), body.clone()));
        Some((200, body))
    });
    let context = context(&server);
    macro_rules! store {
        ($store:ident, $type_:ty) => {{
            let object: Readable<$type_> = serde_json::from_value(object.clone()).unwrap();
            assert!(matches!(object, Readable::Unreadable(_)), "{kind:?} was read");
            context.stores.$store.apply(Event::Apply(object), |_| None);
        }};
    }
    match kind {
        Kind::Policy => store!(policies, PersonaPolicy),
        Kind::Model => store!(models, PersonaModel),
        Kind::Vector => store!(vectors, PersonaVector),
        Kind::Report => store!(reports, PersonaReport),
        Kind::Screen => store!(screens, DatasetScreen),
        Kind::Injection => store!(injections, PersonaInjection),
        Kind::ConfigMap => store!(config_maps, ConfigMap),
        Kind::Pod => store!(pods, Pod),
        Kind::Service => store!(services, Service),
        Kind::Namespace => store!(excluded_namespaces, kube::core::PartialObjectMeta<Namespace>),
    }
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let name = ObjectName::new(namespace, "a");
    let done = reconcile(&context, kind, &name).await.unwrap();
    assert_eq!(done.reason, reason::UNREADABLE);
    told.lock().unwrap().clone()
}

#[tokio::test]
async fn item_11_an_object_of_any_kind_says_that_it_cannot_be_read() {
    for (kind, namespace, types) in [
        (Kind::Policy, Some("support"), vec!["Ready", "Accepted"]),
        (Kind::Model, None, vec!["Ready"]),
        (Kind::Vector, None, vec!["Ready"]),
        (Kind::Report, Some("support"), vec!["Reporting"]),
        (Kind::Screen, Some("support"), vec!["Complete"]),
        (Kind::Injection, Some("support"), vec![]),
        (Kind::ConfigMap, Some("support"), vec![]),
        (Kind::Pod, Some("support"), vec![]),
        (Kind::Service, Some("support"), vec![]),
    ] {
        let mut object = newer(kind.as_str(), namespace, &json!({}));
        if types.is_empty() {
            // Of a type that no version has.
            object["spec"] = json!("text");
            object["data"] = json!(7);
        }
        let told = told(kind, &object).await;
        let (events, patches): (Vec<_>, Vec<_>) =
            told.into_iter().partition(|(line, _)| line.contains("/events"));
        assert_eq!(events.len(), 1, "{kind:?}");
        let event = &events[0].1;
        assert_eq!((&event["reason"], &event["type"]), (&json!("Unreadable"), &json!("Warning")));
        assert_eq!(event["regarding"]["kind"], kind.as_str());
        assert_eq!(patches.len(), usize::from(!types.is_empty()), "{kind:?}: {patches:?}");
        for (line, body) in patches {
            assert!(line.contains("/a/status?"), "{line}");
            let conditions = body["status"]["conditions"].as_array().unwrap();
            let found: Vec<_> = conditions.iter().map(|it| it["type"].as_str().unwrap()).collect();
            assert_eq!(found, types);
            for condition in conditions {
                assert_eq!(condition["status"], "False");
                assert_eq!(condition["reason"], "Unreadable");
                assert_eq!(condition["observedGeneration"], 3);
            }
            assert!(body.get("spec").is_none(), "nothing else is written: {body}");
        }
    }
}

#[tokio::test]
async fn item_11_what_is_said_already_is_not_said_again() {
    let object = newer("PersonaModel", None, &json!({}));
    let first = told(Kind::Model, &object).await;
    let (_, patch) = first.iter().find(|(line, _)| line.contains("/status")).unwrap();
    let again = newer("PersonaModel", None, &patch["status"]);
    assert!(told(Kind::Model, &again).await.is_empty());
}
