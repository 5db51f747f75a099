//! The arithmetic: matrices packed for SIMD, quantized activations, and functions over them.
//!
//! A result depends only on the weights and on the one row of activations that it is computed from,
//! never on how many rows are computed together: the same operations run in the same order whatever
//! the batch. A request's numbers are therefore bit for bit the same alone or in a batch, in one
//! prefill chunk or in many.

pub(crate) mod activations;
pub(crate) mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod cpu;
pub(crate) mod format;
pub(crate) mod layout;
pub(crate) mod matrix;
pub(crate) mod pack;
mod quantize;
mod scalar;
#[cfg(test)]
mod testing;
pub(crate) mod vector;
