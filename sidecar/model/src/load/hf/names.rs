//! Names of tensors in safetensors files, as GGUF has them.

use crate::arch::Architecture;
use crate::error::LoadError;
use crate::load::safetensors::Described;
use std::collections::HashMap;

/// What programs put in front of a model's names: compilers, wrappers for training, and models of
/// which text is a part.
const PREFIXES: [&str; 9] = [
    "_orig_mod.",
    "module.",
    "base_model.model.",
    "language_model.",
    "model.language_model.",
    "text_model.",
    "model.text_model.",
    "llm.",
    "model.llm.",
];

/// Tensors by GGUF's names.
pub(super) struct Names<'a> {
    architecture: &'a Architecture,
    /// Whether the output matrix is the embedding, even if the files hold another.
    is_tied: bool,
    layers: usize,
    /// What each tensor that was taken is called in its file.
    taken: HashMap<String, String>,
    /// Tensors that are not needed.
    passed_over: Vec<String>,
}

impl<'a> Names<'a> {
    pub(super) fn new(architecture: &'a Architecture, is_tied: bool, layers: usize) -> Self {
        Self { architecture, is_tied, layers, taken: HashMap::new(), passed_over: Vec::new() }
    }

    /// GGUF's name for a tensor; `None` for one that is not needed. A name in a block that is not
    /// known stays as it is, and is refused later: what it does cannot be left out.
    pub(super) fn choose(
        &mut self,
        name: &str,
        described: &Described<'_>,
    ) -> Result<Option<String>, LoadError> {
        let plain = without_prefix(name);
        if self.is_tied && plain == "lm_head.weight" {
            return Ok(None);
        }
        let Some(known) = self.known(&plain) else {
            if self.is_needless(&plain, described) {
                self.passed_over.push(name.to_owned());
                return Ok(None);
            }
            return Ok(Some(name.to_owned()));
        };
        if described.shape.contains(&0) {
            return Err(LoadError::corrupt(format!(
                "tensor {name} is empty, as when the parts of a model that was spread over \
                 several processes are not gathered before it is saved"
            )));
        }
        match self.taken.insert(known.clone(), name.to_owned()) {
            None => Ok(Some(known)),
            Some(other) => Err(LoadError::unsupported(format!(
                "tensors {other} and {name} are the same part of it: give the text model alone"
            ))),
        }
    }

    fn known(&self, plain: &str) -> Option<String> {
        match plain {
            "model.embed_tokens.weight" => Some("token_embd.weight".to_owned()),
            "model.norm.weight" => Some("output_norm.weight".to_owned()),
            "lm_head.weight" => Some("output.weight".to_owned()),
            _ if self.is_beyond(plain) => None,
            _ => block_tensor(plain, self.architecture),
        }
    }

    /// Whether the tensor is of a block that the model does not have, as further blocks that
    /// predict several tokens at once.
    fn is_beyond(&self, plain: &str) -> bool {
        let block = split_block(plain).and_then(|(block, _)| block.parse::<usize>().ok());
        block.is_some_and(|block| block >= self.layers)
    }

    /// Whether a tensor of no known name can be left out.
    fn is_needless(&self, plain: &str, described: &Described<'_>) -> bool {
        let is_buffer = plain.contains("rotary_emb.")
            || [".masked_bias", ".attn.bias", ".self_attn.bias"]
                .iter()
                .any(|end| plain.ends_with(end));
        let is_number =
            described.shape.iter().all(|&size| size <= 1) || described.shape.contains(&0);
        let is_integer = !described.dtype.contains('F');
        // What stands beside the tensors that are known takes part in what they do.
        let is_beside = ["model.layers.", "model.embed_tokens.", "model.norm.", "lm_head."]
            .iter()
            .any(|start| plain.starts_with(start));
        is_buffer || is_number || is_integer || !is_beside || self.is_beyond(plain)
    }

    /// Says what was passed over.
    pub(super) fn warn(&mut self) {
        self.passed_over.sort_unstable();
        if let Some(first) = self.passed_over.first() {
            tracing::warn!(
                tensors = self.passed_over.len(),
                first,
                "the folder holds tensors that the model does not need: they are passed over"
            );
        }
    }
}

/// The name that a tensor has in a model of text by itself.
fn without_prefix(name: &str) -> String {
    let mut rest = name;
    while let Some(inner) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = inner;
    }
    let rest = rest.replace("._orig_mod.", ".");
    match ["layers.", "embed_tokens.", "norm."].iter().any(|start| rest.starts_with(start)) {
        true => format!("model.{rest}"),
        false => rest,
    }
}

/// GGUF's name for a tensor of a block; `None` where the architecture has no such tensor.
pub(crate) fn block_tensor(name: &str, architecture: &Architecture) -> Option<String> {
    let (block, part) = split_block(name)?;
    let expert = part.split_once(".experts.").filter(|_| architecture.experts.is_some());
    let expert = expert.and_then(|(before, rest)| Some((before, rest.split_once('.')?)));
    let Some((before, (expert, part))) = expert else {
        return Some(format!("blk.{block}.{}", architecture.hf.block_tensor(part)?));
    };
    let expert: usize = expert.parse().ok()?;
    let engine = architecture.hf.block_tensor(&format!("{before}.{part}"))?;
    let (part, kind) = engine.split_once('.')?;
    Some(format!("blk.{block}.{part}.{expert}.{kind}"))
}

/// The number of the block that a tensor belongs to, and the rest of its name.
fn split_block(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("model.layers.")?.split_once('.')
}
