//! GGUF files.

use crate::Table;
use crate::support::gguf::Writer;
use crate::support::loading::load_folder as load;
use crate::support::{Shape, Stored, VOCABULARY, tiny, tiny_with};
use personaguard_model::{LoadError, Model};
use std::path::Path;

/// Loads a file of these bytes.
fn bytes(folder: &Path, bytes: &[u8]) -> Result<Model, LoadError> {
    let file = folder.join("model.gguf");
    std::fs::write(&file, bytes).unwrap();
    load(&file)
}

/// Loads a small Llama with further entries in its header. Of two for one key, the later counts.
fn with(folder: &Path, more: impl FnOnce(&mut Writer)) -> Result<Model, LoadError> {
    bytes(folder, &tiny_with(&Shape::of("llama"), 19, more).file)
}

/// Loads a small model of this shape.
fn shape(folder: &Path, shape: &Shape) -> Result<Model, LoadError> {
    bytes(folder, &tiny(shape, 19).file)
}

/// Loads a small OLMo 3 that says which blocks have a window.
fn windows(folder: &Path, windowed: &[u8]) -> Result<Model, LoadError> {
    let olmo = tiny_with(&Shape::of("olmo2"), 19, |writer| {
        writer.int("olmo2.attention.sliding_window", 5);
        writer.bools("olmo2.attention.sliding_window_pattern", windowed);
    });
    bytes(folder, &olmo.file)
}

fn whole() -> Vec<u8> {
    tiny(&Shape::of("llama"), 19).file
}

/// The same with these bytes at a place.
fn patched(at: usize, patch: &[u8]) -> Vec<u8> {
    let mut file = whole();
    file[at..at + patch.len()].copy_from_slice(patch);
    file
}

/// A value that counts as none, since it is of another type.
fn drop_text(writer: &mut Writer, key: &str) {
    writer.int(key, 0);
}

