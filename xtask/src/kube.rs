//! kubectl and Helm for one cluster: the local one, or one of the user's.

use crate::progress::Progress;
use crate::workspace;
use anyhow::{Context, Result};
use personaguard_cluster::{Cache, Cluster, capture, find_program, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The operator's namespace.
pub(crate) const SYSTEM: &str = "personaguard-system";

/// A cluster, as kubectl and Helm access it.
pub(crate) struct Kube {
    kubectl: PathBuf,
    helm: PathBuf,
    kubeconfig: PathBuf,
}

impl Kube {
    /// The local cluster.
    pub(crate) fn local(cache: &Cache, cluster: &Cluster) -> Self {
        let bin = cache.bin();
        Self {
            kubectl: bin.join("kubectl"),
            helm: bin.join("helm"),
            kubeconfig: cluster.kubeconfig(),
        }
    }

    /// A cluster of the user's, accessed with the user's own kubectl and Helm.
    ///
    /// # Errors
    /// kubectl or Helm is missing, or the cluster does not respond.
    pub(crate) fn existing(cache: &Cache, kubeconfig: &Path) -> Result<Self> {
        let find = |name: &str| {
            let built = cache.bin().join(name);
            find_program(name)
                .or_else(|| built.is_file().then_some(built))
                .with_context(|| format!("{name} is missing: install it, it talks to your cluster"))
        };
        let kubeconfig = kubeconfig
            .canonicalize()
            .with_context(|| format!("no kubeconfig {}", kubeconfig.display()))?;
        let kube = Self { kubectl: find("kubectl")?, helm: find("helm")?, kubeconfig };
        run(kube.kubectl().args(["version", "--request-timeout=10s"]))
            .context("the cluster cannot be reached")?;
        Ok(kube)
    }

    /// The cluster's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The folder that holds kubectl.
    pub(crate) fn folder(&self) -> &Path {
        self.kubectl.parent().unwrap_or(Path::new("/"))
    }

    /// `kubectl --kubeconfig …`.
    pub(crate) fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command
    }

    /// `helm --kubeconfig …`.
    pub(crate) fn helm(&self) -> Command {
        let mut command = Command::new(&self.helm);
        command.arg("--kubeconfig").arg(&self.kubeconfig).current_dir(workspace::root());
        command
    }

    /// Applies a manifest by `kubectl apply`.
    ///
    /// # Errors
    /// The API server refuses it.
    pub(crate) fn apply(&self, manifest: &str) -> Result<()> {
        use std::io::Write;
        let mut command = self.kubectl();
        command.args(["apply", "--server-side", "--force-conflicts", "-f", "-"]);
        let mut child = command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()?;
        child.stdin.take().context("kubectl has no input")?.write_all(manifest.as_bytes())?;
        let output = child.wait_with_output()?;
        anyhow::ensure!(
            output.status.success(),
            "kubectl apply: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// Installs or upgrades both charts, and waits for the operator. `image` is the digest of the
    /// operator's image, so that a new image under the same tag restarts the operator.
    ///
    /// # Errors
    /// Helm refuses a chart, or the operator does not start (the error shows its pods).
    pub(crate) fn install(
        &self,
        registry: &str,
        image: Option<&str>,
        progress: &Progress,
    ) -> Result<()> {
        progress.step("installing the charts personaguard-crds and personaguard by Helm");
        let upgrade = ["upgrade", "--install", "--namespace", SYSTEM, "--create-namespace"];
        // The other chart is refused until the API server serves the kinds.
        let kinds = ["personaguard-crds", "charts/personaguard-crds", "--wait"];
        run(self.helm().args(upgrade).args(kinds))?;
        let mut values = vec![
            format!("image.repository={registry}/personaguard-operator"),
            "image.tag=dev".into(),
            format!("sidecar.image.repository={registry}/personaguard"),
            "sidecar.image.tag=dev".into(),
        ];
        values.extend(image.map(|digest| format!("podAnnotations.image-digest={digest}")));
        let values = ["--set".to_owned(), values.join(",")];
        run(self.helm().args(upgrade).args(["personaguard", "charts/personaguard"]).args(values))?;
        progress.step("waiting for the operator");
        let status = self
            .kubectl()
            .args([
                "-n",
                SYSTEM,
                "rollout",
                "status",
                "deployment/personaguard-operator",
                "--timeout=5m",
            ])
            .output()?;
        if !status.status.success() {
            let pods = capture(self.kubectl().args(["-n", SYSTEM, "describe", "pods"]))
                .unwrap_or_default();
            let logs = ["-n", SYSTEM, "logs", "deployment/personaguard-operator", "--tail=20"];
            let logs = capture(self.kubectl().args(logs)).unwrap_or_default();
            anyhow::bail!("the operator does not start:\n{pods}\n{logs}");
        }
        progress.done();
        Ok(())
    }
}
