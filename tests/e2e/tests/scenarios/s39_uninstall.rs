//! 39. The operator is uninstalled first: namespaces with policies can still end, and guarded pods
//!     go on. (Installed again afterwards, for the other scenarios.)

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use personaguard_api::{PersonaPolicy, names};
use personaguard_e2e::fixture::{PATIENCE, SYSTEM};
use personaguard_e2e::{Fixture, prompts, wait};
use serde_json::json;
use std::path::Path;
use std::process::Command;

fn helm(arguments: &[&str]) -> Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new("helm")
        .args(arguments)
        .args(["--namespace", SYSTEM])
        .current_dir(root)
        .output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm {arguments:?}: {stderr}");
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn s39_item_21_a_namespace_ends_also_after_the_operator_was_uninstalled_first() -> Result<()>
{
    let fixture = Fixture::new("s39").await?;
    let traits = json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Block" }]);
    let pod = fixture.guarded_chat(&traits).await?;
    let policies: Api<PersonaPolicy> = fixture.api();
    let finalizers = policies.get("no-villains").await?.metadata.finalizers.unwrap_or_default();
    assert_eq!(finalizers, [names::FINALIZER]);

    let values = tempfile::NamedTempFile::new()?;
    std::fs::write(values.path(), helm(&["get", "values", "personaguard", "--output", "json"])?)?;
    helm(&["uninstall", "personaguard", "--wait"])?;
    let outcome = after(&fixture, &pod).await;
    let values = values.path().to_string_lossy().into_owned();
    helm(&["install", "personaguard", "charts/personaguard", "--values", &values, "--wait"])?;
    outcome
}

async fn after(fixture: &Fixture, pod: &k8s_openapi::api::core::v1::Pod) -> Result<()> {
    let policies: Api<PersonaPolicy> = fixture.api();
    let policy = policies.get("no-villains").await?;
    assert_eq!(policy.metadata.finalizers.unwrap_or_default(), Vec::<String>::new());
    // What runs goes on, guarded.
    let blocked = fixture.chat(pod)?.ask(Some(prompts::EVIL), prompts::QUESTIONS[0]).await?;
    assert_eq!(blocked["choices"][0]["finish_reason"], "content_filter", "{blocked}");
    // And the namespace ends.
    let namespaces: Api<Namespace> = Api::all(fixture.client.clone());
    namespaces.delete(&fixture.namespace, &kube::api::DeleteParams::default()).await?;
    wait::until("the namespace to end", PATIENCE, || async {
        Ok(namespaces.get_opt(&fixture.namespace).await?.is_none().then_some(()))
    })
    .await?;
    Ok(())
}
