//! The end-to-end tests, on a local cluster of their own.

use super::Options;
use super::count::Count;
use super::vllm;
use crate::kube::{Kube, SYSTEM};
use crate::progress::Progress;
use crate::workspace::{binaries, cargo, root, show};
use crate::{debian, images, model, python, vectors, workspace};
use anyhow::{Context, Result, ensure};
use personaguard_cluster::{Cache, Cluster, Status, capture, find_program, install_packages};
use std::path::Path;

/// The name of the tests' local cluster.
const NAME: &str = "test";

/// Brings up a fresh cluster with images and charts, runs the tests in its network, and takes it
/// down.
pub(crate) fn run(
    cache: &Cache,
    options: &Options,
    progress: &Progress,
    count: &mut Count,
) -> Result<()> {
    workspace::build_with_cluster(cache, progress)?;
    let weights = model::ensure(cache, progress)?;
    let python = python::ensure(cache, progress)?;
    let vllm = vllm::ensure(cache, &weights, progress)?;
    let vectors = vectors::ensure(cache, &weights, options.vectors.as_deref(), progress)?;
    progress.announce("building the end-to-end tests");
    show(tests().arg("--no-run"))?;
    if find_program("curl").is_none() {
        install_packages(&[("curl", "the cluster's own test runs it in a pod")], &|text| {
            progress.step(text);
        })?;
    }
    progress.announce("testing the local cluster itself: up, kills, down");
    let lifecycle = ["--test", "lifecycle", "--", "--ignored"];
    count.run(cargo().args(["test", "--release", "--workspace"]).args(lifecycle))?;
    let running = matches!(Cluster::status(cache, NAME)?, Status::Running { .. });
    if !(options.keep && running) {
        Cluster::down(cache, NAME)?;
    }
    let mut cluster = Cluster::up(cache, NAME, &|text| progress.step(text))?;
    images::import(&mut cluster, &weights, progress)?;
    let kube = Kube::local(cache, &cluster);
    let result = kube
        .install("localhost", cluster.image_digest(images::OPERATOR), progress)
        .and_then(|()| {
            progress.announce("helm test");
            show(kube.helm().args([
                "test",
                "personaguard",
                "--namespace",
                SYSTEM,
                "--timeout",
                "3m",
            ]))?;
            progress.announce("end-to-end tests");
            let path = path(cache, progress)?;
            count.run(
                tests()
                    .arg("--")
                    .arg("--test-threads=1")
                    .args(&options.arguments)
                    // The tests connect to pods and Services by IP address.
                    .env(
                        format!(
                            "CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER",
                            std::env::consts::ARCH.to_uppercase()
                        ),
                        format!("nsenter --net=/run/netns/{}", cluster.layout().node()),
                    )
                    .env("PATH", path)
                    .env("KUBECONFIG", cluster.kubeconfig())
                    .env("PERSONAGUARD_TEST_CLUSTER", NAME)
                    .env("PERSONAGUARD_TEST_AUDIT_LOG", cluster.layout().audit_log())
                    .env("PERSONAGUARD_TEST_MODEL", &weights)
                    .env("PERSONAGUARD_TEST_VECTORS", &vectors)
                    .env("PERSONAGUARD_TEST_PYTHON", &python)
                    .env("PERSONAGUARD_TEST_VLLM_PYTHON", &vllm.python)
                    .env("PERSONAGUARD_TEST_VLLM_MODEL", &vllm.model)
                    .env("PERSONAGUARD_TEST_BIN", binaries()),
            )
        });
    if result.is_err() {
        diagnose(&kube, cluster.layout().audit_log().parent().unwrap_or(Path::new("/")));
    }
    if !options.keep {
        progress.step("taking the tests' cluster down");
        Cluster::down(cache, NAME)?;
        progress.done();
    }
    result
}

/// `cargo test` for the end-to-end tests only. Every package is selected: otherwise dependencies
/// would be compiled again with other features.
fn tests() -> std::process::Command {
    let mut command = cargo();
    command.args(["test", "--release", "--workspace", "--no-fail-fast"]);
    let targets = std::fs::read_dir(root().join("tests/e2e/tests")).into_iter().flatten().flatten();
    for target in targets {
        // `tests/NAME.rs` or `tests/NAME/main.rs`.
        if target.path().join("main.rs").is_file()
            || target.path().extension().is_some_and(|kind| kind == "rs")
        {
            command.arg("--test").arg(target.path().file_stem().unwrap_or_default());
        }
    }
    command
}

/// A `PATH` with the cluster's programs, Prometheus and Alertmanager before the user's own.
fn path(cache: &Cache, progress: &Progress) -> Result<std::ffi::OsString> {
    let mut folders = vec![cache.bin()];
    for package in ["prometheus", "prometheus-alertmanager"] {
        let program =
            debian::ensure(cache, package, package, "the tests let real alerts fire", progress)?;
        folders.push(program.parent().context("a program without a folder")?.to_owned());
    }
    let user = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&user));
    folders.push("/usr/sbin".into());
    ensure!(folders.iter().all(|folder| folder.is_absolute()), "PATH holds a relative folder");
    Ok(std::env::join_paths(folders)?)
}

/// Prints what helps to understand a failure, while the cluster still exists.
fn diagnose(kube: &Kube, folder: &Path) {
    eprintln!("\n--- the cluster after the failure (its logs: {}/logs)", folder.display());
    for arguments in [
        vec!["get", "pods", "-A", "-o", "wide"],
        vec!["get", "personamodels,personavectors,personapolicies,personareports", "-A"],
        vec!["-n", SYSTEM, "logs", "deployment/personaguard-operator", "--tail=40"],
    ] {
        eprintln!("$ kubectl {}", arguments.join(" "));
        match capture(kube.kubectl().args(&arguments)) {
            Ok(output) => eprintln!("{output}"),
            Err(error) => eprintln!("{error:#}"),
        }
    }
}
