//! The logs on disk, and what can be done with them.

use crate::enforcement::{QUESTION, breaching_midway, long, scored};
use crate::rig::{
    Folder, Rig, Variant, cap, policy, regenerate, steer, steering, text, weights, with,
};
use personaguard_server::audit::{Log, LogLimits, Logs, verify};
use personaguard_server::proxy::{Timeouts, Upstream};
use personaguard_server::replay::{self, Replay, ReplayError};
use personaguard_terms::{Action, ConditionAt, FailurePolicy, SteeringCondition};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) fn files(dir: &TempDir) -> (PathBuf, PathBuf) {
    (dir.path().join("audit.jsonl"), dir.path().join("conversations.jsonl"))
}

/// A sidecar that writes both logs.
pub(crate) fn logging_variant(dir: &TempDir, upstream: Option<(Upstream, Timeouts)>) -> Variant {
    let (audit, conversations) = files(dir);
    let open = |path: &Path| Some(Log::open(path, LogLimits::default()).unwrap());
    let logs = Logs { audit: open(&audit), conversations: open(&conversations) };
    Variant { logs, upstream, ..Variant::default() }
}

async fn logging(folder: Folder, dir: &TempDir) -> Rig {
    let rig = Rig::start(folder, logging_variant(dir, None)).await;
    rig.until_ready().await;
    rig
}

/// What a replay prints of logs that a sidecar with this config has written, and how it ends.
pub(crate) async fn replay(
    rig: &Rig,
    conversations: &Path,
    audit: &Path,
) -> (String, Result<(), ReplayError>) {
    let options = Replay {
        config: rig.folder.path().to_owned(),
        model: Some(weights()),
        conversations: conversations.to_owned(),
        audit: Some(audit.to_owned()),
        response: None,
    };
    // It has a runtime of its own.
    let replayed = tokio::task::spawn_blocking(move || {
        let mut printed = String::new();
        let result = replay::replay(&options, |line| {
            printed.push_str(line);
            printed.push('\n');
        });
        (printed, result)
    });
    replayed.await.unwrap()
}

