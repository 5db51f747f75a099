//! Shows how the cluster reports the breach.

use super::SUPPORT;
use super::monitoring::Monitoring;
use crate::kube::Kube;
use crate::progress::Progress;
use crate::workspace;
use anyhow::{Context, Result, ensure};
use personaguard_cluster::run;
use std::time::{Duration, Instant};

const ALERT: &str = "PersonaGuardTraitBreached";
/// A go-template: one line a condition.
const CONDITIONS: &str = concat!(
    "{{range .status.conditions}}",
    r#"{{printf "  %-14s %-8s %-26s %s\n" .type .status .reason .message}}"#,
    "{{end}}",
);

/// Waits until the breach is reported, and prints the report, the conditions, the events and the
/// alert.
///
/// # Errors
/// The breach is not reported.
pub(crate) fn show(
    kube: &Kube,
    monitoring: Option<&Monitoring>,
    progress: &Progress,
) -> Result<()> {
    progress.step("waiting for the breach to be reported");
    let wait = [
        "-n",
        SUPPORT,
        "wait",
        "personapolicy/no-villains",
        "--for=condition=TraitBreached",
        "--timeout=1m",
    ];
    run(kube.kubectl().args(wait)).context("the conversation breached nothing")?;
    progress.done();
    kubectl(kube, &["get", "personamodels,personavectors"])?;
    kubectl(kube, &["-n", SUPPORT, "get", "personapolicies,personareports"])?;
    kubectl(
        kube,
        &[
            "-n",
            SUPPORT,
            "get",
            "personapolicy",
            "no-villains",
            "-o",
            &format!("go-template={CONDITIONS}"),
        ],
    )?;
    kubectl(kube, &["-n", SUPPORT, "get", "events", "--field-selector", "reason=TraitBreached"])?;
    let Some(monitoring) = monitoring else {
        println!(
            "\nThe alerting rules are in the PrometheusRule `personaguard`, or the ConfigMap \
             `personaguard-rules`, of the operator's namespace."
        );
        return Ok(());
    };
    progress.step("waiting for Prometheus to fire and Alertmanager to receive the alert");
    let deadline = Instant::now() + Duration::from_secs(120);
    let alerts = loop {
        // Alertmanager may not be listening yet.
        let alerts = monitoring.alerts(ALERT).unwrap_or_default();
        if !alerts.is_empty() {
            break alerts;
        }
        ensure!(
            Instant::now() < deadline,
            "no alert {ALERT} arrived: look at {}/alerts",
            monitoring.prometheus()
        );
        std::thread::sleep(Duration::from_millis(500));
    };
    progress.done();
    println!(
        "\n$ amtool --alertmanager.url={} alert query alertname={ALERT}",
        monitoring.alertmanager()
    );
    for alert in alerts {
        println!("{alert}");
    }
    Ok(())
}

fn kubectl(kube: &Kube, arguments: &[&str]) -> Result<()> {
    let shown: Vec<&str> =
        arguments.iter().map(|word| word.split("={{").next().unwrap_or(word)).collect();
    println!(
        "\n$ kubectl {}",
        shown.join(" ").replace(" -o go-template", " -o jsonpath={.status.conditions}")
    );
    workspace::show(kube.kubectl().args(arguments))
}
