use super::*;
use crate::fixtures::{Asked, FakeApi, context};
use serde_json::{Value, json};

fn screen() -> DatasetScreen {
    serde_json::from_value(json!({
        "apiVersion": personaguard_api::API_VERSION, "kind": "DatasetScreen",
        "metadata": {"name": "chats", "namespace": "training", "uid": "u1"},
        "spec": {
            "model": "smollm2", "vectors": ["evil"], "shards": 3,
            "dataset": {"claimName": "data", "path": "chats.jsonl"}, "output": "out/ranks.jsonl",
            "skipInvalid": true
        }
    }))
    .unwrap()
}

/// A Job that is complete, owned by the object with this UID.
fn complete(name: &str, owner: &str) -> Value {
    let owner = json!({
        "apiVersion": personaguard_api::API_VERSION, "kind": "DatasetScreen", "name": "chats",
        "uid": owner
    });
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name, "namespace": "training", "uid": name, "ownerReferences": [owner]
        },
        "status": {"conditions": [{"type": "Complete", "status": "True"}]}
    })
}

/// A pod with the label of a Job, whose container says this.
fn pod(owner: &str, says: &str) -> Value {
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": owner});
    json!({
        "metadata": {"name": owner["uid"], "ownerReferences": [owner]},
        "status": {"containerStatuses": [{
            "name": "c", "ready": false, "restartCount": 0, "image": "i", "imageID": "i",
            "state": {"terminated": {"exitCode": 0, "message": says}}
        }]}
    })
}

async fn outcome(owner_of_first: &'static str, owner_of_merge: &'static str) -> Phase {
    let merge = job::merge_name(&screen());
    let server = FakeApi::start(move |asked: &Asked| {
        let path = asked.uri.split('?').next().unwrap_or_default();
        let answer = if path.ends_with("/pods") {
            let first = names::for_screen("chats");
            let parts = ["2", "0", "1"].map(|skipped| pod(&first, skipped));
            let items: Vec<_> =
                [pod("someone", "666"), pod(&merge, "42")].into_iter().chain(parts).collect();
            json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items})
        } else if path.ends_with(&merge) {
            complete(&merge, owner_of_merge)
        } else {
            complete(&names::for_screen("chats"), owner_of_first)
        };
        Some((200, answer))
    });
    advanced(&server, crate::fixtures::model()).await
}

async fn advanced(server: &FakeApi, mut model: PersonaModel) -> Phase {
    let context = context(server);
    model.metadata.resource_version = Some("7".to_owned());
    context.stores.models.upsert_written(model, Some);
    let client = context.cluster.client.clone();
    let artifacts = Arc::new(ArtifactCache::new(client, "personaguard-system".to_owned()));
    Controller::new(context, artifacts).advance("training", &screen()).await.unwrap()
}

#[tokio::test]
async fn issue_15_19_a_job_that_only_has_the_name_is_not_the_screening() {
    let complete = Phase::Complete { samples: Some(42), skipped: Some(3) };
    assert_eq!(outcome("u1", "u1").await, complete);
    for (first, merge) in [("someone", "u1"), ("u1", "someone")] {
        let foreign = outcome(first, merge).await;
        assert!(
            matches!(&foreign, Phase::Failed(why) if why.contains("not of this")),
            "{foreign:?}"
        );
    }
}

#[tokio::test]
async fn a_model_of_vllms_has_no_weights_to_screen_with_and_no_job_is_made() {
    let server = FakeApi::start(|asked: &Asked| {
        assert_eq!(asked.method, "GET", "{}", asked.uri);
        let status = json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound",
            "code": 404, "message": "not found"
        });
        Some((404, status))
    });
    let mut model = crate::fixtures::model();
    (model.spec.engine, model.spec.source) = (personaguard_api::ModelEngine::Vllm, None);
    let phase = advanced(&server, model).await;
    let Phase::Waiting(rejection) = &phase else { panic!("{phase:?}") };
    assert_eq!(rejection.reason, reason::MODEL_RUN_BY_VLLM);
    assert!(rejection.message.contains("screen --engine"), "{}", rejection.message);
}

#[test]
fn what_was_left_out_is_told_once_every_part_has_said_it() {
    assert_eq!(sum_of_all(3, &[2, 0, 1]), Some(3));
    assert_eq!(sum_of_all(3, &[2, 0]), None);
}
