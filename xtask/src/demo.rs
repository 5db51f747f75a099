//! `cargo xtask demo`: everything on one cluster, step by step.

mod monitoring;
mod show;
mod talk;
#[cfg(test)]
mod tests;

use crate::kube::{Kube, SYSTEM};
use crate::progress::Progress;
use crate::{images, model, python, vectors, workspace};
use anyhow::{Context, Result, bail};
use clap::Args;
use monitoring::Monitoring;
use personaguard_cluster::{Cache, Cluster, capture, run as finish};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The name of the demo's local cluster.
const NAME: &str = "demo";
/// The chat service's namespace.
pub(crate) const SUPPORT: &str = "support";

/// Show everything: a cluster, the charts, a chat service, a policy, a breach, and how the cluster
/// reports it.
///
/// Builds what it needs, starts a local single-node cluster (root; in a folder and namespaces of
/// its own), installs the charts, deploys a chat service, applies a PersonaModel, two
/// PersonaVectors and a PersonaPolicy, talks to the service plainly and as an evil assistant, and
/// shows the report, the conditions, the events and the alert. The first run builds Kubernetes,
/// Personaguard and two vectors (about 20 minutes on 2 cores); later ones take a minute or two. Run
/// it again at any time; the cluster stays up until `--down`.
#[derive(Args)]
pub(crate) struct Options {
    /// Use this existing cluster (1.36 or newer) instead of a local one. Its nodes must be able to
    /// pull the images.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// With --kubeconfig: the prefix of the images' names where you pushed them; see `cargo xtask
    /// image --help`.
    #[arg(long, value_name = "PREFIX", default_value = "localhost", requires = "kubeconfig")]
    image_registry: String,
    /// Folder with evil.safetensors and sycophantic.safetensors to use instead of extracting them.
    #[arg(long, value_name = "DIR")]
    vectors: Option<PathBuf>,
    /// Remove everything that the demo created: the local cluster, or with --kubeconfig its objects
    /// in yours.
    #[arg(long)]
    down: bool,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<()> {
    let cache = Cache::open()?;
    let progress = Progress::new();
    if options.down {
        return down(&cache, options.kubeconfig.as_deref(), &progress);
    }
    match &options.kubeconfig {
        Some(_) => workspace::build(&progress)?,
        None => workspace::build_with_cluster(&cache, &progress)?,
    }
    let weights = model::ensure(&cache, &progress)?;
    let python = python::ensure(&cache, &progress)?;
    let (kube, cluster) = match &options.kubeconfig {
        Some(kubeconfig) => (Kube::existing(&cache, kubeconfig)?, None),
        None => {
            let mut cluster = Cluster::up(&cache, NAME, &|text| progress.step(text))?;
            images::import(&mut cluster, &weights, &progress)?;
            (Kube::local(&cache, &cluster), Some(cluster))
        }
    };
    let vectors = vectors::ensure(&cache, &weights, options.vectors.as_deref(), &progress)?;
    if cluster.is_none() {
        eprintln!(
            "This cluster must be able to pull {0}/personaguard-operator:dev, \
             {0}/personaguard:dev, {0}/chat-app:dev and {0}/smollm2-135m:1:\n  \
             cargo xtask image --registry {0} --out images\n\
             writes them and prints how to push them.",
            options.image_registry
        );
    }
    let image = cluster.as_ref().and_then(|cluster| cluster.image_digest(images::OPERATOR));
    kube.install(&options.image_registry, image, &progress)?;
    let monitoring = match cluster {
        Some(cluster) => Some(Monitoring::start(&cache, &kube, cluster, &progress)?),
        None => None,
    };
    apply(&kube, &options.image_registry, &vectors, &progress)?;
    progress.done();
    talk::talk(&kube, &python)?;
    show::show(&kube, monitoring.as_ref(), &progress)?;
    print_next_steps(&kube, monitoring.as_ref(), options.kubeconfig.as_deref(), &progress);
    Ok(())
}

/// Applies the files in `tests/demo/`, and waits until the policy guards the service.
fn apply(kube: &Kube, registry: &str, vectors: &Path, progress: &Progress) -> Result<()> {
    let mut values = BTreeMap::from([
        ("REGISTRY", registry.to_owned()),
        ("MODEL_SHA256", model::SHA256.to_owned()),
    ]);
    for (name, value) in vectors::TRAITS.into_iter().zip(["EVIL_SHA256", "SYCOPHANTIC_SHA256"]) {
        let file = vectors.join(format!("{name}.safetensors"));
        values.insert(value, model::sha256(&file)?);
        progress.step(&format!("ConfigMap vector-{name} in {SYSTEM}"));
        // A vector file is too large for the annotation that a client-side apply would write.
        let map = capture(
            kube.kubectl()
                .args([
                    "-n",
                    SYSTEM,
                    "create",
                    "configmap",
                    &format!("vector-{name}"),
                    "--dry-run=client",
                    "-o",
                    "json",
                ])
                .arg(format!("--from-file=vector.safetensors={}", file.display())),
        )?;
        kube.apply(&map)?;
    }
    for file in ["chat.yaml", "model.yaml", "vectors.yaml", "policy.yaml"] {
        progress.step(&format!("kubectl apply -f tests/demo/{file}"));
        let path = workspace::root().join("tests/demo").join(file);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        kube.apply(&fill(&text, &values)?)?;
    }
    wait(kube, "Accepted", "the policy to be accepted", progress)?;
    progress.step(
        "kubectl -n support rollout restart deployment/chat: existing pods get their sidecar",
    );
    finish(kube.kubectl().args(["-n", SUPPORT, "rollout", "restart", "deployment/chat"]))?;
    let rollout = ["-n", SUPPORT, "rollout", "status", "deployment/chat", "--timeout=5m"];
    if let Err(error) = finish(kube.kubectl().args(rollout)) {
        let pods =
            capture(kube.kubectl().args(["-n", SUPPORT, "describe", "pods"])).unwrap_or_default();
        bail!("the chat service does not start: {error:#}\n{pods}");
    }
    wait(kube, "Ready", "every pod to acknowledge the policy", progress)
}

fn wait(kube: &Kube, condition: &str, what: &str, progress: &Progress) -> Result<()> {
    progress.step(&format!("waiting for {what}"));
    let wait = ["-n", SUPPORT, "wait", "personapolicy/no-villains", "--timeout=3m"];
    finish(kube.kubectl().args(wait).arg(format!("--for=condition={condition}"))).with_context(
        || {
            let describe = ["-n", SUPPORT, "describe", "personapolicy", "no-villains"];
            format!(
                "waiting for {what}:\n{}",
                capture(kube.kubectl().args(describe)).unwrap_or_default()
            )
        },
    )
}

/// Replaces each `${NAME}` by its value. A name without a value is an error.
fn fill(text: &str, values: &BTreeMap<&str, String>) -> Result<String> {
    let mut filled = text.to_owned();
    for (name, value) in values {
        filled = filled.replace(&format!("${{{name}}}"), value);
    }
    if let Some((_, rest)) = filled.split_once("${") {
        bail!("no value for ${{{}", rest.split_inclusive('}').next().unwrap_or(rest));
    }
    Ok(filled)
}

fn print_next_steps(
    kube: &Kube,
    monitoring: Option<&Monitoring>,
    kubeconfig: Option<&Path>,
    progress: &Progress,
) {
    println!("\nThe cluster stays up (everything took {:.0?}). Next steps:\n", progress.elapsed());
    println!("  export KUBECONFIG={}", kube.kubeconfig().display());
    if monitoring.is_some() {
        println!("  export PATH=$PATH:{}", kube.folder().display());
    }
    println!("  kubectl -n {SUPPORT} get personapolicies,personareports");
    println!(
        "  kubectl -n {SUPPORT} port-forward service/chat 8080:80    # then http://127.0.0.1:8080"
    );
    println!("  kubectl -n {SUPPORT} edit personapolicy no-villains");
    if let Some(monitoring) = monitoring {
        println!(
            "  Prometheus is at {}, Alertmanager at {}",
            monitoring.prometheus(),
            monitoring.alertmanager()
        );
    }
    let flag =
        kubeconfig.map(|path| format!(" --kubeconfig {}", path.display())).unwrap_or_default();
    println!("\n`cargo xtask demo --down{flag}` leaves nothing behind.");
}

fn down(cache: &Cache, kubeconfig: Option<&Path>, progress: &Progress) -> Result<()> {
    let Some(kubeconfig) = kubeconfig else {
        progress.step("taking the demo's cluster down");
        Cluster::down(cache, NAME)?;
        progress.done();
        eprintln!(
            "the demo is gone; built programs stay in {} until you delete it",
            cache.path().display()
        );
        return Ok(());
    };
    let kube = Kube::existing(cache, kubeconfig)?;
    // Policies first, while the operator is running and can withdraw them.
    for arguments in [
        vec![
            "-n",
            SUPPORT,
            "delete",
            "personapolicies",
            "--all",
            "--ignore-not-found",
            "--timeout=2m",
        ],
        vec!["delete", "namespace", SUPPORT, "--ignore-not-found", "--timeout=3m"],
        vec!["delete", "personavectors", "evil", "sycophantic", "--ignore-not-found"],
        vec!["delete", "personamodels", "smollm2-135m", "--ignore-not-found"],
    ] {
        progress.step(&format!("kubectl {}", arguments.join(" ")));
        // A kind that no longer exists has no objects either.
        if let Err(error) = finish(kube.kubectl().args(&arguments))
            && !error.to_string().contains("the server doesn't have a resource type")
        {
            return Err(error);
        }
    }
    for chart in ["personaguard", "personaguard-crds"] {
        progress.step(&format!("helm uninstall {chart}"));
        finish(kube.helm().args([
            "uninstall",
            chart,
            "--namespace",
            SYSTEM,
            "--ignore-not-found",
            "--wait",
        ]))?;
    }
    progress.step("deleting the namespace and the kinds");
    finish(kube.kubectl().args([
        "delete",
        "namespace",
        SYSTEM,
        "--ignore-not-found",
        "--timeout=3m",
    ]))?;
    let crds = workspace::root().join("crds/yaml");
    finish(kube.kubectl().args(["delete", "--ignore-not-found", "-f"]).arg(crds))
}
