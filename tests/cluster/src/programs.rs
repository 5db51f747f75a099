//! The cluster's programs. They are built from source into the cache: by Go, and the pause program
//! by rustc.

use crate::paths::Cache;
use crate::progress::Say;
use crate::run::run;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Go module under `go/`, which pins versions, and the programs that are built from it.
struct Module {
    folder: &'static str,
    what: &'static str,
    packages: &'static [&'static str],
    programs: &'static [&'static str],
}

const MODULES: [Module; 5] = [
    Module {
        folder: "kubernetes",
        what: "Kubernetes 1.36 (about 8 minutes on 2 cores)",
        packages: &[
            "k8s.io/kubernetes/cmd/kube-apiserver",
            "k8s.io/kubernetes/cmd/kube-controller-manager",
            "k8s.io/kubernetes/cmd/kube-scheduler",
            "k8s.io/kubernetes/cmd/kubelet",
            "k8s.io/kubernetes/cmd/kube-proxy",
            "k8s.io/kubernetes/cmd/kubectl",
        ],
        programs: &[
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
        ],
    },
    Module {
        folder: "etcd",
        what: "etcd (30 s)",
        packages: &["go.etcd.io/etcd/server/v3"],
        programs: &["etcd"],
    },
    Module {
        folder: "containerd",
        what: "containerd (75 s)",
        packages: &[
            "github.com/containerd/containerd/v2/cmd/containerd",
            "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            "github.com/containerd/containerd/v2/cmd/ctr",
        ],
        programs: &["containerd", "containerd-shim-runc-v2", "ctr"],
    },
    Module {
        folder: "coredns",
        what: "CoreDNS (70 s)",
        packages: &["github.com/coredns/coredns"],
        programs: &["coredns"],
    },
    Module {
        folder: "helm",
        what: "Helm (2.5 minutes)",
        packages: &["helm.sh/helm/v4/cmd/helm"],
        programs: &["helm"],
    },
];

/// Builds every program that the cache does not have in this version. With a warm Go cache that
/// takes seconds.
///
/// # Errors
/// Go is missing, a module cannot be fetched, or a build fails.
pub fn ensure_programs(cache: &Cache, say: Say<'_>) -> Result<()> {
    fs::create_dir_all(cache.bin())?;
    MODULES.iter().try_for_each(|module| module.ensure(cache, say))
}

impl Module {
    fn ensure(&self, cache: &Cache, say: Say<'_>) -> Result<()> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go").join(self.folder);
        let flags = self.linker_flags();
        let mut hash = Sha256::new();
        for file in ["go.mod", "go.sum"] {
            hash.update(
                fs::read(source.join(file))
                    .with_context(|| format!("reading {}/{file}", source.display()))?,
            );
        }
        hash.update(&flags);
        hash.update(self.packages.join(" "));
        let stamp = cache.bin().join(format!(".{}.built-from", self.folder));
        let digest = hex::encode(hash.finalize());
        let present = self.programs.iter().all(|program| cache.bin().join(program).is_file());
        if present && fs::read_to_string(&stamp).is_ok_and(|built| built == digest) {
            return Ok(());
        }
        say(&format!("building {} from its Go sources into {}", self.what, cache.bin().display()));
        let folder = tempdir_in(&cache.bin(), self.folder)?;
        run(Command::new("go")
            .args(["build", "-trimpath", "-ldflags", &flags, "-o"])
            .arg(format!("{}/", folder.display()))
            .args(self.packages)
            .current_dir(&source)
            .env("CGO_ENABLED", "0"))
        .with_context(|| {
            format!(
                "building {} (needs Go 1.26 or newer, which fetches newer toolchains itself)",
                self.folder
            )
        })?;
        for program in self.programs {
            // Go names a program after the last element of its path, which may be a major version.
            let built = [*program, "v3", "server"]
                .map(|name| folder.join(name))
                .into_iter()
                .find(|path| path.is_file());
            let built = built
                .with_context(|| format!("the build of {} produced no {program}", self.folder))?;
            fs::rename(built, cache.bin().join(program))?;
        }
        fs::remove_dir_all(folder)?;
        Ok(fs::write(stamp, digest)?)
    }

    /// Without these versions, Kubernetes reports v0.0.0 and clients refuse it.
    fn linker_flags(&self) -> String {
        let mut flags = "-s -w".to_owned();
        if self.folder == "kubernetes" {
            for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
                for (name, value) in [
                    ("gitVersion", "v1.36.3"),
                    ("gitMajor", "1"),
                    ("gitMinor", "36"),
                    ("gitTreeState", "clean"),
                ] {
                    flags.push_str(&format!(" -X {package}.{name}={value}"));
                }
            }
        }
        flags
    }
}

fn tempdir_in(parent: &Path, name: &str) -> Result<PathBuf> {
    let folder = parent.join(format!(".{name}.building"));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir(&folder)?;
    Ok(folder)
}

/// The program that keeps a pod's namespaces open. It is static, so its image is a single file.
const PAUSE: &str = "fn main() { loop { std::thread::park(); } }\n";

/// Builds the pause program if the cache does not have it. Returns its path.
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
