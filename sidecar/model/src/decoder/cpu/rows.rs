//! Work on the rows of a batch, shared out over the threads.

use crate::config::Config;
use crate::kernel::activations::QuantizedActivations;
use crate::kernel::vector;
use crate::pool::{DisjointSlice, ThreadPool};

/// With fewer rows, sharing them out costs more than the work on them.
const FEW_ROWS: usize = 4;

/// Calls `work` for each row, on all threads if there are many.
pub(super) fn for_each_row(pool: &ThreadPool, rows: usize, work: impl Fn(usize) + Sync) {
    if rows < FEW_ROWS {
        (0..rows).for_each(work);
        return;
    }
    let chunk = rows.div_ceil(4 * pool.threads()).max(1);
    pool.run(rows.div_ceil(chunk), |task| {
        (task * chunk..((task + 1) * chunk).min(rows)).for_each(&work);
    });
}

/// out ← quantized norm(stream); without a norm, out ← quantized stream.
pub(super) fn norm_rows(
    pool: &ThreadPool,
    config: &Config,
    rows: usize,
    stream: &[f32],
    norm: Option<&[f32]>,
    out: &mut QuantizedActivations,
) {
    out.resize(rows, config.hidden_size);
    let writer = out.writer();
    for_each_row(pool, rows, |row| {
        #[allow(unsafe_code)]
        // SAFETY: each row belongs to one task.
        unsafe {
            let state = &stream[row * config.hidden_size..][..config.hidden_size];
            match norm {
                Some(norm) => {
                    vector::rms_norm(state, norm, config.norm_epsilon, writer.values(row));
                }
                None => writer.values(row).copy_from_slice(state),
            }
            writer.quantize(row);
        }
    });
}

/// Quantizes rows whose f32 values are filled.
pub(super) fn quantize_rows(pool: &ThreadPool, activations: &mut QuantizedActivations) {
    let rows = activations.rows;
    let writer = activations.writer();
    for_each_row(pool, rows, |row| {
        #[allow(unsafe_code)]
        // SAFETY: each row belongs to one task.
        unsafe {
            writer.quantize(row);
        }
    });
}

/// stream ← stream + scale · delta; with a norm, stream ← stream + scale · norm(delta).
pub(super) fn add_rows(
    pool: &ThreadPool,
    config: &Config,
    rows: usize,
    stream: &mut [f32],
    delta: &mut [f32],
    norm: Option<&[f32]>,
) {
    let (stream, delta) = (DisjointSlice::new(stream), DisjointSlice::new(delta));
    for_each_row(pool, rows, |row| {
        #[allow(unsafe_code)]
        // SAFETY: each row belongs to one task.
        let (stream, delta) = unsafe {
            (
                stream.slice_mut(row * config.hidden_size, config.hidden_size),
                delta.slice_mut(row * config.hidden_size, config.hidden_size),
            )
        };
        if let Some(norm) = norm {
            vector::rms_norm_in_place(delta, norm, config.norm_epsilon);
        }
        vector::add_scaled(stream, config.residual_scale, delta);
    });
}
