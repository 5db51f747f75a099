//! 10. While idle for 60 s, the operator writes nothing, according to the API server's audit log.

use anyhow::Result;
use personaguard_e2e::{Fixture, audit, prompts};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn s10_invariant_6_in_steady_state_the_operator_writes_nothing() -> Result<()> {
    let fixture = Fixture::new("s10").await?;
    let pod = fixture
        .guarded_chat(
            &json!([{ "vector": "evil", "threshold": { "sigma": 3 }, "action": "Alert" }]),
        )
        .await?;
    let start = audit::mark()?;
    fixture.chat(&pod)?.ask(None, prompts::QUESTIONS[0]).await?;
    fixture
        .report("chat", "the response", |r| {
            r.status.as_ref().is_some_and(|s| s.totals.responses == 1)
        })
        .await?;
    // A write does show up in the log.
    let busy = audit::writes_since(&start, "personaguard-operator")?;
    assert!(busy.iter().any(|write| write.contains("personareports")), "{busy:?}");
    tokio::time::sleep(Duration::from_secs(10)).await;

    let mark = audit::mark()?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (leases, writes): (Vec<_>, Vec<_>) = audit::writes_since(&mark, "personaguard-operator")?
        .into_iter()
        .partition(|write| write.contains(" leases "));
    println!(
        "in 60 s: {} writes besides {} renewals of the Lease: {writes:?}",
        writes.len(),
        leases.len()
    );
    // Renewing its Lease is all that an idle operator does.
    assert!(writes.is_empty(), "{writes:?}");
    fixture.finish().await
}
