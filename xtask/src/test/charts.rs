//! Checks of charts and alerting rules by Helm and Prometheus themselves. What the charts render is
//! tested in `tests/e2e/tests/charts.rs`.

use crate::debian;
use crate::progress::Progress;
use crate::workspace::{root, show};
use anyhow::{Result, ensure};
use personaguard_cluster::{Cache, ensure_programs};
use std::path::PathBuf;
use std::process::Command;

/// Runs `helm lint` on both charts.
///
/// # Errors
/// Helm finds a fault.
pub(crate) fn lint(cache: &Cache, progress: &Progress) -> Result<()> {
    ensure_programs(cache, &|text| progress.announce(text))?;
    let mut helm = Command::new(cache.bin().join("helm"));
    helm.args(["lint", "--strict", "--kube-version", "1.36.0"]);
    show(helm.args(["charts/personaguard-crds", "charts/personaguard"]).current_dir(root()))
}

/// Runs promtool on the rules and on their tests.
///
/// # Errors
/// A rule is malformed, or a test fails.
pub(crate) fn rules(cache: &Cache, progress: &Progress) -> Result<()> {
    let promtool =
        debian::ensure(cache, "prometheus", "promtool", "checks the alerting rules", progress)?;
    show(
        Command::new(&promtool)
            .args(["check", "rules", "charts/personaguard/files/rules.yaml"])
            .current_dir(root()),
    )?;
    let mut tests: Vec<PathBuf> = std::fs::read_dir(root().join("tests/rules"))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
        .collect();
    tests.sort();
    ensure!(!tests.is_empty(), "tests/rules holds no tests");
    show(Command::new(&promtool).args(["test", "rules"]).args(tests).current_dir(root()))
}
