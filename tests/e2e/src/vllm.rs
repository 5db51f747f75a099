//! A Deployment of the user's own vLLM, as `cargo xtask test` installs it for processors. Its image
//! holds nothing of it: environment and model are folders of the node.

use crate::environment;
use crate::objects::deployment;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, LogParams};
use personaguard_api::Digest;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name by which it serves the model.
pub const SERVED: &str = "smollm2-135m";
/// The container.
pub const CONTAINER: &str = "llm";
/// The port of the server itself.
pub const PORT: u16 = 8000;

/// What vLLM is started from.
pub struct Vllm {
    python: PathBuf,
    /// The folder of the model.
    pub model: PathBuf,
}

impl Vllm {
    /// As `cargo xtask test` says.
    ///
    /// # Errors
    /// It says nothing.
    pub fn find() -> Result<Self> {
        let python = environment::path("PERSONAGUARD_TEST_VLLM_PYTHON")?;
        Ok(Self { python, model: environment::path("PERSONAGUARD_TEST_VLLM_MODEL")? })
    }

    /// The digest of the model's folder, as `docs/weights.md` tells people to compute it.
    ///
    /// # Errors
    /// The page has no such commands, or they fail.
    pub fn digest(&self) -> Result<Digest> {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/weights.md");
        let page = std::fs::read_to_string(page)?;
        let (_, rest) = page.split_once("## Digest").context("no section Digest")?;
        let script = rest.split("```").nth(1).context("no commands")?;
        let script = script.replace("FOLDER", &self.model.display().to_string());
        let output = Command::new("sh").arg("-c").arg(&script).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(said.split_whitespace().next().context("no digest")?.parse()?)
    }

    /// Folders of the node that it needs: environment, interpreter, model, and the system's
    /// libraries and programs, as vLLM runs some by a shell.
    ///
    /// # Errors
    /// The environment is none.
    pub fn folders(&self) -> Result<Vec<PathBuf>> {
        let environment = self.python.ancestors().nth(2).context("an environment")?;
        // Python's own files are where the environment was made from.
        let interpreter = self.python.canonicalize()?;
        let interpreter = interpreter.ancestors().nth(2).context("an interpreter")?;
        // On most systems the first holds the others.
        let system = ["/usr", "/bin", "/lib", "/lib64"].map(Path::new);
        let mut folders = vec![environment, &self.model];
        folders.extend(system.iter().filter(|folder| folder.exists()));
        if !interpreter.starts_with("/usr") {
            folders.push(interpreter);
        }
        Ok(folders.into_iter().map(Path::to_path_buf).collect())
    }

    /// What a container of it says: image, command, arguments and variables. `more` arguments come
    /// last.
    #[must_use]
    pub fn container(&self, more: &[&str]) -> Value {
        let variables = [
            ("HF_HUB_OFFLINE", "1"),
            ("HOME", "/tmp"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("USER", "nonroot"),
            ("VLLM_CPU_KVCACHE_SPACE", "1"),
            ("VLLM_NO_USAGE_STATS", "1"),
        ];
        let variables = variables.map(|(name, value)| json!({ "name": name, "value": value }));
        let mut arguments = vec![json!("--model"), json!(self.model)];
        let fixed = [
            "--served-model-name",
            SERVED,
            "--host",
            "0.0.0.0",
            "--port",
            &PORT.to_string(),
            "--dtype",
            "float32",
            "--enforce-eager",
            "--max-model-len",
            "1024",
        ];
        arguments.extend(fixed.iter().chain(more).map(|argument| json!(argument)));
        json!({
            // Any with a user and a folder /tmp.
            "image": "localhost/chat-app:dev",
            "imagePullPolicy": "IfNotPresent",
            "command": [self.python, "-m", "vllm.entrypoints.openai.api_server"],
            "args": arguments,
            "env": variables
        })
    }

    /// The Deployment, with label `app: NAME`, a port `http`, and one layer at which vectors can
    /// be.
    ///
    /// # Errors
    /// The environment is none.
    pub fn deployment(&self, namespace: &str, name: &str, layer: u32) -> Result<Value> {
        let folders = self.folders()?;
        let mut volumes: Vec<_> = folders.iter().enumerate().map(host_volume).collect();
        let mut mounts: Vec<_> = folders.iter().enumerate().map(host_mount).collect();
        volumes.push(json!({ "name": "shm", "emptyDir": { "medium": "Memory" } }));
        mounts.push(json!({ "name": "shm", "mountPath": "/dev/shm" }));
        let mut server = self.container(&["--max-num-seqs", "4"]);
        let layer = json!({ "name": "PERSONAGUARD_LAYERS", "value": layer.to_string() });
        server["env"].as_array_mut().context("variables")?.push(layer);
        server["name"] = json!(CONTAINER);
        server["ports"] = json!([{ "name": "http", "containerPort": PORT }]);
        server["readinessProbe"] = json!({
            "httpGet": { "path": "/health", "port": "http" }, "periodSeconds": 1,
            "timeoutSeconds": 5
        });
        server["volumeMounts"] = json!(mounts);
        let labels = json!({ "app": name });
        Ok(deployment(namespace, name, &labels, &json!([server]), &json!(volumes)))
    }
}

/// The end of a container's log, or why there is none.
pub async fn log(pods: &Api<Pod>, pod: &Pod, container: &str) -> String {
    let tail = |previous| LogParams {
        container: Some(container.to_owned()),
        tail_lines: Some(40),
        previous,
        ..LogParams::default()
    };
    let mut all = String::new();
    for previous in [true, false] {
        match pods.logs(&pod.name_any(), &tail(previous)).await {
            Ok(log) => all.push_str(&format!("--- {container}, previous: {previous}\n{log}\n")),
            Err(_) if previous => {}
            Err(error) => all.push_str(&format!("--- {container} has no log: {error}\n")),
        }
    }
    all
}

fn host_volume((number, folder): (usize, &PathBuf)) -> Value {
    json!({ "name": format!("host-{number}"), "hostPath": { "path": folder } })
}

fn host_mount((number, folder): (usize, &PathBuf)) -> Value {
    json!({ "name": format!("host-{number}"), "mountPath": folder, "readOnly": true })
}