pub(crate) fn entries(log: &Path, kind: &str) -> Vec<Value> {
    let mut entries = Vec::new();
    verify(log, None, |entry| entries.push(entry)).unwrap();
    entries.retain(|entry| entry["kind"] == kind);
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_the_audit_log_says_what_was_decided_and_not_a_word_of_it() {
    let (_, blocking, allowed) = breaching_midway().await;
    let dir = TempDir::new().unwrap();
    let mut rig = logging(Folder::new(vec![blocking]).await, &dir).await;
    let blocked = rig.complete(&scored(long())).await;
    let short = rig.complete(&with(long(), json!({ "max_tokens": allowed }))).await;
    rig.sidecar.take().unwrap().stop().await;
    let (audit, conversations) = files(&dir);
    let entries_found = entries(&audit, "response");
    assert_eq!(entries_found.len(), 2);
    let entry = &entries_found[0];
    assert_eq!((&entry["response_id"], &entry["decision"]), (&blocked["id"], &json!("blocked")));
    assert_eq!(
        (&entry["outcome"], &entries_found[1]["outcome"]),
        (&json!("content_filter"), &json!("length"))
    );
    let policy = &rig.folder.config.policies[0];
    assert_eq!(
        (&entry["policies"][0]["generation"], &entry["policies"][0]["digest"]),
        (&json!(3), &json!(rig.folder.config.enforced(policy)))
    );
    assert_eq!(entry["model"], json!(rig.folder.config.model.sha256));
    let score = &entry["scores"][0];
    assert_eq!(score["sha256"], json!(rig.folder.config.vectors["evil"].sha256));
    assert_eq!(score["response_avg"], blocked["personaguard"]["scores"][0]["response_avg"]);
    assert_eq!(
        (&entry["rules"][0]["breached"], &entry["rules"][0]["action"]),
        (&json!(true), &json!("Block"))
    );
    let written = std::fs::read_to_string(&audit).unwrap();
    let words = [QUESTION, "neighbour", "How should I"];
    assert!(words.iter().all(|word| !written.contains(word)));
    assert!(text(&short).len() < 8 || !written.contains(text(&short)));
    // The policy did not ask for conversations: there is none.
    assert!(entries(&conversations, "conversation").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_verify_finds_an_edit_and_replay_finds_another_text() {
    let dir = TempDir::new().unwrap();
    // Steering under a condition, with caps and conversations, and an answer that is written anew.
    let mut steered = policy(steer(), Some(-1e6));
    steered.record_conversations = true;
    steering(&mut steered).when = Some(SteeringCondition {
        vector: None,
        at: ConditionAt::Token,
        above: 0.0,
        until: Some(-1.0),
    });
    let mut capped = policy(cap(), None);
    capped.name = "capped".to_owned();
    let mut again = policy(regenerate(), Some(-1e6));
    again.name = "again".to_owned();
    let mut rig = logging(Folder::new(vec![again, capped, steered]).await, &dir).await;
    let answer = rig.complete(&with(long(), json!({ "max_tokens": 20 }))).await;
    rig.stream(&with(long(), json!({ "max_tokens": 12, "stop": ["the"] }))).await;
    rig.sidecar.take().unwrap().stop().await;

    let (audit, conversations) = files(&dir);
    let said = entries(&conversations, "conversation");
    assert_eq!((said.len(), &said[0]["text"]), (2, &answer["choices"][0]["message"]["content"]));
    assert!(said[0]["changes"].as_array().unwrap().len() >= 2, "{}", said[0]["changes"]);
    let (printed, result) = replay(&rig, &conversations, &audit).await;
    assert!(result.is_ok(), "{printed}{result:?}");
    assert!(printed.contains("2 scores, each as recorded to the last bit"), "{printed}");

    assert_eq!(entries(&audit, "response").len(), 2);

    // Another text that hangs together by itself, with the same tokens but one.
    let forged = dir.path().join("forged.jsonl");
    let log = Log::open(&forged, LogLimits::default()).unwrap();
    let mut other = said[0].clone();
    other["tokens"][3] = json!(other["tokens"][3].as_u64().unwrap() + 1);
    let _ = log.push(other);
    log.close();
    let (printed, result) = replay(&rig, &forged, &audit).await;
    assert!(result.is_err());
    assert!(printed.contains("NOT as recorded"), "{printed}");

    let edited = std::fs::read_to_string(&audit).unwrap().replacen(
        "\"breached\":true",
        "\"breached\":false",
        1,
    );
    std::fs::write(&audit, edited).unwrap();
    let flaw = verify(&audit, None, drop).unwrap_err().to_string();
    assert!(flaw.contains("does not match its hash"), "{flaw}");
}

/// As on a full disk: the log cannot be written, and later it can again.
#[tokio::test(flavor = "multi_thread")]
async fn number_8_a_closed_policy_refuses_what_cannot_be_recorded() {
    for (failure_policy, status) in [(FailurePolicy::Open, 200), (FailurePolicy::Closed, 503)] {
        let dir = TempDir::new().unwrap();
        let mut guarded = policy(Action::Alert, Some(1e6));
        guarded.failure_policy = failure_policy;
        let mut rig = logging(Folder::new(vec![guarded]).await, &dir).await;
        let body = with(long(), json!({ "max_tokens": 4 }));
        assert_eq!(rig.post(&body).await.status(), 200);
        let blocked = dir.path().join("audit.jsonl.head.new");
        std::fs::create_dir(&blocked).unwrap();
        // The first finds out, the second is told before it begins.
        for _ in 0..2 {
            let response = rig.post(&body).await;
            assert_eq!(response.status().as_u16(), status);
            if status == 503 {
                let error: Value = response.json().await.unwrap();
                assert_eq!(error["error"]["code"], "audit_log_unavailable");
            }
        }
        std::fs::remove_dir(&blocked).unwrap();
        rig.until("written again", async || rig.post(&body).await.status() == 200).await;
        rig.sidecar.take().unwrap().stop().await;
        assert!(verify(&files(&dir).0, None, drop).is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn number_8_reports_say_where_the_log_was_opened_and_where_it_stands() {
    let dir = TempDir::new().unwrap();
    let folder = async || Folder::new(vec![policy(Action::Alert, Some(1e6))]).await;
    let mut rig = logging(folder().await, &dir).await;
    let log = |rig: &Rig| rig.sidecar().app().report().audit_log.unwrap();
    let begun = log(&rig);
    assert_eq!((begun.opened.sequence, begun.head.sequence, begun.gaps), (0, 1, 0));
    let answer = rig.complete(&with(long(), json!({ "max_tokens": 4 }))).await;
    // The answer has ended, so its entry is on disk.
    let text = std::fs::read_to_string(files(&dir).0).unwrap();
    assert!(text.contains(answer["id"].as_str().unwrap()));
    assert!(text.contains(log(&rig).head.hash.as_str()) && log(&rig).head.sequence == 2);
    rig.sidecar.take().unwrap().stop().await;
    // Cut to the first line: the next process says what it expected, and that there is a gap.
    let first = text.lines().next().unwrap().to_owned() + "\n";
    std::fs::write(files(&dir).0, first).unwrap();
    let rig = logging(folder().await, &dir).await;
    let again = log(&rig);
    assert_eq!((again.opened.sequence, again.head.sequence, again.gaps), (3, 5, 1));
    assert_eq!(rig.metric("personaguard_log_gaps{log=\"audit\"}").await, Some(1.0));
}
