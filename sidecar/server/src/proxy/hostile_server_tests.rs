//! Model servers that mean harm: whatever they answer, in whatever pieces, a word of theirs does
//! not reach the client past a Block.
//!
//! Responses are random JSON of every API, with the word put in anywhere: in a text, a field that
//! nobody knows, the name of a field, a comment, an identifier. All projections are past the
//! threshold, so nothing may leave of what the server wrote. The oracle searches the bytes that
//! leave for the word, and uses no code of the guard.

mod generate;

use super::answer::Part;
use super::headers::{Asked, allowed};
use super::held::HeldStream;
use super::held::tests::{ending, plan};
use super::path::{Api, Passive};
use super::transcript::Transcript;
use super::{passive, whole};
use crate::openai::answered;
use crate::runtime::AppState;
use generate::{Dice, WORD};
use personaguard_guard::{Decision, Plan, Stop, UnscoredReason};
use personaguard_model::Score;
use serde_json::Value;
use std::sync::Arc;

/// Responses of one run; `PERSONAGUARD_HOSTILE_RUNS` for more.
const RUNS: u64 = 20_000;

const APIS: [Api; 4] = [Api::Chat, Api::Completions, Api::Responses, Api::Messages];

fn runs() -> u64 {
    std::env::var("PERSONAGUARD_HOSTILE_RUNS").map_or(RUNS, |runs| runs.parse().unwrap())
}

fn transcript(app: &Arc<AppState>, plan: &Arc<Plan>) -> Transcript {
    let decision = Decision::new(Arc::clone(plan));
    Transcript::new(Arc::clone(app), decision, tracing::Span::none())
}

/// Scores what is due, far past the threshold.
fn score(transcript: &mut Transcript, force: bool) -> bool {
    let due = transcript.due(force);
    for &due in &due {
        let Some((_, text)) = transcript.unscored(due) else { continue };
        let bytes: Vec<usize> = text.chars().map(char::len_utf8).collect();
        let score = Score {
            prompt: vec![0.0],
            response: vec![vec![9.0]; bytes.len()],
            logprobs: vec![0.0; bytes.len()],
            states: None,
        };
        transcript.scored(due, 1, &vec![0; bytes.len()], &bytes, &score);
    }
    !due.is_empty()
}

fn streamed(dice: &mut Dice, api: Api, app: &Arc<AppState>, plan: &Arc<Plan>) -> Vec<u8> {
    let stream = dice.stream(api);
    let expected = 1 + dice.below(2);
    let mut held = HeldStream::new(transcript(app, plan), ending(api), expected);
    let mut out = Vec::new();
    let mut rest = stream.as_slice();
    while !rest.is_empty() {
        let (piece, next) = rest.split_at((1 + dice.below(300)).min(rest.len()));
        held.push(piece);
        rest = next;
        if dice.one_in(2) {
            score(&mut held.transcript, dice.one_in(3));
        }
        out.extend(held.release().unwrap_or_default());
    }
    held.end();
    while score(&mut held.transcript, true) {}
    out.extend(held.release().unwrap_or_default());
    held.transcript.forget();
    out
}

fn in_one_piece(dice: &mut Dice, api: Api, app: &Arc<AppState>, plan: &Arc<Plan>) -> Vec<u8> {
    let mut transcript = transcript(app, plan);
    let ending = ending(api);
    let body = dice.body(api);
    let mut payload = answered(dice.spelt(&body).as_bytes()).unwrap_or_default();
    let taken = transcript.take(ending.naming(), Part::Whole, &mut payload);
    if taken.is_err() {
        transcript.fail(UnscoredReason::NotUnderstood);
    }
    transcript.complete();
    while score(&mut transcript, true) {}
    let is_refused = transcript.stop() == Some(Stop::Unscorable);
    if let Ok(spans) = &taken {
        whole::cut(&transcript, ending.naming(), &mut payload, spans);
    }
    transcript.forget();
    if is_refused { Vec::new() } else { payload.to_string().into_bytes() }
}

fn check(out: &[u8], seed: u64, api: Api) {
    let leaks = out.windows(WORD.len()).any(|bytes| bytes == WORD.as_bytes());
    assert!(!leaks, "seed {seed}, {api:?}: {}", String::from_utf8_lossy(out));
}

#[test]
fn a_word_of_a_hostile_server_never_passes_a_block() {
    let app = Arc::new(AppState::default());
    let plans = [plan("Block", "Closed", 4), plan("Block", "Open", 1), plan("Redact", "Closed", 4)];
    for seed in 0..runs() {
        let mut dice = Dice::new(seed);
        let api = *dice.pick(&APIS);
        let plan = &plans[dice.below(plans.len())];
        let out = match dice.one_in(3) {
            true => in_one_piece(&mut dice, api, &app, plan),
            false => streamed(&mut dice, api, &app, plan),
        };
        check(&out, seed, api);
    }
}

#[test]
fn a_word_of_a_hostile_server_is_no_name_and_no_number() {
    for seed in 0..runs() {
        let mut dice = Dice::without_names(seed);
        let api = *dice.pick(&APIS);
        let body: Value = dice.body(api);
        for passive in [Passive::Data, Passive::Metrics, Passive::Health] {
            let bytes = match dice.one_in(2) {
                true => body.to_string().into_bytes(),
                false => dice.stream(api),
            };
            let kept = passive::filtered(passive, &bytes, &|_| false).unwrap_or_default();
            check(kept.as_bytes(), seed, api);
        }
    }
}

#[test]
fn a_word_of_a_hostile_server_is_in_no_header() {
    for seed in 0..runs() {
        let headers = Dice::new(seed).headers();
        for (name, value) in &allowed(&headers, &Asked::default()) {
            let left = format!("{name}: {}", value.to_str().unwrap()).to_lowercase();
            assert!(!left.contains(&WORD.to_lowercase()), "seed {seed}: {left}");
        }
    }
}

/// The same responses leave where nothing is past a threshold: the test above could not pass by
/// letting nothing through.
#[test]
fn texts_of_a_harmless_server_pass() {
    let app = Arc::new(AppState::default());
    let plan = plan("Block", "Open", 4);
    let mut passed = 0;
    for seed in 0..2000 {
        let mut dice = Dice::new(seed);
        let api = *dice.pick(&APIS);
        let stream = dice.harmless(api);
        let mut held = HeldStream::new(transcript(&app, &plan), ending(api), 1);
        held.push(&stream);
        held.end();
        loop {
            let due = held.transcript.due(true);
            if due.is_empty() {
                break;
            }
            for due in due {
                let (_, text) = held.transcript.unscored(due).unwrap();
                let bytes: Vec<usize> = text.chars().map(char::len_utf8).collect();
                let response = vec![vec![0.0]; bytes.len()];
                let score =
                    Score { prompt: vec![0.0], response, logprobs: Vec::new(), states: None };
                held.transcript.scored(due, 1, &vec![0; bytes.len()], &bytes, &score);
            }
        }
        let out = held.release().unwrap_or_default();
        held.transcript.forget();
        passed += usize::from(out.windows(WORD.len()).any(|bytes| bytes == WORD.as_bytes()));
    }
    assert_eq!(passed, 2000);
}
