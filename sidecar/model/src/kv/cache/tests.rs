//! Whatever requests come and go, each finds only its own prefix, and memory stays within its
//! bound.

use super::*;
use crate::kernel::layout::BLOCK_SIZE;
use crate::kv::{HeadKv, Precision};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

const LAYOUT: Layout = Layout { layers: 2, kv_heads: 2, head_dim: 3, precision: Precision::F32 };

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
                blocks[at / BLOCK_SIZE].write(
                    layer,
                    head,
                    at % BLOCK_SIZE,
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
        let token = at % BLOCK_SIZE;
        // SAFETY: one thread.
        let HeadKv::F32(keys, values) = (unsafe { block.head(layer, head) }) else { return false };
        (0..3).all(|d| {
            keys[d * BLOCK_SIZE + token] == n + d as f32 && values[token * 3 + d] == d as f32 - n
        })
    })
}

/// A request that runs: its blocks, its reservation, its tokens.
struct Running(Vec<Arc<Block>>, Reservation, Vec<u32>);

/// What is asked for, how many requests end before, whether all their tokens can be used again, and
/// how far the cache is shrunk then.
type Work = (Vec<u32>, usize, bool, Option<usize>);

fn sequences() -> impl Strategy<Value = Vec<Work>> {
    // Few distinct tokens in long runs, so that many sequences share a prefix and then diverge.
    let run = (0..3_u32, 1..50_usize).prop_map(|(token, times)| vec![token; times]);
    let tokens = prop::collection::vec(run, 1..5).prop_map(|runs| runs.concat());
    let shrink = prop::option::weighted(0.3, 0..20_usize);
    prop::collection::vec((tokens, 0..4_usize, any::<bool>(), shrink), 1..60)
}

proptest! {
    #[test]
    fn a_request_finds_its_own_prefix_and_nothing_else(
        work in sequences(),
        capacity in 8..20_usize,
    ) {
        let mut cache = Cache::new(LAYOUT, capacity);
        let root = PrefixHash::root(b"");
        let mut running: Vec<Running> = Vec::new();
        for (tokens, ends, kept, shrink) in work {
            for Running(blocks, reservation, tokens) in running.drain(..ends.min(running.len())) {
                let reusable = if kept { tokens.len() } else { tokens.len() / 2 };
                cache.release(&reservation, blocks, root, &tokens[..reusable]);
            }
            if let Some(keep) = shrink {
                cache.shrink(keep);
                let used: HashSet<usize> = running
                    .iter()
                    .flat_map(|Running(blocks, ..)| blocks.iter().map(|block| block.number))
                    .collect();
                prop_assert!(cache.existing() <= keep.max(used.len()), "number 22: it shrinks");
            }
            let needed = tokens.len().div_ceil(BLOCK_SIZE);
            let Some(reservation) = cache.reserve(needed) else { continue };
            let found = cache.find_prefix(root, &tokens);
            let mut blocks = found.full;
            let mut fed = blocks.len() * BLOCK_SIZE;
            let own = |at: usize| holds(&blocks[at / BLOCK_SIZE], &tokens, at);
            prop_assert!((0..fed).all(own), "full blocks");
            if let Some((partial, same)) = found.partial && let Some(block) = cache.try_allocate() {
                // SAFETY: one thread, and a spare block.
                unsafe { block.copy_prefix(&partial, same) };
                prop_assert!((fed..fed + same).all(|at| holds(&block, &tokens, at)));
                blocks.push(block);
                fed += same;
            }
            prop_assert!(fed < tokens.len(), "one token is left to compute");
            while blocks.len() * BLOCK_SIZE < tokens.len() {
                blocks.push(cache.allocate());
            }
            write_all(&blocks, &tokens, fed);
            cache.keep_prefix(root, &blocks, &tokens[..tokens.len() / 3]);
            running.push(Running(blocks, reservation, tokens));
            prop_assert!(cache.existing <= capacity, "{} of {capacity}", cache.existing);
            let numbers = running.iter().flat_map(|Running(blocks, ..)| blocks);
            let mut distinct = BTreeMap::new();
            for block in numbers {
                let one = distinct.entry(block.number).or_insert(block);
                prop_assert!(Arc::ptr_eq(one, block) && block.number < capacity);
            }
        }
        for Running(blocks, reservation, tokens) in running {
            cache.release(&reservation, blocks, root, &tokens);
        }
        prop_assert_eq!(cache.reserved, 0);
        // Nothing is lost: all memory can be had again, once.
        for _ in 0..capacity {
            prop_assert!(cache.try_allocate().is_some());
        }
        prop_assert!(cache.try_allocate().is_none());
    }
}

#[test]
fn a_prefix_is_found_to_the_token() {
    let mut cache = Cache::new(LAYOUT, 8);
    let root = PrefixHash::root(b"");
    let tokens: Vec<u32> = (0..80).collect();
    let blocks: Vec<_> = (0..3).map(|_| cache.allocate()).collect();
    cache.keep_prefix(root, &blocks, &tokens[..70]);
    let mut length = |tokens: &[u32]| {
        let found = cache.find_prefix(root, tokens);
        found.full.len() * BLOCK_SIZE + found.partial.map_or(0, |(_, tokens)| tokens)
    };
    assert_eq!(length(&tokens), 70);
    assert_eq!(length(&tokens[..70]), 69, "one token is left to compute");
    assert_eq!(length(&tokens[..33]), 32);
    assert_eq!(length(&[&tokens[..45], &[7; 40][..]].concat()), 45);
    assert_eq!(length(&[&tokens[..9], &[7; 40][..]].concat()), 9);
    assert_eq!(length(&[1, 2, 3]), 0);
    assert_eq!(
        cache.find_prefix(PrefixHash::root(b"steered"), &tokens).partial.map(|partial| partial.1),
        None
    );
}
