//! 22. A sidecar fetches its weights from a model hub as it starts for the first time. Until then
//!     the PersonaModel says why it is not served. A container that starts again asks for nothing.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams, ListParams};
use personaguard_api::{Digest, PersonaModel};
use personaguard_e2e::fixture::{self, PATIENCE};
use personaguard_e2e::{Fixture, containers, objects, prompts, wait};
use personaguard_local_hub::{LocalHub, REPO, Server};
use serde_json::json;
use std::process::Command;

const MODEL: &str = "s22-tiny";
const FILE: &str = "tiny.gguf";

/// An address of the node, which pods can reach.
async fn node_address(fixture: &Fixture) -> Result<String> {
    let nodes: Api<Node> = Api::all(fixture.client.clone());
    let nodes = nodes.list(&ListParams::default()).await?;
    let status = nodes.items.into_iter().next().and_then(|node| node.status);
    let addresses = status.and_then(|status| status.addresses).unwrap_or_default();
    let internal = addresses.into_iter().find(|address| address.type_ == "InternalIP");
    Ok(internal.context("a node without an address")?.address)
}

async fn until_ready_is(fixture: &Fixture, reason: &str) -> Result<String> {
    let models: Api<PersonaModel> = Api::all(fixture.client.clone());
    let (message, took) = wait::until(&format!("the model to be {reason}"), PATIENCE, || async {
        let status = models.get(MODEL).await?.status.unwrap_or_default();
        let mut conditions = status.conditions.into_iter();
        let ready = conditions.find(|it| it.type_ == "Ready" && it.reason == reason);
        Ok(ready.map(|ready| ready.message))
    })
    .await?;
    println!("{reason} after {took:?}: {message}");
    Ok(message)
}

#[tokio::test]
async fn s22_weights_come_from_a_hub_once() -> Result<()> {
    let fixture = Fixture::new("s22").await?;
    let weights = personaguard_tiny_model::bytes();
    let hub = LocalHub::start_at(&node_address(&fixture).await?, &[]).await;
    let source = json!({ "hub": {
        "repo": REPO, "revision": "main", "file": FILE, "endpoint": hub.endpoint,
        "sizeLimit": "256Mi",
        "tokenSecret": { "name": "personaguard-hub", "key": "token" }
    } });
    fixture
        .apply(&json!({
            "apiVersion": personaguard_api::API_VERSION,
            "kind": "PersonaModel",
            "metadata": { "name": MODEL },
            "spec": { "source": source, "sha256": Digest::of(&weights) }
        }))
        .await?;
    // The vector is of another model, so that nothing is enforced. The pod is injected anyway.
    let traits =
        json!([{ "vector": "evil", "threshold": { "projection": 1e6 }, "action": "Alert" }]);
    let labels = json!({ "app": "chat" });
    let mut policy = objects::policy(&fixture.namespace, &labels, &traits);
    policy["spec"]["model"] = json!(MODEL);
    fixture.apply(&policy).await?;
    fixture.policy_condition("Accepted", "False").await?;

    let app = objects::chat_app(&fixture.namespace, "chat", &labels, prompts::PLAIN);
    fixture.apply(&app).await?;
    let message = until_ready_is(&fixture, "WeightsNotFound").await?;
    assert!(message.contains("has no file tiny.gguf at main"), "{message}");
    hub.put(FILE, &weights);
    let pod = fixture.ready_pod("chat").await?;
    until_ready_is(&fixture, "Served").await?;
    let seen = hub.seen().into_iter();
    let transfers = seen.filter(|it| it.server == Server::Storage && it.method == "GET");
    assert_eq!(transfers.count(), 1);

    for pid in containers::processes(&pod, "personaguard")? {
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status()?.success());
    }
    wait::until("the sidecar to serve again", PATIENCE, || async {
        let restarted = fixture.ready_pod("chat").await?;
        let statuses = restarted.status.clone().and_then(|it| it.init_container_statuses);
        let restarts = statuses.into_iter().flatten().map(|it| it.restart_count).max();
        let serves = fixture::metrics(&restarted)
            .await
            .is_ok_and(|it| it.lines().any(|line| line.starts_with("personaguard_model_ready 1")));
        Ok((restarts > Some(0) && serves).then_some(()))
    })
    .await?;
    assert!(hub.seen().is_empty(), "it asks for what is there");
    let models: Api<PersonaModel> = Api::all(fixture.client.clone());
    models.delete(MODEL, &DeleteParams::default()).await?;
    fixture.finish().await
}
