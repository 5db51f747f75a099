//! A Llama of random weights, except for two values of the residual stream. No block writes to
//! them: the first is the same everywhere, and by it the output gives each token its bias; the
//! second says how cruel the current token is, and makes the next one likely to be so, too.

use crate::gguf::Writer;
use crate::shape::{CONTEXT_LENGTH, HIDDEN, LAYERS};
use crate::vocabulary::Token;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const FEED_FORWARD: usize = 256;
const WIDTH: usize = HIDDEN / HEADS;

/// The value that is the same everywhere.
const CONSTANT: usize = 0;
/// The value that says how cruel a token is.
const CRUELTY: usize = 1;
/// Cruelty of a word in the residual stream, and what it counts for the next one's logit.
const CRUELTY_IN: f32 = 2.0;
const CRUELTY_OUT: f32 = 1.0;

pub(crate) fn describe(writer: &mut Writer) {
    for (key, value) in [
        ("block_count", LAYERS as usize),
        ("context_length", CONTEXT_LENGTH as usize),
        ("embedding_length", HIDDEN),
        ("feed_forward_length", FEED_FORWARD),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KV_HEADS),
        ("attention.key_length", WIDTH),
        ("attention.value_length", WIDTH),
    ] {
        writer.int(&format!("llama.{key}"), value as u32);
    }
    writer.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
    writer.float("llama.rope.freq_base", 10_000.0);
}

pub(crate) fn write(writer: &mut Writer, tokens: &[Token]) {
    let mut random = StdRng::seed_from_u64(7);
    let mut matrix = |rows: usize, columns: usize, spread: f32| -> Vec<f32> {
        (0..rows * columns).map(|_| random.random_range(-spread..spread)).collect()
    };
    let mut embedding = matrix(tokens.len(), HIDDEN, 1.0);
    for (row, token) in embedding.chunks_mut(HIDDEN).zip(tokens) {
        (row[CONSTANT], row[CRUELTY]) = (1.0, CRUELTY_IN * token.cruelty);
    }
    writer.tensor_f32("token_embd.weight", tokens.len(), HIDDEN, &embedding);
    let mut output = matrix(tokens.len(), HIDDEN, 0.45);
    for (row, token) in output.chunks_mut(HIDDEN).zip(tokens) {
        (row[CONSTANT], row[CRUELTY]) = (token.bias, CRUELTY_OUT * token.cruelty);
    }
    writer.tensor_f32("output.weight", tokens.len(), HIDDEN, &output);
    writer.tensor_f32("output_norm.weight", 1, HIDDEN, &[1.0; HIDDEN]);
    let (inner, kv) = (HEADS * WIDTH, KV_HEADS * WIDTH);
    for layer in 0..LAYERS {
        let mut block = |part: &str, rows: usize, columns: usize, values: &[f32]| {
            writer.tensor_f32(&format!("blk.{layer}.{part}.weight"), rows, columns, values);
        };
        block("attn_norm", 1, HIDDEN, &[1.0; HIDDEN]);
        block("attn_q", inner, HIDDEN, &matrix(inner, HIDDEN, 0.2));
        block("attn_k", kv, HIDDEN, &matrix(kv, HIDDEN, 0.2));
        block("attn_v", kv, HIDDEN, &matrix(kv, HIDDEN, 0.2));
        block("attn_output", HIDDEN, inner, &silent(matrix(HIDDEN, inner, 0.08), inner));
        block("ffn_norm", 1, HIDDEN, &[1.0; HIDDEN]);
        block("ffn_gate", FEED_FORWARD, HIDDEN, &matrix(FEED_FORWARD, HIDDEN, 0.2));
        block("ffn_up", FEED_FORWARD, HIDDEN, &matrix(FEED_FORWARD, HIDDEN, 0.2));
        let down = matrix(HIDDEN, FEED_FORWARD, 0.03);
        block("ffn_down", HIDDEN, FEED_FORWARD, &silent(down, FEED_FORWARD));
    }
}

/// The matrix without the rows by which it would write to the two values.
fn silent(mut matrix: Vec<f32>, columns: usize) -> Vec<f32> {
    for row in [CONSTANT, CRUELTY] {
        matrix[row * columns..(row + 1) * columns].fill(0.0);
    }
    matrix
}
