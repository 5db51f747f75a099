//! Matrices that some models store as one, row below row: queries, keys and values, gate and up,
//! and those of experts. They are taken apart in the list of tensors, so that nothing else knows of
//! them; but for gate and up that take turns, which are taken apart when they are read.

use super::files::TensorFile;
use crate::arch::split_block;
use crate::config::Config;
use crate::error::LoadError;
use crate::tensor::TensorInfo;
use std::collections::HashSet;

/// What the matrix `name` is made of, from above: names and rows. `None` where it is one matrix.
pub(super) fn parts(name: &str, config: &Config) -> Option<Vec<(String, usize)>> {
    let (block, part) = split_block(name)?;
    let (query, kv, inner) = (config.query_size(), config.kv_size(), config.feed_forward_size);
    let parts: &[(&str, usize)] = match part {
        "attn_qkv.weight" => &[("attn_q", query), ("attn_k", kv), ("attn_v", kv)],
        "ffn_gate_up.weight" => &[("ffn_gate", inner), ("ffn_up", inner)],
        _ => return of_experts(block, part, config),
    };
    let named = |(part, rows): &(&str, usize)| (format!("blk.{block}.{part}.weight"), *rows);
    Some(parts.iter().map(named).collect())
}

/// The same, of a matrix of all experts, or of their biases.
fn of_experts(block: &str, part: &str, config: &Config) -> Option<Vec<(String, usize)>> {
    let experts = config.experts.as_ref()?;
    let (part, kind) = part.split_once("_exps.")?;
    let inner = config.feed_forward_size;
    let parts: &[(&str, usize)] = match part {
        "ffn_gate" | "ffn_up" => &[(part, inner)],
        "ffn_down" => &[(part, config.hidden_size)],
        "ffn_gate_up" => &[("ffn_gate", inner), ("ffn_up", inner)],
        PAIRS => &[(PAIRS, 2 * inner)],
        _ => return None,
    };
    let of_expert = |expert: usize| {
        let named = move |&(part, rows): &(&str, usize)| {
            let rows = if kind == "bias" { 1 } else { rows };
            (format!("blk.{block}.{part}.{expert}.{kind}"), rows)
        };
        parts.iter().map(named)
    };
    Some((0..experts.count).flat_map(of_expert).collect())
}

/// The engine's name for a matrix of gate and up, row by row in turn.
const PAIRS: &str = "ffn_gate_up_pairs";

/// The names of gate and up whose rows, or values, stand in the tensor `name` in turn.
pub(crate) fn in_turn(name: &str) -> Option<[String; 2]> {
    let (block, part) = split_block(name)?;
    let rest = part.strip_prefix(PAIRS)?;
    Some(["ffn_gate", "ffn_up"].map(|part| format!("blk.{block}.{part}{rest}")))
}

/// Replaces each such matrix by its parts.
///
/// # Errors
/// It has other rows than its parts together, or a part is also there by itself.
pub(super) fn split(files: &mut [TensorFile], config: &Config) -> Result<(), LoadError> {
    for file in files.iter_mut() {
        let mut tensors = Vec::new();
        for (name, info) in file.tensors.drain(..) {
            match parts(&name, config) {
                None => tensors.push((name, info)),
                Some(parts) => tensors.extend(apart(&name, &info, parts)?),
            }
        }
        file.tensors = tensors;
    }
    let mut names = HashSet::new();
    let all = files.iter().flat_map(|file| &file.tensors);
    match all.map(|(name, _)| name).find(|name| !names.insert(name.as_str())) {
        None => Ok(()),
        Some(twice) => Err(LoadError::corrupt(format!(
            "tensor {twice} is there twice: by itself, and as a part of another"
        ))),
    }
}

fn apart(
    name: &str,
    info: &TensorInfo,
    parts: Vec<(String, usize)>,
) -> Result<Vec<(String, TensorInfo)>, LoadError> {
    let rows: usize = parts.iter().map(|(_, rows)| rows).sum();
    if info.rows != rows {
        return Err(LoadError::corrupt(format!(
            "tensor {name} has {} rows, and its parts have {rows} together",
            info.rows
        )));
    }
    let row_bytes = info.bytes / info.rows;
    let mut first = 0;
    let part = |(name, rows): (String, usize)| {
        let offset = info.offset.saturating_add((first * row_bytes) as u64);
        first += rows;
        (name, TensorInfo { rows, offset, bytes: rows * row_bytes, ..info.clone() })
    };
    Ok(parts.into_iter().map(part).collect())
}
