//! Names of tensors in safetensors files, as GGUF has them.

use crate::arch::Architecture;

/// GGUF's name for a tensor; `None` for one that is not needed. A name that is not known stays as
/// it is, and is refused later.
pub(super) fn gguf_name(name: &str, architecture: &Architecture, is_tied: bool) -> Option<String> {
    let known = match name {
        "model.embed_tokens.weight" => "token_embd.weight",
        "model.norm.weight" => "output_norm.weight",
        "lm_head.weight" if is_tied => return None,
        "lm_head.weight" => "output.weight",
        _ => match split_block(name) {
            Some((_, "self_attn.rotary_emb.inv_freq")) => return None,
            _ => return Some(block_tensor(name, architecture).unwrap_or_else(|| name.to_owned())),
        },
    };
    Some(known.to_owned())
}

/// GGUF's name for a tensor of a block; `None` where the architecture has no such tensor.
pub(crate) fn block_tensor(name: &str, architecture: &Architecture) -> Option<String> {
    let (block, part) = split_block(name)?;
    Some(format!("blk.{block}.{}", architecture.hf.block_tensor(part)?))
}

/// The number of the block that a tensor belongs to, and the rest of its name.
fn split_block(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("model.layers.")?.split_once('.')
}
