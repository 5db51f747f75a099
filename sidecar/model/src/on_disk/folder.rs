//! A folder as model hubs have it: `config.json`, `tokenizer.json` and safetensors, in one file or
//! several.

use super::{Kind, OnDisk, safetensors};
use crate::config::Config;
use crate::model::LoadError;
use crate::tokenizer::Tokenizer;
use crate::tokenizer::hub::Files;
use crate::weights::{Sha, Source};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Longest file that is read whole.
const MAX_BYTES: u64 = 256 << 20;
/// Most files of weights.
const MAX_SHARDS: usize = 1 << 12;

const INDEX: &str = "model.safetensors.index.json";
const WHOLE: &str = "model.safetensors";

/// Small files that were read, with their digests.
struct Folder<'a> {
    path: &'a Path,
    read: BTreeMap<String, Sha>,
}

impl Folder<'_> {
    fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, LoadError> {
        let file = match File::open(self.path.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LoadError::Io { path: self.path.join(name), source }),
        };
        let mut bytes = Vec::new();
        let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|source| LoadError::Io { path: self.path.join(name), source })?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(LoadError::Unsupported { what: format!("{name} is longer than 256 MiB") });
        }
        self.read.insert(name.to_owned(), Sha256::digest(&bytes).into());
        Ok(Some(bytes))
    }

    fn json(&mut self, name: &str) -> Result<Option<Value>, LoadError> {
        let parse = |bytes: Vec<u8>| {
            serde_json::from_slice(&bytes)
                .map_err(|error| LoadError::Corrupt { what: format!("{name} is no JSON: {error}") })
        };
        self.bytes(name)?.map(parse).transpose()
    }

    fn required<T>(&self, name: &str, found: Option<T>) -> Result<T, LoadError> {
        found.ok_or_else(|| LoadError::Unsupported {
            what: format!(
                "{} holds no {name}; give a GGUF file, or a folder with config.json, tokenizer.json and {WHOLE}",
                self.path.display()
            ),
        })
    }

    /// Names of the files with weights.
    fn shards(&mut self) -> Result<BTreeSet<String>, LoadError> {
        if self.path.join(WHOLE).exists() {
            return Ok([WHOLE.to_owned()].into());
        }
        let index = self.json(INDEX)?;
        let index = self.required(WHOLE, index)?;
        let names: BTreeSet<String> = index
            .get("weight_map")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|map| map.values().filter_map(Value::as_str).map(str::to_owned))
            .collect();
        // The folder is anybody's: no name leads out of it.
        let plain = |name: &String| name.ends_with(".safetensors") && !name.contains(['/', '\\']);
        match names.is_empty() || names.len() > MAX_SHARDS || !names.iter().all(plain) {
            true => {
                Err(LoadError::Corrupt { what: format!("{INDEX} names no files of this folder") })
            }
            false => Ok(names),
        }
    }
}

pub(super) fn open(path: &Path) -> Result<OnDisk, LoadError> {
    let mut folder = Folder { path, read: BTreeMap::new() };
    let json = folder.json("config.json")?;
    let json = folder.required("config.json", json)?;
    let config = Config::from_hub(&json)?;
    let (gemma, tied) = (config.norm_offset != 0.0, Config::hub_is_tied(&json));
    let mut sources = Vec::new();
    let shards = folder.shards()?;
    for name in &shards {
        let io = |source| LoadError::Io { path: path.join(name), source };
        let mut file = File::open(path.join(name)).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let found = safetensors::read(&mut BufReader::new(&mut file), length, name)?;
        let tensors = found
            .into_iter()
            .filter_map(|(name, info)| Some((translate(&name, gemma, tied)?, info)));
        sources.push(Source { tensors: tensors.collect(), file });
    }
    let tokenizer = folder.bytes("tokenizer.json")?;
    let files = Files {
        tokenizer: folder.required("tokenizer.json", tokenizer)?,
        config: folder.json("tokenizer_config.json")?.unwrap_or_default(),
        generation: folder.json("generation_config.json")?.unwrap_or_default(),
        model: json,
    };
    let template = match folder.bytes("chat_template.jinja")? {
        Some(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        None => files.template(),
    };
    let vocabulary =
        files.model.get("vocab_size").and_then(Value::as_u64).unwrap_or(u64::from(u32::MAX));
    Ok(OnDisk {
        config,
        sources,
        name: path
            .canonicalize()
            .ok()
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned())),
        template,
        tokenizer: Box::new(move || {
            Tokenizer::from_hub(&files, usize::try_from(vocabulary).unwrap_or(usize::MAX))
        }),
        kind: Kind::Folder { weights: shards.into_iter().collect(), others: folder.read },
    })
}

/// A tensor's name as GGUF has it; `None` for what is not needed. Names that are not known stay, to
/// be complained of.
pub(super) fn translate(name: &str, gemma: bool, tied: bool) -> Option<String> {
    let known = match name {
        "model.embed_tokens.weight" => "token_embd.weight",
        "model.norm.weight" => "output_norm.weight",
        "lm_head.weight" if tied => return None,
        "lm_head.weight" => "output.weight",
        _ => "",
    };
    if !known.is_empty() {
        return Some(known.to_owned());
    }
    let unknown = || Some(name.to_owned());
    let Some((index, part)) =
        name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.'))
    else {
        return unknown();
    };
    let Some((part, kind)) = part.rsplit_once('.') else { return unknown() };
    let part = match (part, kind) {
        ("self_attn.rotary_emb", "inv_freq") => return None,
        ("self_attn.q_proj", "weight" | "bias") => "attn_q",
        ("self_attn.k_proj", "weight" | "bias") => "attn_k",
        ("self_attn.v_proj", "weight" | "bias") => "attn_v",
        ("self_attn.o_proj", "weight") => "attn_output",
        ("self_attn.q_norm", "weight") => "attn_q_norm",
        ("self_attn.k_norm", "weight") => "attn_k_norm",
        ("input_layernorm", "weight") => "attn_norm",
        ("post_attention_layernorm", "weight") if gemma => "post_attention_norm",
        ("post_attention_layernorm", "weight") => "ffn_norm",
        ("pre_feedforward_layernorm", "weight") => "ffn_norm",
        ("post_feedforward_layernorm", "weight") => "post_ffw_norm",
        ("mlp.gate_proj", "weight") => "ffn_gate",
        ("mlp.up_proj", "weight") => "ffn_up",
        ("mlp.down_proj", "weight") => "ffn_down",
        _ => return unknown(),
    };
    Some(format!("blk.{index}.{part}.{kind}"))
}
