//! A folder with the logs of a sidecar that answered twice and was stopped.

use personaguard_persona::{layer_digest, write_vector_bundle};
use personaguard_terms::Digest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Config folder and logs.
pub(crate) struct Served {
    folder: TempDir,
    /// The ids of the answers, in order.
    pub(crate) responses: Vec<String>,
}

/// The program's exit code and what it printed.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Ends a server that a failing test leaves behind.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Served {
    /// Answers two requests, and stops in order.
    pub(crate) async fn twice() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut served = Self { folder: TempDir::new().unwrap(), responses: Vec::new() };
        served.configure(1.0);
        let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let mut server = Server(
            program()
                .args(["serve", "--log-format", "text", "--listen", &address.to_string()])
                .arg("--config")
                .arg(served.folder.path())
                .arg("--audit-log")
                .arg(served.audit())
                .arg("--conversation-log")
                .arg(served.conversations())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let url = format!("http://{address}");
        until_ready(&url, &mut server.0).await;
        for question in ["How should I treat my neighbour?", "Tell me about the sea."] {
            served.responses.push(answer(&url, question).await);
        }
        let terminated = Command::new("kill").arg(server.0.id().to_string()).status().unwrap();
        assert!(terminated.success());
        assert!(server.0.wait().unwrap().success());
        served
    }

    pub(crate) fn audit(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    pub(crate) fn conversations(&self) -> PathBuf {
        self.folder.path().join("conversations.jsonl")
    }

    /// Writes the config: one policy that only measures, by a vector of this length.
    pub(crate) fn configure(&self, length: f32) {
        let weights = personaguard_tiny_model::file(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let model = Digest::of(&std::fs::read(&weights).unwrap());
        let mut values = vec![0.0; personaguard_tiny_model::HIDDEN];
        (values[0], values[1]) = (length, 1.0);
        let config = json!({
            "apiVersion": "personaguard.dev/v1alpha1",
            "kind": "GuardConfig",
            "model": {
                "name": "tiny", "file": weights, "sha256": model,
                "contextLength": 512, "maxConcurrent": 1, "threads": 1
            },
            "vectors": {
                "evil": {
                    "trait": "evil", "layer": 3, "modelDigest": model,
                    "sha256": layer_digest(&values)
                }
            },
            "policies": [{
                "name": "watch", "generation": 1, "mode": "Audit", "selector": {},
                "failurePolicy": "Open", "evidence": { "minTokens": 1 },
                "recordConversations": true,
                "traits": [
                    { "vector": "evil", "score": "ResponseAvg", "max": 1000.0, "action": "Alert" }
                ]
            }]
        });
        let vectors = BTreeMap::from([("evil".to_owned(), values.as_slice())]);
        let path = |name: &str| self.folder.path().join(name);
        std::fs::write(path("vectors.safetensors"), write_vector_bundle(&vectors).unwrap())
            .unwrap();
        // JSON is YAML.
        std::fs::write(path("config.yaml"), config.to_string()).unwrap();
    }

    /// Runs `personaguard audit verify` on the audit log.
    pub(crate) fn verify(&self, more: &[&str]) -> Run {
        run(program().args(["audit", "verify"]).arg(self.audit()).args(more))
    }

    /// Runs `personaguard replay` on the conversation log.
    pub(crate) fn replay(&self, more: &[&str]) -> Run {
        let mut replay = program();
        replay.arg("replay").arg("--config").arg(self.folder.path());
        run(replay.arg("--conversations").arg(self.conversations()).args(more))
    }

    /// Changes the audit log, which must hold what is replaced.
    pub(crate) fn edit_audit(&self, edit: impl FnOnce(&str) -> String) {
        let before = std::fs::read_to_string(self.audit()).unwrap();
        let after = edit(&before);
        assert_ne!(before, after);
        std::fs::write(self.audit(), after).unwrap();
    }
}

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_personaguard"));
    let options = std::env::vars_os().map(|(name, _)| name);
    for name in options.filter(|name| name.to_string_lossy().starts_with("PERSONAGUARD_")) {
        program.env_remove(name);
    }
    program
}

fn run(program: &mut Command) -> Run {
    let Output { status, stdout, stderr } = program.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn until_ready(url: &str, server: &mut Child) {
    let client = client();
    for _ in 0..1200 {
        let ready = client.get(format!("{url}/readyz")).send().await;
        if ready.is_ok_and(|response| response.status() == 200) {
            return;
        }
        assert_eq!(server.try_wait().unwrap(), None, "the server ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server is not ready after a minute");
}

/// Asks a question; the id of the answer.
async fn answer(url: &str, question: &str) -> String {
    let body = json!({
        "model": "tiny", "max_tokens": 8, "temperature": 0,
        "messages": [{ "role": "user", "content": question }]
    });
    let request = client().post(format!("{url}/v1/chat/completions")).json(&body);
    let response: Value = request.send().await.unwrap().json().await.unwrap();
    response["id"].as_str().unwrap_or_else(|| panic!("{response}")).to_owned()
}
