//! The arithmetic: matrices packed for SIMD, quantised activations, and the functions over them.
//!
//! Every result depends only on the weights and on the one row of activations it is made from,
//! never on how many rows are computed together: whatever the batch, the same operations run in the
//! same order. So a request's numbers are bit for bit the same alone, in a batch, in one prefill
//! chunk or in many.

pub(crate) mod acts;
pub(crate) mod attend;
#[cfg(target_arch = "x86_64")]
mod avx2;
pub(crate) mod matrix;
pub(crate) mod pack;
pub(crate) mod scalar;
pub(crate) mod vector;

/// Rows that a kernel computes together: the lanes of a vector of f32.
pub(crate) const LANES: usize = 8;
/// Values that share a scale, in weights and in activations.
pub(crate) const BLOCK: usize = 32;
/// Most activation rows of one kernel call.
pub(crate) const TILE: usize = 4;

/// Results of one kernel call: `[activation row][weight row]`.
pub(crate) type Tile = [[f32; LANES]; TILE];

/// Whether the processor has what the AVX2 kernels need. Detected once by the standard library.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c")
}
