//! `personaguard fetch` as people run it: exit codes, what is printed, and the variables of the
//! environment that it heeds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use personaguard_local_hub::{LocalHub, REPO, Seen};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Runs the program with these variables and no others that it heeds.
async fn fetch(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_personaguard"));
    command.arg("fetch").args(arguments).env_clear().envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn digest_and_path_are_printed_as_sha256sum_prints_them() {
    let weights = personaguard_tiny_model::bytes();
    let hub = LocalHub::start(&[("tiny.gguf", &weights)]).await;
    hub.ask_for_token("hf_secret");
    let folder = TempDir::new().unwrap();
    let to = folder.path().to_str().unwrap();
    let arguments = [REPO, "--file", "tiny.gguf", "--to", to, "--hub-max-size", "1Gi"];
    let variables = [("HF_ENDPOINT", hub.endpoint.as_str()), ("HF_TOKEN", "hf_secret")];
    let output = fetch(&arguments, &variables).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let digest = sha256(&weights);
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(printed, format!("{digest}  {to}/tiny.gguf\n"));
    assert!(stderr(&output).contains("main is commit 0123456789"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("hf_secret"));

    // Offline, and with the digest that it must have.
    let offline = [("HF_ENDPOINT", "http://127.0.0.1:1")];
    let again = fetch(&[&arguments[..], &["--sha256", &digest]].concat(), &offline).await;
    assert!(again.status.success() && again.stdout == output.stdout, "{}", stderr(&again));

    let refused = fetch(&arguments[..5], &[("HF_ENDPOINT", hub.endpoint.as_str())]).await;
    assert!(refused.status.success(), "it is there: {}", stderr(&refused));
    let to = folder.path().join("other");
    let arguments = [REPO, "--file", "tiny.gguf", "--to", to.to_str().unwrap()];
    let refused = fetch(&arguments, &[("HF_ENDPOINT", hub.endpoint.as_str())]).await;
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains("tiny.gguf of acme/tiny-chat at main is not fetched: "), "{said}");
    assert!(said.contains("give a token that may read it (HF_TOKEN"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environments_proxy_is_asked_except_for_hosts_that_it_excludes() {
    let hub = LocalHub::start(&[("tiny.gguf", &personaguard_tiny_model::bytes())]).await;
    let by_proxy = |seen: Vec<Seen>| seen.iter().filter(|request| request.by_proxy).count();
    let folder = TempDir::new().unwrap();
    let to = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let proxy = hub.endpoint.as_str();
    let one = to("one");
    let arguments = [REPO, "--file", "tiny.gguf", "--to", &one];
    let variables = [("HF_ENDPOINT", "http://hub.invalid"), ("http_proxy", proxy)];
    let output = fetch(&arguments, &variables).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let seen = hub.seen();
    assert_eq!(by_proxy(seen.clone()), seen.len());

    let two = to("two");
    let arguments = [REPO, "--file", "tiny.gguf", "--to", &two];
    let variables =
        [("HF_ENDPOINT", proxy), ("http_proxy", "http://127.0.0.1:1"), ("NO_PROXY", "127.0.0.1")];
    let output = fetch(&arguments, &variables).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(by_proxy(hub.seen()), 0);
}

/// SHA-256 in hex.
fn sha256(bytes: &[u8]) -> String {
    personaguard_terms::Digest::of(bytes).to_string()
}
