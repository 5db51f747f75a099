//! Reports to the operator.

use crate::rig::{Folder, Rig, Variant, chat, policy, with};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use personaguard_server::report::ReportTarget;
use personaguard_terms::{Action, Digest, Mode};
use personaguard_wire::{PodState, ResolvedPolicy, Sample, SidecarReport};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Takes reports, and answers with a status that the test sets.
#[derive(Clone)]
struct Operator {
    taken: Arc<Mutex<Vec<(Instant, String, SidecarReport)>>>,
    status: Arc<Mutex<StatusCode>>,
    url: String,
}

impl Operator {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let operator = Self {
            taken: Arc::default(),
            status: Arc::new(Mutex::new(StatusCode::NO_CONTENT)),
            url: format!("http://{}/v1/reports", listener.local_addr().unwrap()),
        };
        let router = Router::new().route("/v1/reports", post(take)).with_state(operator.clone());
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        operator
    }

    fn all(&self) -> Vec<SidecarReport> {
        self.taken.lock().unwrap().iter().map(|(_, _, report)| report.clone()).collect()
    }

    fn last(&self) -> Option<SidecarReport> {
        self.all().pop()
    }
}

async fn take(
    State(operator): State<Operator>,
    headers: HeaderMap,
    Json(report): Json<SidecarReport>,
) -> StatusCode {
    let token = headers["authorization"].to_str().unwrap().to_owned();
    let status = *operator.status.lock().unwrap();
    if status == StatusCode::NO_CONTENT {
        operator.taken.lock().unwrap().push((Instant::now(), token, report));
    }
    status
}

