//! Injected faults in placement Serve, each many times, and the death of the process in both
//! placements.

use crate::proxy::{ANSWER, chunks, completion, question};
use crate::rig::{Folder, HIDDEN, Rig, Variant, chat, policy, vector, weights, with};
use crate::upstream::{Scripted, stream};
use futures::{StreamExt as _, stream as streams};
use personaguard_persona::{layer_digest, write_vector_bundle};
use personaguard_server::audit::Logs;
use personaguard_server::config::Source;
use personaguard_server::http::Limits;
use personaguard_server::proxy::Timeouts;
use personaguard_server::sidecar::{Placement, Setup, Sidecar};
use personaguard_terms::{Action, Digest, FailurePolicy, Layer};
use personaguard_wire::{Failure, UnresolvedPolicy};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpListener;

/// How often each fault is injected, for each failure policy.
const TIMES: usize = 20;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Asks,
    /// Many at once, more than wait.
    Overloads,
    /// Says more than it sends.
    BreaksOff,
    /// Leaves after so many bytes of the answer.
    Leaves,
}

struct InjectedFault {
    name: &'static str,
    /// Whether the model could answer, so that a policy that fails open owes the client its answer.
    lives: bool,
    client: Client,
    /// What is wrong before the sidecar starts.
    prepare: fn(&mut Folder),
    /// What goes wrong while it serves.
    disturb: fn(&Folder),
}

const FAULT: InjectedFault =
    InjectedFault { name: "", lives: true, client: Client::Asks, prepare: |_| {}, disturb: |_| {} };

fn write_vectors(folder: &Folder, name: &str, values: &[f32]) {
    let file = write_vector_bundle(&BTreeMap::from([(name.to_owned(), values)])).unwrap();
    std::fs::write(folder.path().join("vectors.safetensors"), file).unwrap();
}

fn evil(folder: &mut Folder) -> &mut personaguard_wire::ResolvedVector {
    folder.config.vectors.get_mut("evil").unwrap()
}

fn faults() -> Vec<InjectedFault> {
    let prepared = |name, prepare| InjectedFault { name, prepare, ..FAULT };
    let disturbed = |name, disturb| InjectedFault { name, disturb, ..FAULT };
    let dead = |name, prepare| InjectedFault { name, prepare, lives: false, ..FAULT };
    let client = |name, client| InjectedFault { name, client, lives: false, ..FAULT };
    vec![
        prepared("the vector is of another model", |folder| {
            evil(folder).model_digest = Digest::of(b"other weights");
        }),
        prepared("the vector is not in the config", |folder| folder.config.vectors.clear()),
        prepared("the vector is not in its file", |folder| {
            write_vectors(folder, "other", &[1.0; HIDDEN]);
        }),
        prepared("the vector has other values than named", |folder| {
            evil(folder).sha256 = Digest::of(b"other values");
        }),
        prepared("the vector is for a layer that the model lacks", |folder| {
            evil(folder).layer = Layer(99);
        }),
        prepared("the vector has another width", |folder| {
            write_vectors(folder, "evil", &[1.0; 8]);
            evil(folder).sha256 = layer_digest(&[1.0; 8]).parse().unwrap();
        }),
        prepared("the vector is zero", |folder| {
            write_vectors(folder, "evil", &[0.0; HIDDEN]);
            evil(folder).sha256 = layer_digest(&[0.0; HIDDEN]).parse().unwrap();
        }),
        prepared("the policy could never be resolved", |folder| {
            let policy = folder.config.policies.remove(0);
            folder.config.unresolved.push(UnresolvedPolicy {
                name: policy.name,
                selector: policy.selector,
                failure_policy: policy.failure_policy,
                failure: Failure {
                    reason: "VectorNotFound".to_owned(),
                    message: "Create it.".to_owned(),
                },
            });
        }),
        disturbed("the config is torn while it serves", |folder| {
            let text = folder.config.to_yaml().unwrap();
            std::fs::write(folder.path().join("config.yaml"), &text[..text.len() / 2]).unwrap();
        }),
        disturbed("the vector file is torn while it serves", |folder| {
            let file = folder.path().join("vectors.safetensors");
            let bytes = std::fs::read(&file).unwrap();
            std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
        }),
        disturbed("the config folder is emptied while it serves", |folder| {
            for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
                std::fs::remove_file(file.path()).unwrap();
            }
        }),
        disturbed("the config is written anew while it serves", |folder| {
            let mut config = folder.config.clone();
            config.policies[0].generation += 1;
            std::fs::write(folder.path().join("config.new"), config.to_yaml().unwrap()).unwrap();
            std::fs::rename(folder.path().join("config.new"), folder.path().join("config.yaml"))
                .unwrap();
        }),
        dead("the weights are not there", |folder| {
            folder.config.model.file = "/nowhere.gguf".to_owned();
        }),
        dead("the weights are other than named", |folder| {
            folder.config.model.sha256 = Digest::of(b"other weights");
        }),
        client("the queue is full", Client::Overloads),
        client("the client breaks off its request", Client::BreaksOff),
        client("the client leaves in mid-answer", Client::Leaves),
    ]
}

