//! Whatever requests come and go, a request finds only numbers of its own beginning, and memory
//! stays within its bound.

use super::*;
use proptest::prelude::*;

const LAYOUT: Layout = Layout { layers: 2, kv_heads: 2, width: 3, precision: Precision::Full };

/// A number for what a token's key depends on: all tokens up to it.
fn number(tokens: &[u32]) -> f32 {
    let hash =
        tokens.iter().fold(17_u32, |hash, token| hash.wrapping_mul(31).wrapping_add(token + 1));
    (hash % (1 << 24)) as f32
}

fn write_all(blocks: &[Arc<Block>], tokens: &[u32], from: usize) {
    for at in from..tokens.len() {
        for (layer, head) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let n = number(&tokens[..=at]) + (2 * layer + head) as f32;
            // SAFETY: one thread.
            unsafe {
                blocks[at / TOKENS].write(
                    layer,
                    head,
                    at % TOKENS,
                    &[n, n + 1.0, n + 2.0],
                    &[-n, 1.0 - n, 2.0 - n],
                );
            };
        }
    }
}

fn holds(block: &Block, tokens: &[u32], at: usize) -> bool {
    [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().all(|(layer, head)| {
        let n = number(&tokens[..=at]) + (2 * layer + head) as f32;
        let token = at % TOKENS;
        // SAFETY: one thread.
        let Head::Full(keys, values) = (unsafe { block.head(layer, head) }) else { return false };
        (0..3).all(|d| {
            keys[d * TOKENS + token] == n + d as f32 && values[token * 3 + d] == d as f32 - n
        })
    })
}

/// A request that runs: its blocks, its reservation, its tokens.
struct Running(Vec<Arc<Block>>, Reservation, Vec<u32>);

fn sequences() -> impl Strategy<Value = Vec<(Vec<u32>, usize, bool)>> {
    // Few tokens in long runs, so that many begin alike and part ways somewhere.
    let run = (0..3_u32, 1..50_usize).prop_map(|(token, times)| vec![token; times]);
    let tokens = prop::collection::vec(run, 1..5).prop_map(|runs| runs.concat());
    prop::collection::vec((tokens, 0..4_usize, any::<bool>()), 1..60)
}

proptest! {
    #[test]
    fn a_request_finds_its_own_beginning_and_nothing_else(work in sequences(), capacity in 8..20_usize) {
        let mut cache = Cache::new(LAYOUT, capacity);
        let start = Origin::start(b"");
        let mut running: Vec<Running> = Vec::new();
        for (tokens, ends, kept) in work {
            for Running(blocks, reservation, tokens) in running.drain(..ends.min(running.len())) {
                let reusable = if kept { tokens.len() } else { tokens.len() / 2 };
                cache.give_back(&reservation, blocks, start, &tokens[..reusable]);
            }
            let Some(reservation) = cache.reserve(tokens.len().div_ceil(TOKENS)) else { continue };
            let found = cache.find(start, &tokens);
            let mut blocks = found.whole;
            let mut fed = blocks.len() * TOKENS;
            let own = |at: usize| holds(&blocks[at / TOKENS], &tokens, at);
            prop_assert!((0..fed).all(own), "whole blocks");
            if let Some((begun, same)) = found.begun && let Some(block) = cache.spare() {
                // SAFETY: one thread, and a spare block.
                unsafe { block.copy_beginning(&begun, same) };
                prop_assert!((fed..fed + same).all(|at| holds(&block, &tokens, at)));
                blocks.push(block);
                fed += same;
            }
            prop_assert!(fed < tokens.len(), "one token is left to compute");
            while blocks.len() * TOKENS < tokens.len() {
                blocks.push(cache.take());
            }
            write_all(&blocks, &tokens, fed);
            cache.keep(start, &blocks, &tokens[..tokens.len() / 3]);
            running.push(Running(blocks, reservation, tokens));
            prop_assert!(cache.existing <= capacity, "{} of {capacity}", cache.existing);
        }
        for Running(blocks, reservation, tokens) in running {
            cache.give_back(&reservation, blocks, start, &tokens);
        }
        prop_assert_eq!(cache.reserved, 0);
        // Nothing is lost: all memory can be had again, once.
        for _ in 0..capacity {
            prop_assert!(cache.spare().is_some());
        }
        prop_assert!(cache.spare().is_none());
    }
}

#[test]
fn a_beginning_is_found_to_the_token() {
    let mut cache = Cache::new(LAYOUT, 8);
    let start = Origin::start(b"");
    let tokens: Vec<u32> = (0..80).collect();
    let blocks: Vec<_> = (0..3).map(|_| cache.take()).collect();
    cache.keep(start, &blocks, &tokens[..70]);
    let mut length = |tokens: &[u32]| {
        let found = cache.find(start, tokens);
        found.whole.len() * TOKENS + found.begun.map_or(0, |(_, tokens)| tokens)
    };
    assert_eq!(length(&tokens), 70);
    assert_eq!(length(&tokens[..70]), 69, "one token is left to compute");
    assert_eq!(length(&tokens[..33]), 32);
    assert_eq!(length(&[&tokens[..45], &[7; 40][..]].concat()), 45);
    assert_eq!(length(&[&tokens[..9], &[7; 40][..]].concat()), 9);
    assert_eq!(length(&[1, 2, 3]), 0);
    assert_eq!(cache.find(Origin::start(b"steered"), &tokens).begun.map(|begun| begun.1), None);
}