async fn rig(operator: &Operator, action: Action) -> Rig {
    let folder = Folder::new(vec![policy(action, Some(-1e6))]).await;
    let token = folder.path().join("token");
    std::fs::write(&token, "first\n").unwrap();
    let target = ReportTarget {
        url: operator.url.clone(),
        token_file: Some(token),
        ca_file: folder.path().join("ca.crt"),
    };
    let rig = Rig::start(folder, Variant { reports: Some(target), ..Variant::default() }).await;
    rig.until_ready().await;
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn breaches_and_acknowledgements_are_pushed_at_once_and_counts_are_cumulative() {
    let operator = Operator::start().await;
    let mut rig = rig(&operator, Action::Alert).await;
    let acknowledged = async || operator.last().is_some_and(|report| report.policies.len() == 1);
    rig.until("acknowledged", acknowledged).await;
    let report = operator.last().unwrap();
    assert_eq!((report.model.state, report.policies[0].generation), (PodState::Ready, 3));
    let config = &rig.folder.config;
    assert_eq!(report.policies[0].digest, Some(config.enforced(&config.policies[0])));
    assert_eq!((report.traits[0].breaches, report.traits[0].scored), (0, 0));

    let begun = Instant::now();
    let answer = rig.complete(&chat("Hi")).await;
    let breached = async || operator.last().is_some_and(|report| report.totals.breaches == 1);
    rig.until("breached", breached).await;
    let breach =
        |report: &SidecarReport| report.traits.first().is_some_and(|evil| evil.breaches == 1);
    let first =
        operator.taken.lock().unwrap().iter().find(|(_, _, report)| breach(report)).unwrap().0;
    // Routine pushes come every 5 s: this one did not wait for its turn.
    assert!(first - begun < Duration::from_secs(4), "{:?}", first - begun);
    let report = operator.last().unwrap();
    let breach = report.traits[0].last_breach.clone().unwrap();
    assert_eq!((&*breach.response_id, breach.threshold), (answer["id"].as_str().unwrap(), -1e6));
    assert_eq!((report.totals.responses, report.traits[0].scored), (1, 1));

    // While the operator is away counts go on; the token is read anew.
    *operator.status.lock().unwrap() = StatusCode::SERVICE_UNAVAILABLE;
    for _ in 0..3 {
        rig.complete(&chat("Hi")).await;
    }
    std::fs::write(rig.folder.path().join("token"), "second").unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    *operator.status.lock().unwrap() = StatusCode::NO_CONTENT;
    let caught_up = async || operator.last().is_some_and(|report| report.totals.responses == 4);
    rig.until("caught up", caught_up).await;
    assert_eq!(operator.last().unwrap().traits[0].breaches, 4);
    assert_eq!(operator.taken.lock().unwrap().last().unwrap().1, "Bearer second");
    assert!(rig.metric("personaguard_report_pushes_total{result=\"failed\"}").await >= Some(1.0));

    // The last words.
    let pushed = operator.all().len();
    rig.complete(&chat("Hi")).await;
    rig.sidecar.take().unwrap().stop().await;
    let all = operator.all();
    assert!(all.len() > pushed);
    assert_eq!(all.last().unwrap().totals.responses, 5);
    assert!(all.is_sorted_by(|a, b| a.sequence < b.sequence && a.instance == b.instance));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_sidecar_pushes_next_to_nothing() {
    let operator = Operator::start().await;
    let rig = rig(&operator, Action::Alert).await;
    let acknowledged = async || operator.last().is_some_and(|report| report.policies.len() == 1);
    rig.until("acknowledged", acknowledged).await;
    let before = operator.all().len();
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert!(operator.all().len() <= before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn scores_that_are_calibrated_on_are_reported_as_numbers_until_they_are_enforced() {
    let (basis, anew) = (Digest::of(b"basis"), Digest::of(b"a vector made anew"));
    let audit = |basis: &Digest, generation| {
        let mut policy = policy(Action::Block, None);
        policy.mode = Mode::Audit;
        policy.generation = generation;
        policy.traits[0].calibrates = Some(basis.clone());
        policy
    };
    let mut rig = Rig::ready(vec![audit(&basis, 3)]).await;
    let evil = |rig: &Rig| rig.sidecar().app().report().traits[0].clone();
    assert_eq!(evil(&rig).sample.unwrap(), Sample::new(basis.clone()));
    for question in ["Xylocanary, how are you?", "What is a xylocanary?", "Sing, xylocanary!"] {
        rig.complete(&with(chat(question), json!({ "max_tokens": 6 }))).await;
    }
    let scores = evil(&rig);
    let sample = scores.sample.clone().unwrap();
    assert_eq!(sample.system_prompts, ["none"]);
    assert_eq!((sample.basis, sample.sketch.count(), scores.scored), (basis, 3, 3));
    assert!(
        (sample.sketch.mean() - scores.mean).abs() < 1e-9
            && sample.sketch.quantile(1.0) == scores.max
    );
    assert!(!serde_json::to_string(&rig.sidecar().app().report()).unwrap().contains("ylocanary"));

    // Of another thing, from zero; the counts go on.
    let mut apply = async |new: ResolvedPolicy| {
        let generation = new.generation;
        rig.folder.config.policies[0] = new;
        rig.folder.write();
        rig.until("acknowledged", async || {
            rig.sidecar().app().report().policies.iter().any(|known| known.generation == generation)
        })
        .await;
        rig.complete(&with(chat("Hi"), json!({ "max_tokens": 6 }))).await;
        evil(&rig)
    };
    let scores = apply(audit(&anew, 4)).await;
    assert_eq!((scores.scored, scores.sample.as_ref().unwrap().sketch.count()), (4, 1));
    // A policy that is edited otherwise goes on.
    let scores = apply(audit(&anew, 5)).await;
    let sample = scores.sample.unwrap();
    assert_eq!((scores.scored, sample.sketch.count(), sample.system_prompts.len()), (5, 2, 1));
    let mut enforced = policy(Action::Block, Some(1e6));
    enforced.generation = 6;
    let scores = apply(enforced).await;
    assert_eq!((scores.scored, scores.sample), (6, None));
}