async fn rig(fault: &InjectedFault, failure_policy: FailurePolicy) -> Rig {
    // Closed: every text is past the threshold, so that any byte of it is one too many. Open: none
    // is, so that all are owed.
    let max = if failure_policy == FailurePolicy::Closed { -1e6 } else { 1e6 };
    let mut enforced = policy(Action::Block, Some(max));
    enforced.failure_policy = failure_policy;
    let mut folder = Folder::new(vec![enforced]).await;
    folder.config.model.max_concurrent = 1;
    (fault.prepare)(&mut folder);
    folder.write();
    let weights = folder.config.model.file == weights().to_string_lossy()
        && !fault.name.starts_with("the weights");
    let rig = Rig::start(folder, Variant::default()).await;
    let settled = async || {
        let state = rig.sidecar().app().snapshot();
        matches!(state.model, personaguard_server::runtime::ModelState::Ready(_)) == weights
            && state.failure_policy.is_some()
    };
    rig.until("it serves, or cannot", settled).await;
    (fault.disturb)(&rig.folder);
    rig
}

/// Status and body; nothing, where there is no answer.
async fn ask(rig: &Rig, client: Client, number: usize) -> (u16, String) {
    let body = with(
        chat("Hi"),
        json!({
            "max_tokens": if client == Client::Overloads { 500 } else { 3 },
            "stream": number.is_multiple_of(2)
        }),
    );
    if client == Client::BreaksOff {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let address = rig.url.strip_prefix("http://").unwrap();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n";
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        return (answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap()), answer);
    }
    let Ok(mut response) =
        rig.http.post(format!("{}/v1/chat/completions", rig.url)).json(&body).send().await
    else {
        return (0, String::new());
    };
    let (status, mut bytes) = (response.status().as_u16(), Vec::new());
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if client == Client::Leaves {
            break;
        }
    }
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

/// Bytes of an answer that a body holds.
fn answer_bytes(body: &str) -> usize {
    let chunks = body
        .split("\n\n")
        .filter_map(|event| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok());
    let whole = serde_json::from_str::<Value>(body).ok();
    let choices = chunks
        .chain(whole)
        .flat_map(|payload| payload["choices"].as_array().cloned().unwrap_or_default());
    let texts = choices.map(|choice| {
        ["delta", "message"]
            .iter()
            .filter_map(|field| Some(choice[*field]["content"].as_str()?.len()))
            .sum::<usize>()
    });
    texts.sum()
}

