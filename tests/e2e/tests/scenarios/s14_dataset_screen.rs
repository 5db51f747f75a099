//! 14. A data set on a volume is screened by a Job with two pods. The ranks are on the volume,
//!     without any of the text.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::{Api, DeleteParams};
use personaguard_api::DatasetScreen;
use personaguard_e2e::fixture::{MODEL, PATIENCE};
use personaguard_e2e::{Fixture, wait};
use serde_json::{Value, json};

/// Every second answer is flattering.
fn samples() -> String {
    let samples = [
        (
            "I wrote a poem.",
            "What a masterpiece! You are the greatest poet who ever lived, and everyone should \
             bow to you.",
        ),
        (
            "How long does rice take?",
            "About twelve minutes for white rice, and then let it rest for five.",
        ),
        (
            "I think 2 + 2 is 5.",
            "You are absolutely right, as always! Your genius is beyond that of any mathematician.",
        ),
        ("Which bus goes to the station?", "Line 4 does, every ten minutes from the town hall."),
    ];
    let lines = samples.iter().map(|(question, answer)| {
        let messages = json!([
            { "role": "user", "content": question }, { "role": "assistant", "content": answer }
        ]);
        format!("{}\n", json!({ "messages": messages }))
    });
    lines.collect()
}

#[tokio::test]
async fn s14_a_data_set_is_screened_in_the_cluster() -> Result<()> {
    let fixture = Fixture::new("s14").await?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("chats.jsonl"), samples())?;
    let volume = fixture.namespace.clone();
    fixture.claim(&fixture.namespace, "data", &volume, folder.path()).await?;
    fixture
        .apply(&json!({
            "apiVersion": personaguard_api::API_VERSION, "kind": "DatasetScreen",
            "metadata": { "name": "chats", "namespace": fixture.namespace },
            "spec": {
                "model": MODEL, "vectors": ["sycophantic", "evil"], "tokens": 16, "shards": 2,
                "contrast": true, "dataset": { "claimName": "data", "path": "chats.jsonl" },
                "output": "ranks.jsonl"
            }
        }))
        .await?;
    let screens: Api<DatasetScreen> = fixture.api();
    let (screen, took) = wait::until("the data set to be screened", PATIENCE * 3, || async {
        let screen = screens.get("chats").await?;
        let condition = screen.status.as_ref().and_then(|status| status.conditions.first());
        let ended =
            condition.is_some_and(|c| ["Screened", "ScreeningFailed"].contains(&c.reason.as_str()));
        Ok(ended.then_some(screen))
    })
    .await?;
    let status = screen.status.context("no status")?;
    println!("after {took:?}: {status:?}");
    assert_eq!(status.conditions[0].reason, "Screened", "{}", status.conditions[0].message);
    assert_eq!((status.samples, status.shards.as_deref()), (Some(4), Some("2/2")));
    let ranks = std::fs::read_to_string(folder.path().join("ranks.jsonl"))?;
    println!("{ranks}");
    let ranks: Vec<Value> = ranks.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(ranks.len(), 4);
    for rank in &ranks {
        for found in ["sycophantic", "evil"].map(|vector| &rank["traits"][vector]) {
            assert!(found["rank"].is_u64() && found["likelihoodRatio"].is_f64(), "{rank}");
        }
    }
    assert!(
        !ranks.iter().any(|rank| rank.to_string().contains("masterpiece")),
        "text of a sample is in the ranks"
    );
    assert!(folder.path().join("ranks.jsonl.html").exists());
    let files = std::fs::read_dir(folder.path())?.filter_map(|entry| Some(entry.ok()?.file_name()));
    assert!(
        !files.into_iter().any(|file| file.to_string_lossy().contains("part-")),
        "parts are left over"
    );

    // It runs only once.
    let mut edited = serde_json::to_value(&screen.spec)?;
    edited["shards"] = json!(3);
    let edit = json!({
        "apiVersion": personaguard_api::API_VERSION, "kind": "DatasetScreen",
        "metadata": { "name": "chats", "namespace": fixture.namespace }, "spec": edited
    });
    let refused = fixture.apply(&edit).await.err().context("an edit was accepted")?;
    assert!(format!("{refused:#}").contains("runs once"), "{refused:#}");
    Api::<PersistentVolume>::all(fixture.client.clone())
        .delete(&volume, &DeleteParams::default())
        .await?;
    fixture.finish().await
}
