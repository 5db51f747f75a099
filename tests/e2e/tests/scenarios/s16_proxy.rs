//! 16. The app is itself a model server. The sidecar is in front of it, and a Service that bypasses
//!     the sidecar is found.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, DeleteParams};
use personaguard_api::names;
use personaguard_e2e::chat::{Chat, request, text};
use personaguard_e2e::fixture::{self, model_manifest};
use personaguard_e2e::{Fixture, objects, prompts};
use serde_json::{Value, json};

/// Clients of the server itself, and of the sidecar in front of it.
struct Clients {
    server: Chat,
    guarded: Chat,
}

impl Clients {
    fn of(pod: &Pod) -> Result<Self> {
        let address = fixture::address(pod)?;
        let guarded = Chat::new(&format!("{address}:{}", names::API_PORT))?;
        Ok(Self { server: Chat::new(&format!("{address}:8000"))?, guarded })
    }
}

fn policy(fixture: &Fixture, mode: &str) -> Value {
    let traits = json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Block" }]);
    let mut policy = objects::policy(&fixture.namespace, &json!({ "app": "llm" }), &traits);
    (policy["spec"]["placement"], policy["spec"]["port"]) = (json!("Proxy"), json!("http"));
    policy["spec"]["mode"] = json!(mode);
    policy
}

async fn answer(chat: &Chat, system: &str, question: &str) -> Result<Value> {
    let mut body = request(Some(system), question);
    // The sidecar's own extension, which another server need not know.
    body.as_object_mut().into_iter().for_each(|body| drop(body.remove("personaguard")));
    let response = chat.send(&body).await?;
    assert_eq!(response.status(), 200);
    Ok(response.json().await?)
}

#[tokio::test]
async fn s16_invariant_1_and_2_in_front_of_another_server_and_no_way_past_it_goes_unseen()
-> Result<()> {
    let fixture = Fixture::new("s16").await?;
    fixture.apply(&policy(&fixture, "Audit")).await?;
    fixture.policy_condition("Accepted", "True").await?;
    fixture.apply(&objects::llm_config(&fixture.namespace, "llm", &model_manifest()?)).await?;
    fixture.apply(&objects::llm_server(&fixture.namespace, "llm")).await?;
    fixture.apply(&objects::service(&fixture.namespace, "llm", "llm", &json!("http"))).await?;
    let pod = fixture.ready_pod("llm").await?;
    fixture.policy_condition("Ready", "True").await?;
    fixture.policy_condition("BypassDetected", "False").await?;
    let clients = Clients::of(&pod)?;

    // Audit: the server's own answer, byte for byte, and the breach is counted.
    for system in [prompts::PLAIN, prompts::EVIL] {
        let own = answer(&clients.server, system, prompts::QUESTIONS[0]).await?;
        let through = answer(&clients.guarded, system, prompts::QUESTIONS[0]).await?;
        assert!(!text(&own).is_empty());
        assert_eq!(own["choices"], through["choices"], "Audit changes no byte");
    }
    let counted = |responses, breaches| {
        move |report: &personaguard_api::PersonaReport| {
            report
                .status
                .as_ref()
                .is_some_and(|s| (s.totals.responses, s.totals.breaches) == (responses, breaches))
        }
    };
    fixture.report("llm", "two answers, one of them a breach", counted(2, 1)).await?;

    // Block: an evil answer ends before the threshold, a plain one is unchanged.
    fixture.apply(&policy(&fixture, "Enforce")).await?;
    fixture.policy_condition("Ready", "True").await?;
    let own = answer(&clients.server, prompts::EVIL, prompts::QUESTIONS[0]).await?;
    let blocked = answer(&clients.guarded, prompts::EVIL, prompts::QUESTIONS[0]).await?;
    assert_eq!(blocked["choices"][0]["finish_reason"], "content_filter", "{blocked}");
    assert!(
        text(&own).starts_with(text(&blocked)) && text(&blocked).len() < text(&own).len(),
        "{blocked}"
    );
    let own = answer(&clients.server, prompts::PLAIN, prompts::QUESTIONS[1]).await?;
    let through = answer(&clients.guarded, prompts::PLAIN, prompts::QUESTIONS[1]).await?;
    assert_eq!(own["choices"], through["choices"]);

    // A Service that targets the port number bypasses the sidecar.
    fixture.apply(&objects::service(&fixture.namespace, "shortcut", "llm", &json!(8000))).await?;
    let (found, took) = fixture.policy_condition("BypassDetected", "True").await?;
    let condition = fixture::condition(&found, "BypassDetected").unwrap();
    println!("after {took:?}: {}: {}", condition.reason, condition.message);
    assert!(
        condition.reason == "ServiceBypassesSidecar" && condition.message.contains("shortcut"),
        "{condition:?}"
    );
    fixture.policy_condition("Ready", "False").await?;
    Api::<Service>::namespaced(fixture.client.clone(), &fixture.namespace)
        .delete("shortcut", &DeleteParams::default())
        .await?;
    fixture.policy_condition("BypassDetected", "False").await?;
    fixture.policy_condition("Ready", "True").await?;
    fixture.finish().await
}
