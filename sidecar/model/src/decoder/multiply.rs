//! Matrix products shared out over the threads.

use crate::kernel::acts::{Acts, ActsWriter, Row};
use crate::kernel::matrix::Matrix;
use crate::kernel::vector::{Gate, gated};
use crate::kernel::{LANES, TILE, Tile};
use crate::pool::{Pool, Shards};

/// Where a product goes: row r's values start at `out[r · stride + offset]`.
pub(super) struct Output<'a> {
    pub(super) matrix: &'a Matrix,
    pub(super) out: Shards<'a, f32>,
    pub(super) stride: usize,
    pub(super) offset: usize,
}

/// Bytes of activations that stay in a core's second-level cache while weights pass by.
const CACHED_BYTES: usize = 160 << 10;

/// Tasks for each thread: enough that one that is slowed down does not hold up the others for long.
const TASKS_PER_THREAD: usize = 4;

/// Multiplies all rows of activations by each matrix, all of the same width, in one parallel
/// region.
pub(super) fn multiply(pool: &Pool, acts: &Acts, outputs: &[Output<'_>]) {
    let rows: Vec<Row<'_>> = (0..acts.rows).map(|row| acts.row(row)).collect();
    let groups = outputs.iter().map(|output| output.matrix.groups()).sum();
    share(pool, groups, |first, last| {
        for panel in panels(&rows, acts.columns) {
            let (mut start, rows) = (0, &rows[panel.clone()]);
            for output in outputs {
                let end = start + output.matrix.groups();
                for group in first.clamp(start, end)..last.clamp(start, end) {
                    product(output, group - start, panel.start, rows);
                }
                start = end;
            }
        }
    });
}

fn product(output: &Output<'_>, group: usize, first_row: usize, rows: &[Row<'_>]) {
    let lanes = LANES.min(output.matrix.rows - group * LANES);
    for (tile, rows) in rows.chunks(TILE).enumerate() {
        let mut sums = Tile::default();
        output.matrix.tile(group, rows, &mut sums);
        for (index, sums) in sums[..rows.len()].iter().enumerate() {
            let row = first_row + tile * TILE + index;
            #[allow(unsafe_code)]
            // SAFETY: each group of each output has values of its own, and belongs to one task.
            let out = unsafe {
                output.out.part(row * output.stride + output.offset + group * LANES, lanes)
            };
            out.copy_from_slice(&sums[..lanes]);
        }
    }
}

/// out ← activation(gate · acts) × (up · acts), for all rows.
pub(super) fn multiply_gated(
    pool: &Pool,
    acts: &Acts,
    [gate, up]: [&Matrix; 2],
    kind: Gate,
    out: &ActsWriter<'_>,
) {
    let rows: Vec<Row<'_>> = (0..acts.rows).map(|row| acts.row(row)).collect();
    share(pool, gate.groups(), |first, last| {
        for panel in panels(&rows, acts.columns) {
            for group in first..last {
                let lanes = LANES.min(gate.rows - group * LANES);
                for start in panel.clone().step_by(TILE) {
                    let rows = &rows[start..(start + TILE).min(panel.end)];
                    let (mut gates, mut ups) = (Tile::default(), Tile::default());
                    gate.tile(group, rows, &mut gates);
                    up.tile(group, rows, &mut ups);
                    gated(
                        kind,
                        &mut gates.as_flattened_mut()[..rows.len() * LANES],
                        ups.as_flattened(),
                    );
                    for (index, gates) in gates[..rows.len()].iter().enumerate() {
                        #[allow(unsafe_code)]
                        // SAFETY: each group has values of its own, and belongs to one task.
                        let out = unsafe { out.plain_part(start + index, group * LANES, lanes) };
                        out.copy_from_slice(&gates[..lanes]);
                    }
                }
            }
        }
    });
}

/// Shares out `0..groups` in ranges.
fn share(pool: &Pool, groups: usize, work: impl Fn(usize, usize) + Sync) {
    let chunk = groups.div_ceil(TASKS_PER_THREAD * pool.threads()).max(1);
    pool.run(groups.div_ceil(chunk), |task| work(task * chunk, ((task + 1) * chunk).min(groups)));
}

/// Ranges of rows whose activations fit the cache.
fn panels(rows: &[Row<'_>], columns: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let size = (CACHED_BYTES / columns.max(1)).next_multiple_of(TILE).max(TILE);
    let count = rows.len();
    (0..count).step_by(size).map(move |start| start..(start + size).min(count))
}
