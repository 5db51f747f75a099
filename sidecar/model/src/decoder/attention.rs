//! One attention layer: queries, keys and values made ready, then attention over the paged cache.

use super::rope::Rotation;
use super::{Place, Segment, in_rows};
use crate::config::Config;
use crate::kernel::acts::Acts;
use crate::kernel::attend::{QUERIES, Query, TOKENS, attend};
use crate::kernel::vector;
use crate::kv::Head;
use crate::pool::{Pool, Shards};
use crate::weights::BlockWeights;

/// Widest head.
pub(crate) const MAX_HEAD_WIDTH: usize = 512;
/// Pairs of row and head in a task.
const PAIRS: usize = 4 * QUERIES;

pub(super) struct Layer<'a> {
    pub(super) config: &'a Config,
    pub(super) block: &'a BlockWeights,
    /// From 0.
    pub(super) index: usize,
    pub(super) windowed: bool,
    pub(super) rotation: &'a Rotation,
}

impl Layer<'_> {
    /// Biases, norms and rotation; keys and values go to the cache. `projected` is `[row][queries,
    /// keys, values]`.
    pub(super) fn prepare(
        &self,
        pool: &Pool,
        segments: &[Segment<'_>],
        places: &[Place],
        projected: &mut [f32],
    ) {
        let config = self.config;
        let (width, inner) = (config.head_width, config.heads * config.head_width);
        let row_width = config.projected_width();
        let projected = Shards::new(projected);
        in_rows(pool, places.len(), |row| {
            #[allow(unsafe_code)]
            // SAFETY: each task has rows of its own.
            let values = unsafe { projected.part(row * row_width, row_width) };
            let (queries, rest) = values.split_at_mut(inner);
            let (keys, values) = rest.split_at_mut(rest.len() / 2);
            for (values, bias) in [
                (&mut *queries, &self.block.query.bias),
                (&mut *keys, &self.block.key.bias),
                (&mut *values, &self.block.value.bias),
            ] {
                if let Some(bias) = bias {
                    vector::add_scaled(values, 1.0, bias);
                }
            }
            for query in queries.chunks_exact_mut(width) {
                self.position(row, query, self.block.query_norm.as_deref());
                query.iter_mut().for_each(|value| *value *= config.attention_scale);
            }
            let place = places[row];
            let block = &segments[place.segment].blocks[place.position / TOKENS];
            for (head, (key, value)) in
                keys.chunks_exact_mut(width).zip(values.chunks_exact(width)).enumerate()
            {
                self.position(row, key, self.block.key_norm.as_deref());
                #[allow(unsafe_code)]
                // SAFETY: each position is written by one task, in a block that only its own
                // sequence writes, and nobody reads the cache in this region.
                unsafe {
                    block.write(self.index, head, place.position % TOKENS, key, value);
                }
            }
        });
    }

    fn position(&self, row: usize, head: &mut [f32], norm: Option<&[f32]>) {
        if let Some(norm) = norm {
            let mut plain = [0.0; MAX_HEAD_WIDTH];
            let plain = &mut plain[..head.len()];
            plain.copy_from_slice(head);
            vector::rms_norm(plain, norm, self.config.norm_epsilon, head);
        }
        self.rotation.rotate(self.config.rope.pairs, row, head);
    }

    /// Attention of all rows; the result, `[row][head][value]`, goes to `out`.
    pub(super) fn attend(
        &self,
        pool: &Pool,
        segments: &[Segment<'_>],
        places: &[Place],
        projected: &[f32],
        out: &mut Acts,
    ) {
        let config = self.config;
        let sharing = config.heads / config.kv_heads;
        // Tasks: pieces of one segment's pairs of row and query head, for one key head.
        let mut tasks = Vec::new();
        let mut first_row = 0;
        for segment in segments {
            let pairs = segment.tokens.len() * sharing;
            for head in 0..config.kv_heads {
                tasks.extend(
                    (0..pairs)
                        .step_by(PAIRS)
                        .map(|pair| (segment, first_row, head, pair..(pair + PAIRS).min(pairs))),
                );
            }
            first_row += segment.tokens.len();
        }
        // Late pieces have most to do: first come, and the short ones fill up the end.
        tasks.reverse();
        let writer = out.writer();
        pool.run(tasks.len(), |task| {
            let (segment, first_row, kv_head, pairs) = &tasks[task];
            let pairs: Vec<(usize, usize)> = pairs
                .clone()
                .map(|pair| (first_row + pair / sharing, kv_head * sharing + pair % sharing))
                .collect();
            for pairs in pairs.chunks(QUERIES) {
                let mut sums = [0.0; QUERIES * MAX_HEAD_WIDTH];
                self.few(segment, *kv_head, places, pairs, projected, &mut sums);
                for (&(row, head), sums) in pairs.iter().zip(sums.chunks_exact(config.head_width)) {
                    #[allow(unsafe_code)]
                    // SAFETY: each pair of row and head belongs to one task.
                    let out = unsafe {
                        writer.plain_part(row, head * config.head_width, config.head_width)
                    };
                    out.copy_from_slice(sums);
                }
            }
        });
    }

    /// Attention of a few pairs of row and head that share keys.
    fn few(
        &self,
        segment: &Segment<'_>,
        kv_head: usize,
        places: &[Place],
        pairs: &[(usize, usize)],
        projected: &[f32],
        sums: &mut [f32],
    ) {
        let width = self.config.head_width;
        let row_width = self.config.projected_width();
        let mut queries = [0.0; QUERIES * MAX_HEAD_WIDTH];
        for (query, &(row, head)) in queries.chunks_exact_mut(width).zip(pairs) {
            query.copy_from_slice(&projected[row * row_width + head * width..][..width]);
        }
        let window = self
            .config
            .window
            .as_ref()
            .filter(|_| self.windowed)
            .map_or(usize::MAX, |window| window.tokens);
        // What each query sees: from the window's start to its own position.
        let sees = |row: usize| {
            let end = places[row].position + 1;
            (end.saturating_sub(window), end)
        };
        let mut states = vec![Query::new(); pairs.len()];
        let first = pairs.iter().map(|&(row, _)| sees(row).0 / TOKENS).min().unwrap_or(0);
        let last = pairs.iter().map(|&(row, _)| sees(row).1.div_ceil(TOKENS)).max().unwrap_or(0);
        for index in first..last {
            let mut visible = [(0, 0); QUERIES];
            for (visible, &(row, _)) in visible.iter_mut().zip(pairs) {
                let (start, end) = sees(row);
                let within = |at: usize| at.saturating_sub(index * TOKENS).min(TOKENS);
                *visible = (within(start), within(end));
            }
            #[allow(unsafe_code)]
            // SAFETY: nobody writes to the cache in this region.
            let head = unsafe { segment.blocks[index].head(self.index, kv_head) };
            let (cap, visible) = (self.config.score_cap, &visible[..pairs.len()]);
            match head {
                Head::Half(keys, values) => {
                    attend(width, cap, &queries, keys, values, visible, &mut states, sums)
                }
                Head::Full(keys, values) => {
                    attend(width, cap, &queries, keys, values, visible, &mut states, sums)
                }
            }
        }
        for (state, sums) in states.iter().zip(sums.chunks_exact_mut(width)) {
            state.finish(sums);
        }
    }
}
