//! Injected faults, each many times: what fails closed lets no unguarded byte out, what fails open
//! fails no request.

use crate::proxy::{ANSWER, Front, chunks, completion, question};
use crate::rig::{Folder, MODEL, policy, with};
use crate::upstream::{Step, head, stream, whole};
use futures::{StreamExt as _, stream as streams};
use personaguard_server::proxy::Timeouts;
use personaguard_terms::{Action, Digest, FailurePolicy, UnscorableRequests};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// How often each fault is injected, for each failure policy.
const TIMES: usize = 20;
/// At a time: the engine of the tests takes two, and sixteen wait.
const AT_ONCE: usize = 5;

/// What is wrong with the sidecar, before any request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sidecar {
    Sound,
    NoTimeToScore,
    NoWeights,
    ForeignVector,
    Crowded,
}

struct InjectedFault {
    name: &'static str,
    sidecar: Sidecar,
    path: &'static str,
    body: Value,
    encoding: Option<&'static str>,
    script: Vec<Step>,
    /// Whether the upstream server answers, so that a policy that fails open owes the client its
    /// answer.
    lives: bool,
}

fn fault(name: &'static str, script: Vec<Step>) -> InjectedFault {
    InjectedFault {
        name,
        sidecar: Sidecar::Sound,
        path: "/v1/chat/completions",
        body: with(question(), json!({ "stream": true })),
        encoding: None,
        script,
        lives: true,
    }
}

fn good() -> Vec<Step> {
    stream((chunks(ANSWER, 0) + "data: [DONE]\n\n").as_bytes(), 1 << 20)
}

/// Half of the stream, cut within an event.
fn half() -> Vec<Step> {
    let text = chunks(ANSWER, 0);
    stream(&text.as_bytes()[..text.len() / 2], 1 << 20)
}

fn then(mut script: Vec<Step>, step: Step) -> Vec<Step> {
    script.push(step);
    script
}

fn broken() -> Vec<InjectedFault> {
    let sound = |sidecar| move |fault: InjectedFault| InjectedFault { sidecar, ..fault };
    let dead = |fault: InjectedFault| InjectedFault { lives: false, ..fault };
    let asked = |fields: Value| {
        move |fault: InjectedFault| InjectedFault { body: with(fault.body, fields), ..fault }
    };
    let said = |text: &str| stream(format!("{}{text}", chunks(ANSWER, 0)).as_bytes(), 1 << 20);
    let image = json!([{ "role": "user", "content": [
        { "type": "text", "text": "What is this?" },
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } }
    ] }]);
    let audio = json!({
        "choices": [{ "index": 0, "message": { "content": ANSWER, "audio": { "data": "AAAA" } } }]
    });
    let long = "word ".repeat(700);
    vec![
        dead(fault("the server closes before it answers", vec![])),
        dead(fault("the server is silent", vec![Step::Stall])),
        dead(fault("the server goes silent in mid-stream", then(half(), Step::Stall))),
        dead(fault("the server closes in mid-event", half())),
        dead(fault("the server resets the connection in mid-stream", then(half(), Step::Reset))),
        dead(fault(
            "the server announces more than it sends",
            vec![Step::Send(
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \
                     99999\r\n\r\n{}",
                    completion(ANSWER)
                )
                .into(),
            )],
        )),
        fault(
            "a chunk is not JSON",
            said(
                "data: {\"choices\": [{\"delta\": {\"content\": \
                                           \"more\n\ndata: [DONE]\n\n",
            ),
        ),
        fault("a chunk is in another format", said("data: {\"response\": \"more\"}\n\n")),
        fault("an event without end", then(stream(b"data: ", 9), Step::Send(vec![b'x'; 3 << 20]))),
        fault(
            "an answer in a format of its own",
            vec![head("text/plain"), Step::Send(ANSWER.into())],
        ),
        fault("a compressed answer", {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: \
                        x-own\r\nConnection: close\r\n\r\n";
            vec![Step::Send(head.into()), Step::Send(ANSWER.into())]
        }),
        fault(
            "a whole answer that is not JSON",
            vec![head("application/json"), Step::Send(ANSWER.into())],
        ),
        fault("an answer with audio", whole(&audio)),
        fault(
            "an answer longer than the model's context",
            whole(&completion(&(ANSWER.to_owned() + &long))),
        ),
        asked(json!({ "messages": [{ "role": "user", "content": long }] }))(fault(
            "a prompt longer than the model's context",
            good(),
        )),
        asked(json!({ "messages": image }))(fault("an image in the prompt", good())),
        asked(json!({ "messages": [{ "role": "user", "content": "x".repeat(5 << 20) }] }))(fault(
            "a request longer than the limit",
            good(),
        )),
        asked(json!({ "n": 100_000 }))(fault("more choices than can be told apart", good())),
        InjectedFault { encoding: Some("gzip"), ..fault("a compressed request", good()) },
        InjectedFault {
            path: "/v1/responses",
            ..fault("another API", whole(&json!({ "output": ANSWER })))
        },
        sound(Sidecar::NoTimeToScore)(fault("the scorer is past its deadline", good())),
        sound(Sidecar::Crowded)(fault("the scorer's queue is full", good())),
        sound(Sidecar::NoWeights)(fault("the weights are not loaded", good())),
        sound(Sidecar::ForeignVector)(fault("the vector is of another model", good())),
    ]
}