fn summary(answers: &[(u16, String)]) -> String {
    let kind = |(status, body): &(u16, String)| {
        let codes = [
            "content_filter",
            "guard_unavailable",
            "model_failed",
            "rate_limit",
            "queue_full",
            "invalid_body",
        ];
        match codes.iter().find(|code| body.contains(*code)) {
            Some(code) => format!("{status} `{code}`"),
            None if answer_bytes(body) > 0 => format!("{status}, the answer"),
            None => format!("{status}"),
        }
    };
    let mut counts = BTreeMap::<String, usize>::new();
    answers.iter().for_each(|answer| *counts.entry(kind(answer)).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.iter().map(|(kind, count)| format!("{count}× {kind}")).collect::<Vec<_>>().join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_every_injected_fault_of_the_model_server_follows_the_failure_policy() {
    let mut table = String::from(
        "| fault | times | Closed: unguarded bytes | Closed: what clients get | Open: failed | \
         Open: what clients get |\n|---|---|---|---|---|---|\n",
    );
    let mut problems = Vec::new();
    for fault in faults() {
        let mut row = Vec::new();
        for failure_policy in [FailurePolicy::Closed, FailurePolicy::Open] {
            let rig = rig(&fault, failure_policy).await;
            let (times, at_once) =
                if fault.client == Client::Overloads { (TIMES * 2, TIMES * 2) } else { (TIMES, 5) };
            let ask = |number| ask(&rig, fault.client, number);
            row.push(
                streams::iter(0..times)
                    .map(ask)
                    .buffer_unordered(at_once)
                    .collect::<Vec<_>>()
                    .await,
            );
        }
        let leaked: usize = row[0].iter().map(|(_, body)| answer_bytes(body)).sum();
        let failed = row[1]
            .iter()
            .filter(|(status, body)| *status != 200 || answer_bytes(body) == 0)
            .count();
        if leaked > 0 {
            problems.push(format!("{}: {leaked} unguarded bytes", fault.name));
        }
        if fault.lives && failed > 0 {
            problems.push(format!("{}: {failed} requests failed open", fault.name));
        }
        if fault.client == Client::Overloads
            && !row.iter().all(|answers| answers.iter().any(|(status, _)| *status == 429))
        {
            problems.push("the queue was not full".to_owned());
        }
        let failed = if fault.lives { failed.to_string() } else { "not the policy's".to_owned() };
        let (name, times, closed, open) =
            (fault.name, row[0].len(), summary(&row[0]), summary(&row[1]));
        writeln!(table, "| {name} | {times} | {leaked} | {closed} | {failed} | {open} |").unwrap();
    }
    println!("{table}");
    assert!(problems.is_empty(), "{problems:#?}\n{table}");
}

/// The program itself, as a process of its own.
struct Process(Child);

/// What [`serves_until_it_is_killed`] is to serve.
const SERVED: &str = "PERSONAGUARD_TEST_SERVED";

/// A sidecar in a process of its own, which another test starts and kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is started by invariant_9_a_killed_sidecar_lets_nothing_unguarded_out"]
async fn serves_until_it_is_killed() {
    let served: Value = serde_json::from_str(&std::env::var(SERVED).unwrap()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let bind = |port: &str| TcpListener::bind(format!("127.0.0.1:{}", served[port]));
    let upstream = served["upstream"].as_str().map(|url| url.parse().unwrap());
    let _sidecar = Sidecar::start(Setup {
        source: Source {
            folder: served["folder"].as_str().unwrap().into(),
            model_file: Some(weights()),
            labels: None,
            identity: None,
        },
        weights: None,
        api: bind("port").await.unwrap(),
        admin: Some(bind("admin").await.unwrap()),
        reports: None,
        placement: upstream
            .map_or(Placement::Serve, |upstream| Placement::Proxy(upstream, Timeouts::default())),
        logs: Logs::default(),
        limits: Limits::default(),
        grace: Duration::from_secs(25),
    });
    std::future::pending::<()>().await;
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

impl Process {
    /// With `kilobytes` of address space at most.
    fn start(folder: &Folder, upstream: Option<&str>, kilobytes: Option<u32>) -> (Self, u16, u16) {
        let (port, admin) = (free_port(), free_port());
        let limit = kilobytes.map_or("unlimited".to_owned(), |kilobytes| kilobytes.to_string());
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -v {limit}; exec \"$@\""), "sh"]);
        command.arg(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "serve_faults::serves_until_it_is_killed"]);
        let served = json!({
            "folder": folder.path(), "port": port, "admin": admin, "upstream": upstream,
        });
        let child = command
            .env(SERVED, served.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        (Self(child), port, admin)
    }
}

/// What a client gets of a streamed answer until the connection ends.
async fn read_to_the_end(http: &reqwest::Client, port: u16, body: &Value) -> String {
    let url = format!("http://127.0.0.1:{port}/v1/chat/completions");
    let Ok(mut response) = http.post(url).json(body).send().await else { return String::new() };
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_a_killed_sidecar_lets_nothing_unguarded_out() {
    let mut enforced = policy(Action::Block, Some(-1e6));
    enforced.failure_policy = FailurePolicy::Closed;
    let folder = Folder::new(vec![enforced]).await;
    vector().await;
    let upstream = Scripted::start().await;
    upstream.play(stream(chunks(&ANSWER.repeat(20), 0).as_bytes(), 100));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let long = with(question(), json!({ "stream": true, "max_tokens": 3000 }));
    for upstream_url in [None, Some(upstream.url.as_str())] {
        let kills = streams::iter(0..TIMES as u64).map(|seed| {
            let (http, folder, long) = (&http, &folder, &long);
            async move {
                let (mut process, port, admin) = Process::start(folder, upstream_url, None);
                for _ in 0..1200 {
                    let ready = http.get(format!("http://127.0.0.1:{admin}/readyz")).send().await;
                    if ready.is_ok_and(|ready| ready.status() == 200) {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let delay = Duration::from_millis(StdRng::seed_from_u64(seed).random_range(0..200));
                let kill = async {
                    tokio::time::sleep(delay).await;
                    process.0.kill().unwrap();
                };
                let (got, ()) = tokio::join!(read_to_the_end(http, port, long), kill);
                answer_bytes(&got)
            }
        });
        let leaked: Vec<usize> = kills.buffer_unordered(3).collect().await;
        assert_eq!(leaked, vec![0; TIMES], "in front of {upstream_url:?}");
    }
    // Without memory for the weights, too.
    let (_process, port, _) = Process::start(&folder, Some(&upstream.url), Some(300_000));
    upstream.play(crate::upstream::whole(&completion(ANSWER)));
    for _ in 0..TIMES {
        assert_eq!(answer_bytes(&read_to_the_end(&http, port, &question()).await), 0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
