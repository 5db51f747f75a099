//! Folders in the layout of model hubs.

use crate::Table;
use crate::support::hf::{self, Dtype};
use crate::support::loading::{copy, folder_at, load_folder as load};
use crate::support::tensors::{add_tensor, change_tensors};
use crate::support::{Shape, tiny};
use personaguard_model::{LoadError, Model};
use serde_json::{Value, json};
use std::path::Path;

const SHARD: &str = "model-00001-of-00002.safetensors";
const SECOND: &str = "model-00002-of-00002.safetensors";
const INDEX: &str = "model.safetensors.index.json";

type Loaded = Result<Model, LoadError>;

/// Loads a small Llama with this file in its folder.
fn with(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> Loaded {
    folder_at(folder);
    std::fs::write(folder.join(name), content).unwrap();
    load(folder)
}

/// Loads a small model of this shape, in two shards.
fn shape(folder: &Path, shape: &Shape, dtype: Dtype) -> Loaded {
    let made = hf::folder(&mut tiny(shape, 19), dtype, 2);
    copy(made.path(), folder);
    load(folder)
}

/// Loads it without these files.
fn without(folder: &Path, names: &[&str]) -> Loaded {
    folder_at(folder);
    names.iter().for_each(|name| std::fs::remove_file(folder.join(name)).unwrap());
    load(folder)
}

/// Loads it with a file of this name in place of its weights.
fn in_place_of_weights(folder: &Path, name: &str) -> Loaded {
    folder_at(folder);
    for weights in [INDEX, SHARD, SECOND] {
        std::fs::remove_file(folder.join(weights)).unwrap();
    }
    std::fs::write(folder.join(name), "").unwrap();
    load(folder)
}

/// Loads it with a file changed.
fn changed(folder: &Path, name: &str, change: impl FnOnce(String) -> Vec<u8>) -> Loaded {
    folder_at(folder);
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    std::fs::write(folder.join(name), change(text)).unwrap();
    load(folder)
}

/// Loads it with a setting, or without it.
fn setting(folder: &Path, key: &str, value: Option<Value>) -> Loaded {
    changed(folder, "config.json", |text| {
        let mut config: Value = serde_json::from_str(&text).unwrap();
        match value {
            Some(value) => config[key] = value,
            None => drop(config.as_object_mut().unwrap().remove(key).unwrap()),
        }
        config.to_string().into_bytes()
    })
}

/// Loads it with the tokenizer changed.
fn tokenizer(folder: &Path, change: impl FnOnce(&mut Value)) -> Loaded {
    let mut tokenizer = hf::byte_tokenizer();
    change(&mut tokenizer);
    with(folder, "tokenizer.json", tokenizer.to_string())
}

/// Loads it with a tensor more.
fn tensor(folder: &Path, name: &str, dtype: &str, shape: &Value) -> Loaded {
    folder_at(folder);
    add_tensor(folder, name, dtype, shape);
    load(folder)
}

/// Loads it with what is said of the last norm changed.
fn norm(folder: &Path, change: impl Fn(&mut Value)) -> Loaded {
    folder_at(folder);
    change_tensors(folder, |name, mut value| {
        if name == "model.norm.weight" {
            change(&mut value);
        }
        Some((name.to_owned(), value))
    });
    load(folder)
}

fn header(text: &str) -> Vec<u8> {
    [(text.len() as u64).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

fn utf16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";

pub const TABLE: Table = &[
    ("two_shards", |folder| {
        folder_at(folder);
        load(folder)
    }),
    ("half_precision", |folder| {
        let made = hf::folder(&mut tiny(&Shape::of("llama"), 1), Dtype::Bf16, 1);
        copy(made.path(), folder);
        load(folder)
    }),
    ("mixtral", |folder| shape(folder, &Shape::of("mixtral"), Dtype::Bf16)),
    ("qwen2_moe", |folder| shape(folder, &Shape::of("qwen2moe"), Dtype::Bf16)),
    ("gpt_oss", |folder| {
        shape(folder, &Shape { mxfp4: true, ..Shape::of("gpt-oss") }, Dtype::Bf16)
    }),
    ("gpt_oss_in_half_precision", |folder| shape(folder, &Shape::of("gpt-oss"), Dtype::Bf16)),
    ("names_behind_a_prefix", |folder| {
        folder_at(folder);
        change_tensors(folder, |name, value| Some((format!("_orig_mod.{name}"), value)));
        load(folder)
    }),
    ("json_as_python_writes_it", |folder| {
        changed(folder, "config.json", |text| {
            let rest = text.strip_prefix('{').unwrap();
            format!("\u{feff}{{\"limit\": [Infinity, NaN], {rest}").into_bytes()
        })
    }),
    ("text_model_of_a_larger_one", |folder| {
        let made = hf::folder(&mut tiny(&Shape::of("gemma3"), 1), Dtype::F32, 1);
        copy(made.path(), folder);
        let text = std::fs::read(folder.join("config.json")).unwrap();
        let text: Value = serde_json::from_slice(&text).unwrap();
        hf::write(folder, "config.json", &json!({"model_type": "gemma3", "text_config": text}));
        load(folder)
    }),
    ("buffers_of_rope", |folder| {
        tensor(folder, "model.layers.0.self_attn.rotary_emb.inv_freq", "F32", &json!([8]))
    }),
    ("blocks_beyond_the_last", |folder| {
        tensor(folder, "model.layers.9.self_attn.q_proj.weight", "F32", &json!([2, 2]))
    }),
    ("tokens_that_the_weights_lack", |folder| {
        tokenizer(folder, |json| {
            let more = json!({"id": 100_001, "content": "<|more|>", "special": true});
            json["added_tokens"].as_array_mut().unwrap().push(more);
        })
    }),
    ("one_shard", |folder| {
        folder_at(folder);
        load(&folder.join(SHARD))
    }),
    ("lfs_pointer_for_weights", |folder| with(folder, SHARD, POINTER)),
    ("lfs_pointer_for_the_tokenizer", |folder| with(folder, "tokenizer.json", POINTER)),
    ("web_page_for_the_config", |folder| with(folder, "config.json", "<html lang=en>")),
    ("no_config", |folder| without(folder, &["config.json"])),
    ("no_tokenizer", |folder| without(folder, &["tokenizer.json"])),
    ("no_second_shard", |folder| without(folder, &[SECOND])),
    ("no_index", |folder| without(folder, &[INDEX])),
    ("no_weights", |folder| without(folder, &[INDEX, SHARD, SECOND])),
    ("pytorch_checkpoint", |folder| in_place_of_weights(folder, "pytorch_model.bin")),
    ("gguf_in_a_folder", |folder| in_place_of_weights(folder, "model.gguf")),
    ("index_that_leads_out", |folder| {
        with(folder, INDEX, r#"{"weight_map": {"a": "../x.safetensors"}}"#)
    }),
    ("empty_config", |folder| with(folder, "config.json", "")),
    ("cut_config", |folder| with(folder, "config.json", r#"{"model_type": "llama","#)),
    ("config_with_a_comment", |folder| {
        with(folder, "config.json", "{\"model_type\": \"llama\" // a comment\n}")
    }),
    ("config_in_utf16", |folder| changed(folder, "config.json", |text| utf16(&text))),
    ("no_model_type", |folder| setting(folder, "model_type", None)),
    ("other_model_type", |folder| setting(folder, "model_type", Some(json!("t5")))),
    ("quantised_for_another_program", |folder| {
        setting(folder, "quantization_config", Some(json!({"quant_method": "gptq"})))
    }),
    ("no_hidden_size", |folder| setting(folder, "hidden_size", None)),
    ("hidden_size_as_text", |folder| setting(folder, "hidden_size", Some(json!("64")))),
    ("epsilon_that_is_no_number", |folder| {
        changed(folder, "config.json", |text| {
            let rest = text.strip_suffix('}').unwrap();
            format!("{rest}, \"rms_norm_eps\": NaN}}").into_bytes()
        })
    }),
    ("other_activation", |folder| setting(folder, "hidden_act", Some(json!("relu2")))),
    ("dynamic_scaling", |folder| {
        setting(folder, "rope_scaling", Some(json!({"rope_type": "dynamic", "factor": 2.0})))
    }),
    ("scaling_without_factor", |folder| {
        setting(folder, "rope_scaling", Some(json!({"rope_type": "linear"})))
    }),
    ("unusual_layer_types", |folder| {
        setting(folder, "layer_types", Some(json!(vec!["linear_attention"; 3])))
    }),
    ("cut_weights", |folder| {
        folder_at(folder);
        let whole = std::fs::read(folder.join(SHARD)).unwrap();
        std::fs::write(folder.join(SHARD), &whole[..whole.len() - 4]).unwrap();
        load(folder)
    }),
    ("cut_header", |folder| with(folder, SHARD, &header(&"x".repeat(40))[..30])),
    ("weights_of_four_bytes", |folder| with(folder, SHARD, b"\x10\0\0\0")),
    ("no_safetensors", |folder| with(folder, SHARD, "not a tensor in it")),
    ("header_that_is_not_json", |folder| with(folder, SHARD, header("[]"))),
    ("eight_bit_floats", |folder| norm(folder, |tensor| tensor["dtype"] = json!("F8_E4M3"))),
    ("three_dimensions", |folder| norm(folder, |tensor| tensor["shape"] = json!([4, 4, 4]))),
    ("shape_that_contradicts", |folder| norm(folder, |tensor| tensor["shape"] = json!([32]))),
    ("empty_norm", |folder| {
        norm(folder, |tensor| {
            tensor["shape"] = json!([0]);
            tensor["data_offsets"] = json!([0, 0]);
        })
    }),
    ("no_norm", |folder| {
        folder_at(folder);
        change_tensors(folder, |name, value| {
            (name != "model.norm.weight").then(|| (name.to_owned(), value))
        });
        load(folder)
    }),
    ("wrong_shape", |folder| setting(folder, "intermediate_size", Some(json!(128)))),
    ("same_part_twice", |folder| {
        tensor(folder, "language_model.model.norm.weight", "F32", &json!([64]))
    }),
    ("bias_of_unknown_use", |folder| {
        tensor(folder, "model.layers.0.self_attn.g_proj.bias", "F32", &json!([96]))
    }),
    ("not_a_number_in_weights", |folder| {
        let mut tiny = tiny(&Shape::of("llama"), 3);
        tiny.tensors.get_mut("blk.0.ffn_down.weight").unwrap()[7] = f32::NAN;
        copy(hf::folder(&mut tiny, Dtype::F32, 1).path(), folder);
        load(folder)
    }),
    ("unigram_tokenizer", |folder| {
        tokenizer(folder, |json| json["model"]["type"] = json!("Unigram"))
    }),
    ("tokenizer_of_words", |folder| {
        tokenizer(folder, |json| {
            json["pre_tokenizer"] = json!({"type": "Whitespace"});
            json["decoder"] = Value::Null;
        })
    }),
    ("tokenizer_without_vocabulary", |folder| {
        tokenizer(folder, |json| drop(json["model"].as_object_mut().unwrap().remove("vocab")))
    }),
    ("malformed_added_tokens", |folder| {
        tokenizer(folder, |json| json["added_tokens"][0]["lstrip"] = json!("yes"))
    }),
    ("unknown_normalizer", |folder| {
        tokenizer(folder, |json| json["normalizer"] = json!({"type": "Reverse"}))
    }),
];