async fn front(sidecar: Sidecar, failure_policy: FailurePolicy) -> Front {
    // Closed: every text is past the threshold, so that any byte of it is one too many. Open: none
    // is, so that all are owed.
    let max = if failure_policy == FailurePolicy::Closed { -1e6 } else { 1e6 };
    let mut enforced = policy(Action::Block, Some(max));
    enforced.failure_policy = failure_policy;
    if failure_policy == FailurePolicy::Open {
        enforced.unscorable_requests = Some(UnscorableRequests::Pass);
    }
    let mut folder = Folder::new(vec![enforced]).await;
    let mut times = Timeouts { upstream: Duration::from_secs(3), score: Duration::from_secs(60) };
    match sidecar {
        Sidecar::Sound => {}
        Sidecar::NoTimeToScore => times.score = Duration::ZERO,
        Sidecar::NoWeights => folder.config.model.file = "/nowhere.gguf".to_owned(),
        Sidecar::ForeignVector => {
            folder.config.vectors.get_mut("evil").unwrap().model_digest =
                Digest::of(b"other weights");
        }
        Sidecar::Crowded => folder.config.model.max_concurrent = 1,
    }
    folder.write();
    let front = Front::of(folder, times).await;
    if sidecar == Sidecar::NoWeights {
        let known = async || front.rig.sidecar().app().snapshot().failure_policy.is_some();
        front.rig.until("the config was read", known).await;
    } else {
        front.until_serving().await;
    }
    front
}

/// Status and body; the body as far as it came. Nothing, where the connection ended first.
async fn ask(front: &Front, fault: &InjectedFault) -> (u16, Vec<u8>) {
    let mut request =
        front.rig.http.post(format!("{}{}", front.rig.url, fault.path)).json(&fault.body);
    if let Some(encoding) = fault.encoding {
        request = request.header("content-encoding", encoding);
    }
    let Ok(mut response) = request.send().await else { return (0, Vec::new()) };
    let (status, mut body) = (response.status().as_u16(), Vec::new());
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
    }
    (status, body)
}

/// Bytes of a body that say something of the answer.
fn answer_bytes(body: &[u8]) -> usize {
    let text = String::from_utf8_lossy(body);
    if text.contains(ANSWER) {
        return ANSWER.len();
    }
    let chunks = text.split("\n\n").filter_map(|event| {
        serde_json::from_str::<Value>(event.trim().strip_prefix("data: ")?).ok()
    });
    let whole = serde_json::from_slice::<Value>(body).ok();
    let choices = chunks
        .chain(whole)
        .flat_map(|payload| payload["choices"].as_array().cloned().unwrap_or_default());
    let texts = choices.map(|choice| {
        ["delta", "message"]
            .iter()
            .filter_map(|f| Some(choice[*f]["content"].as_str()?.len()))
            .sum::<usize>()
    });
    texts.sum::<usize>() + text.matches('x').count().saturating_sub(1000)
}

