//! The charts and the alerting rules, without a cluster.

use crate::debian;
use crate::progress::Progress;
use crate::workspace::{root, show};
use anyhow::{Result, bail, ensure};
use personaguard_cluster::{Cache, capture, ensure_programs};
use std::path::PathBuf;
use std::process::Command;

/// Values that every branch of the chart is rendered with.
const RENDERED: [&[&str]; 5] = [
    &[],
    &["monitoring.rules.create=PrometheusRule", "monitoring.podMonitor.create=Always"],
    &["monitoring.rules.create=ConfigMap", "monitoring.dashboard.create=false", "networkPolicy.create=false"],
    &[
        "replicas=3",
        "alertmanagerUrl=http://alertmanager.monitoring.svc:9093",
        "otlpEndpoint=http://otel.monitoring.svc:4318",
    ],
    &["admission.failurePolicy=Fail", "logLevel=debug"],
];

/// Values that the schema must refuse.
const REFUSED: [&str; 5] = [
    "replicas=none",
    "image.pullPolicy=Sometimes",
    "monitoring.rules.create=Perhaps",
    "admission.failurePolicy=Open",
    "noSuchValue=1",
];

/// helm lint, helm template with each set of values, and values that must be refused.
///
/// # Errors
/// Helm finds a fault, or accepts what it must not.
pub(crate) fn check(cache: &Cache, progress: &Progress) -> Result<()> {
    let helm = helm(cache, progress)?;
    let helm = || {
        let mut command = Command::new(&helm);
        command.current_dir(root());
        command
    };
    show(helm().args(["lint", "--strict", "--quiet", "charts/personaguard-crds", "charts/personaguard"]))?;
    show(
        helm().args(["template", "personaguard-crds", "charts/personaguard-crds"]).stdout(std::process::Stdio::null()),
    )?;
    let template = |values: &[&str]| {
        let mut command = helm();
        command.args(["template", "personaguard", "charts/personaguard", "--namespace", "personaguard-system"]);
        command.args([
            "--kube-version",
            "1.36.0",
            "--api-versions",
            "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
        ]);
        values.iter().for_each(|value| {
            command.args(["--set", value]);
        });
        capture(&mut command)
    };
    for values in RENDERED {
        ensure!(template(values)?.contains("kind: MutatingAdmissionPolicy\n"), "no admission policy with {values:?}");
        println!("charts/personaguard renders with {values:?}");
    }
    for value in REFUSED {
        ensure!(template(&[value]).is_err(), "the values' schema accepts {value}");
        println!("charts/personaguard refuses {value}");
    }
    let old = ["template", "personaguard", "charts/personaguard", "--kube-version", "1.35.0"];
    let Err(refusal) = capture(helm().args(old)) else {
        bail!("the chart installs on Kubernetes 1.35, which cannot inject")
    };
    ensure!(
        refusal.to_string().contains("1.36"),
        "the refusal of Kubernetes 1.35 does not say what is needed: {refusal:#}"
    );
    println!("charts/personaguard refuses Kubernetes 1.35");
    Ok(())
}

/// promtool on the rules, and the rules' own tests.
///
/// # Errors
/// A rule is malformed, or a test fails.
pub(crate) fn rules(cache: &Cache, progress: &Progress) -> Result<()> {
    let promtool = debian::ensure(cache, "prometheus", "promtool", "checks the alerting rules", progress)?;
    show(Command::new(&promtool).args(["check", "rules", "charts/personaguard/files/rules.yaml"]).current_dir(root()))?;
    let mut tests: Vec<PathBuf> = std::fs::read_dir(root().join("tests/rules"))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
        .collect();
    tests.sort();
    ensure!(!tests.is_empty(), "tests/rules holds no tests");
    show(Command::new(&promtool).args(["test", "rules"]).args(tests).current_dir(root()))
}

fn helm(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    ensure_programs(cache, &|text| progress.say(text))?;
    Ok(cache.bin().join("helm"))
}
