//! Matrix products shared out over the threads.

use crate::kernel::activations::{ActivationRow, ActivationWriter};
use crate::kernel::layout::{LANES, TILE_ROWS, Tile};
use crate::kernel::matrix::Matrix;
use crate::kernel::vector::{ActivationFn, gated};
use crate::pool::{DisjointSlice, ThreadPool};
use crate::weights::Projection;

/// A product with a matrix, and where it goes: the values of row r start at `out[r · stride +
/// offset]`.
pub(super) struct Product<'a> {
    pub(super) matrix: &'a Matrix,
    /// What is added to each row.
    pub(super) bias: Option<&'a [f32]>,
    pub(super) out: DisjointSlice<'a, f32>,
    pub(super) stride: usize,
    pub(super) offset: usize,
}

impl<'a> Product<'a> {
    pub(super) fn of(
        projection: &'a Projection,
        out: DisjointSlice<'a, f32>,
        stride: usize,
        offset: usize,
    ) -> Self {
        let Projection { matrix, bias } = projection;
        Self { matrix, bias: bias.as_deref(), out, stride, offset }
    }
}

/// Bytes of activations that stay in a core's L2 cache while weights stream through it.
const CACHED_BYTES: usize = 160 << 10;

/// Tasks per thread: enough that a thread that is slowed down does not hold up the others for long.
const TASKS_PER_THREAD: usize = 4;

/// Multiplies rows of activations by each matrix, all of the same width, in one parallel loop.
pub(super) fn multiply(pool: &ThreadPool, rows: &[ActivationRow<'_>], products: &[Product<'_>]) {
    let groups = products.iter().map(|product| product.matrix.groups()).sum();
    share_groups(pool, groups, |first, last| {
        for panel in panels(rows) {
            let (mut start, rows) = (0, &rows[panel.clone()]);
            for product in products {
                let end = start + product.matrix.groups();
                for group in first.clamp(start, end)..last.clamp(start, end) {
                    compute(product, group - start, panel.start, rows);
                }
                start = end;
            }
        }
    });
}

/// Computes the product of one group of the matrix with `rows`, which start at row `first_row`.
fn compute(product: &Product<'_>, group: usize, first_row: usize, rows: &[ActivationRow<'_>]) {
    let lanes = LANES.min(product.matrix.rows - group * LANES);
    for (tile, rows) in rows.chunks(TILE_ROWS).enumerate() {
        let mut sums = Tile::default();
        product.matrix.dot_tile(group, rows, &mut sums);
        for (index, sums) in sums[..rows.len()].iter().enumerate() {
            let row = first_row + tile * TILE_ROWS + index;
            #[allow(unsafe_code)]
            // SAFETY: groups of all products write to values of their own, and each belongs to one
            // task.
            let out = unsafe {
                product.out.slice_mut(row * product.stride + product.offset + group * LANES, lanes)
            };
            out.copy_from_slice(&sums[..lanes]);
            add_bias(out, product.bias, group);
        }
    }
}

/// Adds the part of a bias that belongs to a group of rows.
fn add_bias(out: &mut [f32], bias: Option<&[f32]>, group: usize) {
    if let Some(bias) = bias {
        out.iter_mut().zip(&bias[group * LANES..]).for_each(|(out, bias)| *out += bias);
    }
}

/// out ← activation(gate(x)) · up(x), for rows x of activations.
pub(super) fn multiply_gated(
    pool: &ThreadPool,
    rows: &[ActivationRow<'_>],
    [gate, up]: [&Projection; 2],
    activation: ActivationFn,
    out: &ActivationWriter<'_>,
) {
    let biases = [gate.bias.as_deref(), up.bias.as_deref()];
    let (gate, up) = (&gate.matrix, &up.matrix);
    share_groups(pool, gate.groups(), |first, last| {
        for panel in panels(rows) {
            for group in first..last {
                let lanes = LANES.min(gate.rows - group * LANES);
                for start in panel.clone().step_by(TILE_ROWS) {
                    let rows = &rows[start..(start + TILE_ROWS).min(panel.end)];
                    let (mut gates, mut ups) = (Tile::default(), Tile::default());
                    gate.dot_tile(group, rows, &mut gates);
                    up.dot_tile(group, rows, &mut ups);
                    for (tile, bias) in [(&mut gates, biases[0]), (&mut ups, biases[1])] {
                        let rows = tile.iter_mut().take(rows.len());
                        rows.for_each(|row| add_bias(&mut row[..lanes], bias, group));
                    }
                    gated(
                        activation,
                        &mut gates.as_flattened_mut()[..rows.len() * LANES],
                        ups.as_flattened(),
                    );
                    for (index, gates) in gates[..rows.len()].iter().enumerate() {
                        #[allow(unsafe_code)]
                        // SAFETY: groups write to values of their own, and each belongs to one
                        // task.
                        let out = unsafe { out.values_part(start + index, group * LANES, lanes) };
                        out.copy_from_slice(&gates[..lanes]);
                    }
                }
            }
        }
    });
}

/// Calls `work` with ranges that together make up `0..groups`, on all threads.
fn share_groups(pool: &ThreadPool, groups: usize, work: impl Fn(usize, usize) + Sync) {
    let chunk = groups.div_ceil(TASKS_PER_THREAD * pool.threads()).max(1);
    pool.run(groups.div_ceil(chunk), |task| work(task * chunk, ((task + 1) * chunk).min(groups)));
}

/// Ranges of rows whose activations fit into the cache.
fn panels(rows: &[ActivationRow<'_>]) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
    let columns = rows.first().map_or(0, |row| row.values.len());
    let size = (CACHED_BYTES / columns.max(1)).next_multiple_of(TILE_ROWS).max(TILE_ROWS);
    let count = rows.len();
    (0..count).step_by(size).map(move |start| start..(start + size).min(count))
}