/// How answers came out, most frequent first: `20× 200, content_filter`.
fn summary(answers: &[(u16, Vec<u8>)]) -> String {
    let kind = |(status, body): &(u16, Vec<u8>)| {
        let text = String::from_utf8_lossy(body);
        let codes = [
            "content_filter",
            "guard_unavailable",
            "guard_not_understood",
            "model_failed",
            "model_not_ready",
            "upstream_timeout",
            "upstream_unreachable",
            "upstream_broke_off",
        ];
        match codes.iter().find(|code| text.contains(*code)) {
            Some(code) => format!("{status} `{code}`"),
            None if answer_bytes(body) > 0 => format!("{status}, the answer"),
            None => format!("{status}, broken off"),
        }
    };
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    answers.iter().for_each(|answer| *counts.entry(kind(answer)).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.iter().map(|(kind, count)| format!("{count}× {kind}")).collect::<Vec<_>>().join("; ")
}

/// Bytes that the server sends as its answer.
fn sent(script: &[Step]) -> usize {
    let sent = script.iter().map(|step| if let Step::Send(bytes) = step { bytes.len() } else { 0 });
    sent.sum::<usize>()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_every_injected_fault_follows_the_failure_policy() {
    let mut table = String::from(
        "| fault | times | Closed: unguarded bytes | Closed: what clients get | Open: failed | \
         Open: what clients get |\n|---|---|---|---|---|---|\n",
    );
    let mut fronts: Vec<(Sidecar, Front, Front)> = Vec::new();
    let mut problems = Vec::new();
    for fault in broken() {
        if !fronts.iter().any(|(sidecar, ..)| *sidecar == fault.sidecar) {
            let (closed, open) = (
                front(fault.sidecar, FailurePolicy::Closed).await,
                front(fault.sidecar, FailurePolicy::Open).await,
            );
            fronts.push((fault.sidecar, closed, open));
        }
        let (_, closed, open) =
            fronts.iter().find(|(sidecar, ..)| *sidecar == fault.sidecar).unwrap();
        let mut row = Vec::new();
        for front in [closed, open] {
            front.upstream.play(fault.script.clone());
            let (times, at_once) = if fault.sidecar == Sidecar::Crowded {
                (TIMES * 3, TIMES * 3)
            } else {
                (TIMES, AT_ONCE)
            };
            let answers: Vec<_> = streams::iter(0..times)
                .map(|_| ask(front, &fault))
                .buffer_unordered(at_once)
                .collect()
                .await;
            row.push(answers);
        }
        let leaked: usize = row[0].iter().map(|(_, body)| answer_bytes(body)).sum();
        let failed = row[1]
            .iter()
            .filter(|(status, body)| {
                *status != 200 || body.len() * 5 / 4 + 200 < sent(&fault.script)
            })
            .count();
        if leaked > 0 {
            problems.push(format!("{}: {leaked} unguarded bytes", fault.name));
        }
        if fault.lives && failed > 0 {
            problems.push(format!("{}: {failed} requests failed open", fault.name));
        }
        if fault.sidecar == Sidecar::Crowded
            && open.metric("personaguard_unguarded_responses_total{reason=\"queue_full\"}") < 20.0
        {
            problems.push(format!("{}: it was not", fault.name));
        }
        let failed = if fault.lives { failed.to_string() } else { "the server's own".to_owned() };
        writeln!(
            table,
            "| {} | {} | {leaked} | {} | {failed} | {} |",
            fault.name,
            row[0].len(),
            summary(&row[0]),
            summary(&row[1])
        )
        .unwrap();
    }
    println!("{table}");
    assert!(problems.is_empty(), "{problems:#?}\n{table}");
    // Whatever passed unscored was counted.
    for (sidecar, _, open) in &fronts {
        let unguarded = async || open.rig.sidecar().app().report().totals.unguarded >= TIMES as u64;
        open.rig.until(&format!("{sidecar:?}: unguarded answers are counted"), unguarded).await;
    }
    assert_eq!(
        fronts[0].1.rig.sidecar().app().report().totals.unguarded,
        0,
        "{MODEL}: closed lets nothing pass"
    );
}