pub const TABLE: Table = &[
    ("llama", |folder| bytes(folder, &whole())),
    ("whole_numbers_as_decimals", |folder| {
        with(folder, |writer| {
            writer.float("llama.block_count", 3.0);
            writer.int("llama.rope.freq_base", 50_000);
        })
    }),
    ("same_number_for_each_block", |folder| {
        with(folder, |writer| writer.ints("llama.attention.head_count_kv", &[2, 2, 2]))
    }),
    ("old_name_of_linear_scaling", |folder| {
        with(folder, |writer| writer.float("llama.rope.scale_linear", 4.0))
    }),
    ("no_template", |folder| with(folder, |writer| drop_text(writer, "tokenizer.chat_template"))),
    ("more_tokens_than_rows", |folder| with(folder, |w| w.byte_tokenizer(VOCABULARY + 10))),
    ("fewer_tokens_than_rows", |folder| with(folder, |w| w.byte_tokenizer(VOCABULARY - 2))),
    ("control_tokens_that_are_called_normal", |folder| {
        with(folder, |w| {
            let printable = (33..=126_u32).chain(161..=172).chain(174..=255).chain(256..=323);
            let bytes = printable.filter_map(char::from_u32).map(String::from);
            let control = ["<|im_end|>", "<|im_start|>", "<|a|>", "<|b|>"].map(String::from);
            w.texts("tokenizer.ggml.tokens", &bytes.chain(control).collect::<Vec<_>>());
            w.ints("tokenizer.ggml.token_type", &[1; VOCABULARY]);
        })
    }),
    ("no_pre_tokenizer", |folder| with(folder, |w| drop_text(w, "tokenizer.ggml.pre"))),
    ("nothing", |folder| load(&folder.join("model.gguf"))),
    ("lfs_pointer", |folder| {
        bytes(folder, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    }),
    ("web_page", |folder| bytes(folder, b"\n<!DOCTYPE html><html>")),
    ("xml", |folder| bytes(folder, b"<?xml version='1.0'?><Error>")),
    ("zip", |folder| bytes(folder, b"PK\x03\x04....")),
    ("pickle", |folder| bytes(folder, b"\x80\x02}q")),
    ("gzip", |folder| bytes(folder, b"\x1f\x8b\x08")),
    ("ggjt", |folder| bytes(folder, b"tjgg\x03\0\0\0")),
    ("json", |folder| bytes(folder, b"{\"error\": \"not found\"}")),
    ("safetensors", |folder| bytes(folder, b"\x10\0\0\0\0\0\0\0{\"a\":")),
    ("text", |folder| bytes(folder, b"something")),
    ("empty", |folder| bytes(folder, b"")),
    ("zeros", |folder| bytes(folder, &[0; 4096])),
    ("cut_in_magic", |folder| bytes(folder, &whole()[..3])),
    ("cut_in_header", |folder| bytes(folder, &whole()[..300])),
    ("cut_in_tensors", |folder| {
        let file = whole();
        bytes(folder, &file[..file.len() - 40])
    }),
    ("big_endian", |folder| bytes(folder, &patched(4, &[0, 0, 0, 3]))),
    ("version_1", |folder| bytes(folder, &patched(4, &[1, 0, 0, 0]))),
    ("too_many_tensors", |folder| bytes(folder, &patched(8, &u64::MAX.to_le_bytes()))),
    ("odd_alignment", |folder| with(folder, |w| w.int("general.alignment", 33))),
    ("part_of_a_split_model", |folder| with(folder, |w| w.int("split.count", 2))),
    ("no_architecture", |folder| with(folder, |w| drop_text(w, "general.architecture"))),
    ("other_architecture", |folder| with(folder, |w| w.text("general.architecture", "t5"))),
    ("projector", |folder| with(folder, |w| w.text("general.architecture", "clip"))),
    ("experts", |folder| {
        let qwen = tiny_with(&Shape::of("qwen3"), 19, |w| w.int("qwen3.expert_count", 8));
        bytes(folder, &qwen.file)
    }),
    ("mixtral", |folder| shape(folder, &Shape::of("mixtral"))),
    ("experts_apart", |folder| {
        shape(folder, &Shape { stored: Stored::ExpertsApart, ..Shape::of("mixtral") })
    }),
    ("gate_and_up_of_experts", |folder| {
        shape(folder, &Shape { stored: Stored::ExpertsTogether, ..Shape::of("qwen3moe") })
    }),
    ("gpt_oss", |folder| shape(folder, &Shape { mxfp4: true, ..Shape::of("gpt-oss") })),
    ("further_biases", |folder| {
        shape(folder, &Shape { biases: true, further_biases: true, ..Shape::of("llama") })
    }),
    ("list_of_windows", |folder| windows(folder, &[1, 1, 0])),
    ("unusual_list_of_windows", |folder| windows(folder, &[0, 1, 1])),
    ("granite_without_rope", |folder| {
        let more = |w: &mut Writer| w.int("granite.rope.scaling.finetuned", 0);
        bytes(folder, &tiny_with(&Shape::of("granite"), 19, more).file)
    }),
    ("experts_by_sigmoid", |folder| {
        let more = |w: &mut Writer| w.int("qwen3moe.expert_gating_func", 2);
        bytes(folder, &tiny_with(&Shape::of("qwen3moe"), 19, more).file)
    }),
    ("gemma_3n", |folder| {
        with(folder, |w| {
            w.text("general.architecture", "gemma3n");
            for key in [
                "altup.num_inputs",
                "embedding_length_per_layer_input",
                "attention.shared_kv_layers",
            ] {
                w.int(&format!("gemma3n.{key}"), 4);
            }
        })
    }),
    ("scale_that_is_no_number", |folder| {
        let shape = Shape { mxfp4: true, ..Shape::of("gpt-oss") };
        let mut file = tiny(&shape, 19).file;
        // The last tensor that is written is of the last block.
        let of_block = 17 * 2;
        let part = file
            .windows(of_block)
            .rposition(|blocks| [0, 17].iter().all(|&at| (121..=123).contains(&blocks[at])));
        file[part.unwrap()] = 255;
        bytes(folder, &file)
    }),
    ("latent_attention", |folder| with(folder, |w| w.int("llama.attention.key_length_mla", 192))),
    ("no_block_count", |folder| with(folder, |w| w.text("llama.block_count", "three"))),
    ("no_blocks", |folder| with(folder, |w| w.int("llama.block_count", 0))),
    ("more_blocks_than_tensors", |folder| with(folder, |w| w.int("llama.block_count", 4))),
    ("blocks_that_differ", |folder| {
        with(folder, |w| w.ints("llama.attention.head_count_kv", &[2, 4, 2]))
    }),
    ("odd_heads", |folder| {
        with(folder, |w| {
            w.int("llama.attention.key_length", 20);
            w.int("llama.attention.value_length", 20);
        })
    }),
    ("keys_wider_than_values", |folder| with(folder, |w| w.int("llama.attention.key_length", 32))),
    ("dynamic_scaling", |folder| with(folder, |w| w.text("llama.rope.scaling.type", "dynamic"))),
    ("wrong_shape", |folder| with(folder, |w| w.int("llama.feed_forward_length", 128))),
    ("tensor_of_unknown_use", |folder| {
        with(folder, |w| w.tensor_f32("blk.0.ffn_up.scale", 1, 96, &[0.0; 96]))
    }),
    ("tensor_twice", |folder| {
        with(folder, |w| w.tensor_f32("output_norm.weight", 1, 64, &[1.0; 64]))
    }),
    ("quantised_to_two_bits", |folder| {
        with(folder, |w| w.tensor("blk.0.ffn_up.weight", 96, 256, 16, &[0; 96 * 66]))
    }),
    ("not_a_number_in_weights", |folder| {
        let mut file = whole();
        let last = file.len() - 4;
        file[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        bytes(folder, &file)
    }),
    ("unknown_pre_tokenizer", |folder| {
        with(folder, |w| w.text("tokenizer.ggml.pre", "deepseek-v3"))
    }),
    ("other_tokenizer", |folder| with(folder, |w| w.text("tokenizer.ggml.model", "bert"))),
    ("no_tokens", |folder| with(folder, |w| drop_text(w, "tokenizer.ggml.tokens"))),
];
