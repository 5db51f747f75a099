//! What reads in the background, and what it leaves to others.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(
    dead_code,
    unreachable_pub,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod support;

use personaguard_model::{Engine, EngineOptions, LoadOptions, ScoreRequest};
use std::sync::Arc;
use support::agree::tokens;
use support::loading::load;
use support::{Shape, tiny};

/// The most requests that run at once: prompts that are read in the background, and a short one
/// that comes when they are being read.
fn most_at_once(max_concurrent: usize, contexts: usize, short: Option<usize>) -> usize {
    let model = load(&tiny(&Shape::of("llama"), 48).file, &LoadOptions::default()).unwrap();
    let kv_bytes = Some(contexts * model.kv_bytes(model.context_length()));
    let options = EngineOptions { max_concurrent, max_waiting: 20, kv_bytes };
    let engine = Engine::start(Arc::new(model), options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let read = |seed: u64, length: usize, is_background: bool| {
        let prompt = tokens(length, seed);
        let request = ScoreRequest { prompt, is_background, ..ScoreRequest::default() };
        let engine = engine.clone();
        runtime.spawn(async move { engine.score(request).await.unwrap() })
    };
    let mut reads: Vec<_> = (0..6).map(|seed| read(seed, 500, true)).collect();
    while engine.running() == 0 {
        std::thread::yield_now();
    }
    reads.extend(short.map(|length| read(9, length, false)));
    let mut most = 0;
    while !reads.iter().all(tokio::task::JoinHandle::is_finished) {
        most = most.max(engine.running());
        std::thread::yield_now();
    }
    for read in reads {
        runtime.block_on(read).unwrap();
    }
    most
}

#[test]
fn a6_what_reads_in_the_background_leaves_a_slot_and_memory_to_others() {
    // Of two contexts, one stays for those that do not wait.
    assert_eq!(most_at_once(8, 2, None), 1);
    // A slot that is taken in the background is no slot of theirs. A pass is over within
    // milliseconds: on a busy machine, one try may not see it.
    let mut tries = (0..50).map(|_| most_at_once(1, 2, Some(480)));
    assert_eq!(tries.find(|most| *most != 1), Some(2));
}
