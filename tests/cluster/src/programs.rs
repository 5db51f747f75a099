//! The cluster's programs, built from their Go sources into the cache, and the pause program, built
//! by rustc.

use crate::paths::Cache;
use crate::progress::OnStep;
use crate::run::run;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Go module, and the programs that are built of it, each with its package.
type Module = (&'static str, &'static [(&'static str, &'static str)]);

/// As few modules as agree on their dependencies, so that what programs share is compiled once:
/// Kubernetes's client libraries alone are a third of it. containerd 2.4 needs a newer API of the
/// kubelet (cri-api) than Kubernetes 1.36.
const MODULES: [Module; 2] = [
    (
        "kubernetes",
        &[
            ("coredns", "./coredns"),
            ("etcd", "go.etcd.io/etcd/server/v3"),
            ("helm", "helm.sh/helm/v4/cmd/helm"),
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
            ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
            ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
            ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
            ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
        ],
    ),
    (
        "containerd",
        &[
            ("containerd", "github.com/containerd/containerd/v2/cmd/containerd"),
            (
                "containerd-shim-runc-v2",
                "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            ),
            ("ctr", "github.com/containerd/containerd/v2/cmd/ctr"),
        ],
    ),
];

/// The version that Kubernetes's programs report. Without it they call themselves v0.0.0, and
/// clients refuse them.
const KUBERNETES: [(&str, &str); 4] =
    [("gitVersion", "v1.36.3"), ("gitMajor", "1"), ("gitMinor", "36"), ("gitTreeState", "clean")];

/// The files of a module that decide what is built of it, where it has them.
const SOURCES: [&str; 3] = ["go.mod", "go.sum", "coredns/main.go"];

/// Builds every program if the cache lacks one or holds other versions. Takes seconds with a warm
/// Go cache.
///
/// # Errors
/// Go is missing, a module cannot be downloaded, or a build fails.
pub fn ensure_programs(cache: &Cache, on_step: OnStep<'_>) -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
    let linker_flags = linker_flags();
    fs::create_dir_all(cache.bin())?;
    for (module, programs) in MODULES {
        ensure_module(cache, &source.join(module), programs, &linker_flags, on_step)?;
    }
    Ok(())
}

fn ensure_module(
    cache: &Cache,
    source: &Path,
    programs: &[(&str, &str)],
    linker_flags: &str,
    on_step: OnStep<'_>,
) -> Result<()> {
    let name = source.file_name().unwrap_or_default().to_string_lossy();
    let mut hash = Sha256::new();
    for path in SOURCES.map(|file| source.join(file)).iter().filter(|path| path.exists()) {
        hash.update(fs::read(path).with_context(|| format!("reading {}", path.display()))?);
    }
    hash.update(linker_flags);
    for (_, package) in programs {
        hash.update(package);
    }
    let digest = hex::encode(hash.finalize());
    let bin = cache.bin();
    let stamp = bin.join(format!(".{name}-built-from"));
    let present = programs.iter().all(|(program, _)| bin.join(program).is_file());
    if present && fs::read_to_string(&stamp).is_ok_and(|built| built == digest) {
        return Ok(());
    }
    let names: Vec<_> = programs.iter().map(|(program, _)| *program).collect();
    on_step(&format!(
        "building {} from their Go sources into {} (all of them: 10 minutes on 2 cores)",
        names.join(", "),
        bin.display()
    ));
    let folder = empty_folder(&bin.join(".building"))?;
    run(Command::new("go")
        .args(["build", "-trimpath", "-ldflags", linker_flags, "-o"])
        .arg(format!("{}/", folder.display()))
        .args(programs.iter().map(|(_, package)| package))
        .current_dir(source)
        .env("CGO_ENABLED", "0"))
    .context(
        "building the cluster's programs (needs Go 1.26 or newer, which downloads newer \
         toolchains itself)",
    )?;
    for (program, package) in programs {
        // A program has the name of its package's folder. A module's major version does not count.
        let name = package.trim_end_matches("/v3").rsplit('/').next().unwrap_or(package);
        fs::rename(folder.join(name), bin.join(program))
            .with_context(|| format!("the build made no {program}"))?;
    }
    fs::remove_dir_all(folder)?;
    Ok(fs::write(stamp, digest)?)
}

fn linker_flags() -> String {
    let mut flags = "-s -w".to_owned();
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        for (name, value) in KUBERNETES {
            flags.push_str(&format!(" -X {package}.{name}={value}"));
        }
    }
    flags
}

fn empty_folder(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir(folder)?;
    Ok(folder.to_owned())
}

/// The program that holds a pod's namespaces open: it only waits. Static, so that its image is one
/// file.
const PAUSE: &str = "fn main() { loop { std::thread::park(); } }\n";

/// The path of the pause program, which is built by rustc if the cache lacks it.
///
/// # Errors
/// rustc or the static C library (package `libc6-dev`, which Rust needs anyway) is missing.
pub(crate) fn ensure_pause(cache: &Cache) -> Result<PathBuf> {
    let program = cache.bin().join("pause");
    if program.is_file() {
        return Ok(program);
    }
    fs::create_dir_all(cache.bin())?;
    let source = cache.bin().join("pause.rs");
    fs::write(&source, PAUSE)?;
    let new = cache.bin().join(".pause.new");
    run(Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--crate-name",
            "pause",
            "--edition",
            "2024",
            "-O",
            "-C",
            "target-feature=+crt-static",
            "-C",
            "panic=abort",
            "-C",
            "strip=symbols",
            "-o",
        ])
        .arg(&new)
        .arg(&source))?;
    fs::rename(new, &program)?;
    Ok(program)
}
