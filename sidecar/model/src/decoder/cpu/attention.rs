//! One attention layer, over the paged KV cache.

use super::rows::for_each_row;
use crate::config::Config;
use crate::decoder::rope::RopeTable;
use crate::decoder::segment::{BatchRow, Segment};
use crate::kernel::activations::QuantizedActivations;
use crate::kernel::attention::{MAX_QUERIES, SoftmaxState, attend_block};
use crate::kernel::layout::BLOCK_SIZE;
use crate::kernel::vector;
use crate::kv::HeadKv;
use crate::pool::{DisjointSlice, ThreadPool};
use crate::weights::BlockWeights;

/// Most values of a head.
pub(crate) const MAX_HEAD_DIM: usize = 512;
/// Pairs of row and query head in one task.
const PAIRS_PER_TASK: usize = 4 * MAX_QUERIES;

pub(super) struct AttentionLayer<'a> {
    pub(super) config: &'a Config,
    pub(super) block: &'a BlockWeights,
    /// Number of the block, from 0.
    pub(super) index: usize,
    pub(super) is_windowed: bool,
    pub(super) rope: &'a RopeTable,
}

impl AttentionLayer<'_> {
    /// Applies norms and RoPE, and writes keys and values to the cache. `projected` is
    /// `[row][queries, keys, values]`.
    pub(super) fn prepare(
        &self,
        pool: &ThreadPool,
        segments: &[Segment<'_>],
        rows: &[BatchRow],
        projected: &mut [f32],
    ) {
        let config = self.config;
        let (head_dim, query_size) = (config.head_dim, config.query_size());
        let row_size = query_size + 2 * config.kv_size();
        let projected = DisjointSlice::new(projected);
        for_each_row(pool, rows.len(), |row| {
            #[allow(unsafe_code)]
            // SAFETY: each row belongs to one task.
            let values = unsafe { projected.slice_mut(row * row_size, row_size) };
            let (queries, rest) = values.split_at_mut(query_size);
            let (keys, values) = rest.split_at_mut(rest.len() / 2);
            self.norm(queries, self.block.query_norm.as_deref());
            for query in queries.chunks_exact_mut(head_dim) {
                self.rope.rotate(config.rope.layout, row, query);
                query.iter_mut().for_each(|value| *value *= config.attention_scale);
            }
            let BatchRow { segment, position, .. } = rows[row];
            let block = &segments[segment].blocks[position / BLOCK_SIZE];
            self.norm(keys, self.block.key_norm.as_deref());
            for (head, (key, value)) in
                keys.chunks_exact_mut(head_dim).zip(values.chunks_exact(head_dim)).enumerate()
            {
                self.rope.rotate(config.rope.layout, row, key);
                #[allow(unsafe_code)]
                // SAFETY: each position is written by one task, in a block that only its own
                // sequence writes, and nobody reads the cache in this loop.
                unsafe {
                    block.write(self.index, head, position % BLOCK_SIZE, key, value);
                }
            }
        });
    }

    /// Applies a norm to each head, or to all heads as one, by its width.
    fn norm(&self, heads: &mut [f32], norm: Option<&[f32]>) {
        let Some(norm) = norm else { return };
        for part in heads.chunks_exact_mut(norm.len()) {
            vector::rms_norm_in_place(part, norm, self.config.norm_epsilon);
        }
    }

    /// Writes the attention of all rows, `[row][query head][value]`, to `out`.
    pub(super) fn attend(
        &self,
        pool: &ThreadPool,
        segments: &[Segment<'_>],
        rows: &[BatchRow],
        projected: &[f32],
        out: &mut QuantizedActivations,
    ) {
        let config = self.config;
        let sharing = config.heads / config.kv_heads;
        // Each task has some of a segment's pairs of row and query head, all with the same KV head.
        let mut tasks = Vec::new();
        let mut first_row = 0;
        for segment in segments {
            let pairs = segment.tokens.len() * sharing;
            for head in 0..config.kv_heads {
                tasks.extend((0..pairs).step_by(PAIRS_PER_TASK).map(|pair| {
                    (segment, first_row, head, pair..(pair + PAIRS_PER_TASK).min(pairs))
                }));
            }
            first_row += segment.tokens.len();
        }
        // Tasks of late positions take longest: start with them, so that short ones fill up the
        // end.
        tasks.reverse();
        let writer = out.writer();
        pool.run(tasks.len(), |task| {
            let (segment, first_row, kv_head, pairs) = &tasks[task];
            let pairs: Vec<(usize, usize)> = pairs
                .clone()
                .map(|pair| (first_row + pair / sharing, kv_head * sharing + pair % sharing))
                .collect();
            for pairs in pairs.chunks(MAX_QUERIES) {
                let mut sums = [0.0; MAX_QUERIES * MAX_HEAD_DIM];
                self.attend_pairs(segment, *kv_head, rows, pairs, projected, &mut sums);
                for (&(row, head), sums) in pairs.iter().zip(sums.chunks_exact(config.head_dim)) {
                    #[allow(unsafe_code)]
                    // SAFETY: each pair of row and head belongs to one task.
                    let out =
                        unsafe { writer.values_part(row, head * config.head_dim, config.head_dim) };
                    out.copy_from_slice(sums);
                }
            }
        });
    }

    /// Attention of a few pairs of row and query head that share a KV head.
    fn attend_pairs(
        &self,
        segment: &Segment<'_>,
        kv_head: usize,
        rows: &[BatchRow],
        pairs: &[(usize, usize)],
        projected: &[f32],
        sums: &mut [f32],
    ) {
        let head_dim = self.config.head_dim;
        let row_size = self.config.query_size() + 2 * self.config.kv_size();
        let mut queries = [0.0; MAX_QUERIES * MAX_HEAD_DIM];
        for (query, &(row, head)) in queries.chunks_exact_mut(head_dim).zip(pairs) {
            query.copy_from_slice(&projected[row * row_size + head * head_dim..][..head_dim]);
        }
        let window = self
            .config
            .window
            .as_ref()
            .filter(|_| self.is_windowed)
            .map_or(usize::MAX, |window| window.tokens);
        // Positions that a row sees: from the window's start to its own.
        let sees = |row: usize| {
            let end = rows[row].position + 1;
            (end.saturating_sub(window), end)
        };
        let sinks = self.block.attention_sinks.as_deref();
        let new = |&(_, head): &(usize, usize)| SoftmaxState::new(sinks.map(|sinks| sinks[head]));
        let mut states: Vec<SoftmaxState> = pairs.iter().map(new).collect();
        let first = pairs.iter().map(|&(row, _)| sees(row).0 / BLOCK_SIZE).min().unwrap_or(0);
        let last =
            pairs.iter().map(|&(row, _)| sees(row).1.div_ceil(BLOCK_SIZE)).max().unwrap_or(0);
        for index in first..last {
            let mut visible = [(0, 0); MAX_QUERIES];
            for (visible, &(row, _)) in visible.iter_mut().zip(pairs) {
                let (start, end) = sees(row);
                let within = |at: usize| at.saturating_sub(index * BLOCK_SIZE).min(BLOCK_SIZE);
                *visible = (within(start), within(end));
            }
            #[allow(unsafe_code)]
            // SAFETY: nobody writes to the cache in this loop.
            let head = unsafe { segment.blocks[index].head(self.index, kv_head) };
            let (cap, visible) = (self.config.score_cap, &visible[..pairs.len()]);
            match head {
                HeadKv::F16(keys, values) => {
                    attend_block(head_dim, cap, &queries, keys, values, visible, &mut states, sums);
                }
                HeadKv::F32(keys, values) => {
                    attend_block(head_dim, cap, &queries, keys, values, visible, &mut states, sums);
                }
            }
        }
        for (state, sums) in states.iter().zip(sums.chunks_exact_mut(head_dim)) {
            state.finish(sums);
        }
    }
}
