//! A Job of a CronJob has its sidecar while it runs, ends although the sidecar would not, and is
//! reported under the name of the CronJob.

use anyhow::{Context, Result};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use personaguard_api::{PersonaPolicy, PersonaReport, names};
use personaguard_e2e::fixture::PATIENCE;
use personaguard_e2e::{Fixture, wait};
use serde_json::{Value, json};

/// What runs: it asks the sidecar which models there are, and fails if nothing answers.
fn template() -> Value {
    json!({
        "backoffLimit": 0,
        "template": {
            "metadata": { "labels": { "app": "nightly" } },
            "spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": "ask", "image": "localhost/personaguard:dev",
                    "imagePullPolicy": "IfNotPresent", "args": ["chat"]
                }]
            }
        }
    })
}

#[tokio::test]
async fn s24_a_job_ends_beside_its_sidecar() -> Result<()> {
    let fixture = Fixture::new("s24").await?;
    let threshold = json!({ "projection": 1e6 });
    let traits = json!([{ "vector": "evil", "threshold": threshold, "action": "Block" }]);
    fixture.apply_policy("nightly", &traits).await?;
    fixture.policy_condition("Accepted", "True").await?;

    let metadata = json!({ "name": "nightly", "namespace": fixture.namespace });
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata,
        "spec": { "schedule": "0 0 1 1 *", "jobTemplate": { "spec": template() } }
    });
    fixture.apply(&cron_job).await?;
    let cron_job = fixture.api::<CronJob>().get("nightly").await?;
    // As `kubectl create job --from=cronjob/nightly` does.
    let owner = json!([{
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "controller": true,
        "uid": cron_job.uid().context("a CronJob without uid")?
    }]);
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": "nightly-1", "namespace": fixture.namespace, "ownerReferences": owner
        },
        "spec": template()
    });
    fixture.apply(&job).await?;

    let (jobs, pods): (Api<Job>, Api<Pod>) = (fixture.api(), fixture.api());
    let (_, took) = wait::until("the Job to end", PATIENCE, || async {
        let status = jobs.get("nightly-1").await?.status.unwrap_or_default();
        anyhow::ensure!(status.failed.unwrap_or_default() == 0, "the Job failed: {status:?}");
        Ok((status.succeeded == Some(1)).then_some(()))
    })
    .await?;
    println!("the Job ended {took:?} after it was created");

    let pod = pods.list(&ListParams::default().labels("app=nightly")).await?.items;
    let status = pod.first().and_then(|pod| pod.status.clone()).context("no pod")?;
    assert_eq!(status.phase.as_deref(), Some("Succeeded"));
    let sidecar = status.init_container_statuses.unwrap_or_default();
    let sidecar = sidecar.iter().find(|it| it.name == names::CONTAINER).context("no sidecar")?;
    let ended = sidecar.state.as_ref().and_then(|state| state.terminated.as_ref());
    assert_eq!(ended.map(|end| end.exit_code), Some(0), "the sidecar did not end in order");

    let reports: Api<PersonaReport> = fixture.api();
    let name = names::report("CronJob", "nightly");
    wait::until(&format!("report {name}"), PATIENCE, || async {
        Ok(reports.get_opt(&name).await?)
    })
    .await?;
    // A pod that has ended is not one that lacks a guard.
    let policies: Api<PersonaPolicy> = fixture.api();
    wait::until("no pod to be left to guard", PATIENCE, || async {
        let status = policies.get("no-villains").await?.status.unwrap_or_default();
        Ok((status.guarded.as_deref() == Some("0/0")).then_some(()))
    })
    .await?;
    fixture.finish().await
}
