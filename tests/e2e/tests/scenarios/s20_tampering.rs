//! 20. Someone who may edit a guarded namespace loosens what is enforced there, or reports in a
//!     sidecar's name. Neither is believed.

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use personaguard_api::{PersonaModel, names};
use personaguard_e2e::fixture::{self, MODEL, PATIENCE, SYSTEM};
use personaguard_e2e::{Fixture, wait};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::net::SocketAddr;

fn traits() -> Value {
    json!([{ "vector": "evil", "threshold": { "projection": 4.0 }, "action": "Block" }])
}

/// With the operator's name, as the admission policy would let nobody else write.
async fn past_admission() -> Result<Client> {
    let mut config = kube::Config::infer().await?;
    let name = format!("system:serviceaccount:{SYSTEM}:personaguard-operator");
    config.auth_info.impersonate = Some(name);
    Ok(Client::try_from(config)?)
}

#[tokio::test]
async fn s20_issue_15_14_a_loosened_immutable_config_is_made_anew() -> Result<()> {
    let fixture = Fixture::new("s20").await?;
    fixture.guarded_chat(&traits()).await?;
    let name = names::for_model(MODEL);
    let maps: Api<ConfigMap> = fixture.api();
    let text = |map: &ConfigMap| map.data.as_ref().unwrap()[names::CONFIG_FILE].clone();
    let genuine = maps.get(&name).await?;
    let loosened = text(&genuine).replace("max: 4.0", "max: 1000000000.0");
    assert_ne!(loosened, text(&genuine), "{loosened}");
    let edit = json!({
        "immutable": true,
        "metadata": { "finalizers": ["example.org/mine"] },
        "data": { names::CONFIG_FILE: loosened, "mine.yaml": "more" }
    });
    let params = PatchParams { field_manager: Some("someone".into()), ..PatchParams::default() };
    // Not even an administrator, without taking the policy away.
    let refusal = maps.patch(&name, &params, &Patch::Merge(&edit)).await.unwrap_err().to_string();
    assert!(refusal.contains("nobody else"), "{refusal}");
    let past: Api<ConfigMap> = Api::namespaced(past_admission().await?, &fixture.namespace);
    let tampered = past.patch(&name, &params, &Patch::Merge(&edit)).await?;
    assert_eq!(tampered.immutable, Some(true));
    let (restored, took) = wait::until("the config to be made anew", PATIENCE, || async {
        let map = maps.get(&name).await?;
        let right = map.data == genuine.data && map.immutable != Some(true);
        Ok((right && map.uid() != genuine.uid()).then_some(map))
    })
    .await?;
    println!("made anew after {took:?}");
    assert!(restored.finalizers().is_empty());
    fixture.finish().await
}

/// What a stranger needs to report in the name of a pod.
struct Stranger {
    http: reqwest::Client,
    token: String,
    key: Ed25519KeyPair,
}

impl Stranger {
    async fn of(fixture: &Fixture, pod: &Pod) -> Result<Self> {
        let secrets: Api<Secret> = Api::namespaced(fixture.client.clone(), SYSTEM);
        assert!(secrets.get_opt("personaguard-reports-tls").await?.is_some());
        let maps: Api<ConfigMap> = fixture.api();
        let config = maps.get(&names::for_model(MODEL)).await?;
        let authorities = &config.data.context("the config is empty")?[names::CA_FILE];
        let operators: Api<Pod> = Api::namespaced(fixture.client.clone(), SYSTEM);
        let leader = format!("{}=true", names::LEADER_LABEL);
        let leader = operators.list(&ListParams::default().labels(&leader)).await?;
        let leader = leader.items.into_iter().next().context("nobody leads")?;
        let address: SocketAddr =
            format!("{}:{}", fixture::address(&leader)?, names::REPORT_PORT).parse()?;
        let http = reqwest::Client::builder()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(authorities.as_bytes())?)
            .resolve(&format!("personaguard-reports.{SYSTEM}.svc"), address)
            .build()?;
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32])
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Self { http, token: token(fixture, pod).await?, key })
    }

    async fn push(&self, signed: bool) -> Result<u16> {
        let public = self.key.public_key().as_ref();
        let report = json!({
            "instance": personaguard_api::Digest::of(public).to_string(),
            // The most that a report may say: what comes after it looks old.
            "sequence": 1_u64 << 40,
            "model": {
                "name": MODEL, "state": "Failed",
                "failure": { "reason": "WeightsInvalid", "message": "Forged." }
            },
            "policies": [],
            "totals": {
                "responses": 9000, "breaches": 0, "blocked": 0, "unguarded": 0, "incoherent": 0
            },
            "traits": []
        });
        let body = report.to_string();
        let text = [b"personaguard report\n", body.as_bytes()].concat();
        let url = format!(
            "https://personaguard-reports.{SYSTEM}.svc:{}{}",
            names::REPORT_PORT,
            names::REPORT_PATH
        );
        let mut request = self.http.post(url).bearer_auth(&self.token);
        if signed {
            request = request
                .header("personaguard-key", hex::encode(public))
                .header("personaguard-signature", hex::encode(self.key.sign(&text)));
        }
        Ok(request.body(body).send().await?.status().as_u16())
    }
}

/// A token for the report server that is bound to a pod, as whoever may create tokens makes one.
async fn token(fixture: &Fixture, pod: &Pod) -> Result<String> {
    let reference =
        json!({ "apiVersion": "v1", "kind": "Pod", "name": pod.name_any(), "uid": pod.uid() });
    let request: TokenRequest = serde_json::from_value(json!({
        "metadata": {},
        "spec": { "audiences": [names::TOKEN_AUDIENCE], "boundObjectRef": reference }
    }))?;
    let accounts: Api<ServiceAccount> = fixture.api();
    let made = accounts.create_token_request("default", &PostParams::default(), &request).await?;
    made.status.and_then(|status| status.token).context("no token")
}

#[tokio::test]
async fn s20_issue_15_17_a_forged_report_changes_nothing() -> Result<()> {
    let fixture = Fixture::new("s20f").await?;
    let pod = fixture.guarded_chat(&traits()).await?;
    let stranger = Stranger::of(&fixture, &pod).await?;
    assert_eq!(stranger.push(false).await?, 401, "a report without a signature");
    assert_eq!(stranger.push(true).await?, 409, "a report of another process");
    let chat = fixture.chat(&pod)?;
    chat.ask(None, "What is the capital of France?").await?;
    // The sidecar's own reports still count, and nothing of the forged one does.
    let (report, _) = fixture
        .report("chat", "one answer", |report| {
            report.status.as_ref().is_some_and(|status| status.totals.responses == 1)
        })
        .await?;
    let status = report.status.unwrap();
    assert!(status.pods.iter().all(|pod| pod.failure.is_none()), "{status:?}");
    fixture.policy_condition("Ready", "True").await?;
    let models: Api<PersonaModel> = Api::all(fixture.client.clone());
    let model = models.get(MODEL).await?.status.unwrap_or_default();
    let ready = model.conditions.iter().find(|it| it.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "True", "{}", ready.message);
    fixture.finish().await
}
