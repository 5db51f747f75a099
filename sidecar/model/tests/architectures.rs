//! Architectures: what is special about some of them, and what is named of those that are not
//! supported. That each agrees with the reference is tested with the engine.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(
    unreachable_pub,
    dead_code,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod support;

use personaguard_model::{
    Engine, EngineOptions, Event, GenerateRequest, LoadError, LoadOptions, Model, Tap,
};
use serde_json::{Value, json};
use std::sync::Arc;
use support::agree::{agrees, tokens, vector};
use support::hf::{self, Dtype};
use support::loading::{load, refused as refused_folder};
use support::tensors::change_tensors;
use support::{BASE, LONG_ROPE_CONTEXT, LongRope, Shape, Stored, Tiny, gguf, tiny, tiny_with};

/// Also in a folder, and only where no context may be longer.
#[tokio::test]
async fn item_19_longrope_has_other_factors_where_contexts_are_as_in_training() {
    let shape = Shape { long_rope: Some(LongRope::Short), ..Shape::of("phi3") };
    let mut tiny = tiny(&shape, 41);
    let folder = hf::folder(&mut tiny, Dtype::F32, 2);
    let context = LONG_ROPE_CONTEXT as usize;
    let with = |context| LoadOptions {
        threads: Some(2),
        context_length: Some(context),
        ..LoadOptions::default()
    };
    let start = |model: Model| Engine::start(Arc::new(model), EngineOptions::default()).unwrap();
    agrees(&tiny, &start(load(&tiny.file, &with(context)).unwrap()), 1e-4).await;
    agrees(&tiny, &start(Model::load(folder.path(), &with(context)).unwrap()), 1e-4).await;
    tiny.shape.long_rope = Some(LongRope::Long);
    agrees(&tiny, &start(load(&tiny.file, &with(context + 1)).unwrap()), 1e-4).await;
}

#[test]
fn features_that_are_not_supported_are_named() {
    let refused =
        |writer: gguf::Writer, with: &str| match load(&writer.finish(), &LoadOptions::default()) {
            Err(LoadError::Unsupported { what }) => assert!(what.contains(with), "{what}"),
            other => panic!("{with}: {other:?}"),
        };
    let architecture = |name: &str| {
        let mut writer = gguf::Writer::default();
        writer.text("general.architecture", name);
        writer
    };
    refused(architecture("mamba"), "architecture mamba; supported are llama, ");
    for (kind, name) in [(16, "IQ2_XXS"), (29, "IQ1_M"), (40, "NVFP4"), (200, "type 200")] {
        let mut writer = architecture("llama");
        writer.tensor("blk.0.attn_q.weight", 2, 256, kind, &[0; 256]);
        refused(writer, name);
    }
    for (key, name) in [
        ("expert_count", "mixture of experts"),
        ("attention.key_length_mla", "latent attention"),
        ("rope.scaling.yarn_log_multiplier", "YaRN"),
    ] {
        let mut writer = architecture("qwen3");
        writer.int(&format!("qwen3.{key}"), 8);
        refused(writer, name);
    }
    let mut writer = architecture("llama");
    writer.text("llama.rope.scaling.type", "dynamic");
    for key in [
        "embedding_length",
        "attention.head_count",
        "block_count",
        "feed_forward_length",
        "context_length",
    ] {
        writer.int(&format!("llama.{key}"), if key == "embedding_length" { 64 } else { 8 });
    }
    refused(writer, "rotary scaling of type dynamic");
    let mut writer = architecture("llama");
    writer.int("split.count", 3);
    refused(writer, "one of 3 files");
}

/// The error for a GGUF file of this architecture with further entries.
fn with_entries(architecture: &'static str, more: impl FnOnce(&mut gguf::Writer)) -> String {
    let tiny = tiny_with(&Shape::of(architecture), 19, more);
    load(&tiny.file, &LoadOptions::default()).unwrap_err().to_string()
}

#[test]
fn item_19_what_an_unknown_architecture_needs_is_named() {
    let gguf = |name: &str, keys: &[&str]| {
        let mut writer = gguf::Writer::default();
        writer.text("general.architecture", name);
        keys.iter().for_each(|key| writer.int(&format!("{name}.{key}"), 8));
        load(&writer.finish(), &LoadOptions::default()).unwrap_err().to_string()
    };
    for (name, keys, says) in [
        ("dbrx", &["expert_count"][..], "architecture dbrx with a mixture of experts;"),
        ("mamba2", &["ssm.state_size"], "mamba2 with state-space or convolution layers;"),
        (
            "gemma3n",
            &["altup.num_inputs", "embedding_length_per_layer_input", "attention.shared_kv_layers"],
            "gemma3n with inputs to each layer and several residual streams (AltUp) and keys and \
             values that blocks share;",
        ),
        (
            "deepseek2",
            &["expert_count", "attention.kv_lora_rank"],
            "deepseek2 with a mixture of experts and latent attention;",
        ),
        ("other", &[], "architecture other; supported are llama, mistral, "),
    ] {
        let error = gguf(name, keys);
        assert!(error.contains(says) && error.contains("; supported are "), "{error}");
    }
    let hub = |config: Value, says: &str| {
        let folder = hf::folder(&mut tiny(&Shape::of("llama"), 19), Dtype::F32, 1);
        hf::write(folder.path(), "config.json", &config);
        refused_folder(folder.path(), says);
    };
    for (name, key, part) in [
        ("llama4_text", "num_local_experts", "a mixture of experts"),
        ("phimoe", "num_local_experts", "a mixture of experts"),
        ("glm4_moe", "n_routed_experts", "a mixture of experts"),
        ("deepseek_v3", "n_routed_experts", "a mixture of experts"),
        ("gemma3n_text", "altup_num_inputs", "several residual streams (AltUp)"),
        ("falcon_h1", "mamba_d_state", "state-space or convolution layers"),
        ("t5", "is_encoder_decoder", "an encoder"),
    ] {
        let says = format!("model type {name} with {part}; supported are llama, ");
        let mut config = json!({"model_type": name});
        config[key] = if key.starts_with("is_") { json!(true) } else { json!(8) };
        hub(config.clone(), &says);
        hub(json!({"model_type": name, "text_config": config}), &says);
    }
    hub(
        json!({"model_type": "granitemoehybrid", "num_local_experts": 62}),
        "model type granitemoehybrid with a mixture of experts",
    );
}

#[test]
fn item_19_matrices_stored_as_one_are_checked_before_they_are_taken_apart() {
    let error = with_entries("phi3", |writer| {
        writer.tensor_f32("blk.0.attn_k.weight", 32, 64, &[0.0; 32 * 64]);
    });
    assert!(error.contains("tensor blk.0.attn_k.weight is there twice"), "{error}");
    let error = with_entries("phi3", |writer| writer.int("phi3.feed_forward_length", 104));
    assert!(error.contains("ffn_gate_up.weight has 192 rows, and its parts have 208"), "{error}");
    // Gate and up stay apart where an architecture has them apart.
    let error = with_entries("llama", |writer| writer.int("llama.feed_forward_length", 48));
    assert!(error.contains("which the header contradicts"), "{error}");
}

#[test]
fn item_19_numbers_of_granite_and_longrope_are_checked() {
    for key in ["embedding_scale", "attention.scale", "residual_scale", "logit_scale"] {
        for value in [-1.0, f32::NAN, f32::INFINITY, 1e-40] {
            let error =
                with_entries("granite", |writer| writer.float(&format!("granite.{key}"), value));
            assert!(error.contains(&format!("granite.{key} is out of range")), "{error}");
        }
    }
    for value in [0.0, -2.0, f32::NAN] {
        let error = with_entries("phi3", |writer| {
            for name in ["rope_factors_short.weight", "rope_factors_long.weight"] {
                writer.tensor_f32(name, 1, 6, &[1.0, 1.0, 1.0, 1.0, 1.0, value]);
            }
        });
        let says = ["holds a divisor that is not positive", "holds a number that is not finite"];
        assert!(says.iter().any(|says| error.contains(says)), "{error}");
    }
    let error = with_entries("phi3", |writer| {
        writer.tensor_f32("rope_factors_long.weight", 1, 6, &[1.0; 6]);
    });
    assert!(error.contains("not those that belong with them"), "{error}");
    let hub = |shape: &Shape, key: &str, value: Value, says: &str| {
        let folder = hf::folder(&mut tiny(shape, 19), Dtype::F32, 1);
        let path = folder.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        match config["rope_scaling"].get(key) {
            Some(_) => config["rope_scaling"][key] = value,
            None => config[key] = value,
        }
        hf::write(folder.path(), "config.json", &config);
        refused_folder(folder.path(), says);
    };
    let granite = Shape::of("granite");
    hub(&granite, "logits_scaling", json!(0.0), "logits_scaling in config.json is out of range");
    hub(&granite, "residual_multiplier", json!("x"), "is out of range");
    let granite_4 = Shape { stored: Stored::Granite4, ..granite };
    hub(&granite_4, "position_embedding_type", json!("nope"), "layer_types");
    let phi = Shape { long_rope: Some(LongRope::Long), ..Shape::of("phi3") };
    hub(&phi, "short_factor", json!([1.0, 2.0]), "is no list of 6 positive numbers");
    hub(&phi, "long_factor", json!([1, 1, 1, 1, 1, 0]), "is no list of 6 positive numbers");
    hub(&phi, "original_max_position_embeddings", json!(1), "is out of range");
}

#[test]
fn item_19_numbers_of_experts_are_checked() {
    for (key, value, says) in [
        ("expert_count", 1, "qwen3moe.expert_count is out of range"),
        ("expert_count", 0, "qwen3moe.expert_count is out of range"),
        ("expert_count", 7, "ffn_down_exps.weight has 384 rows, and its parts have 448"),
        ("expert_used_count", 7, "qwen3moe.expert_used_count is out of range"),
        ("expert_used_count", 0, "qwen3moe.expert_used_count is out of range"),
        ("expert_weights_scale", 2, "a factor on the weights of experts"),
        ("attention.clamp_kqv", 8, "qwen3moe with clamped queries"),
    ] {
        // Which of the tensors is found first is left to chance.
        let says = says.split_once("_exps").map_or(says, |(_, says)| says);
        let error =
            with_entries("qwen3moe", |writer| writer.int(&format!("qwen3moe.{key}"), value));
        let other = says.replace("384", "576").replace("448", "672");
        assert!(error.contains(says) || error.contains(&other), "{error}");
    }
    for (key, value, says) in [
        ("num_experts", json!(1), "num_experts in config.json is out of range"),
        ("num_experts", json!(7), "tensor blk.0.ffn_gate_inp.weight is 6 × 64"),
        ("num_experts_per_tok", json!(7), "num_experts_per_tok in config.json is out of range"),
        ("decoder_sparse_step", json!(2), "a mixture of experts in some blocks only"),
        ("mlp_only_layers", json!([0]), "a mixture of experts in some blocks only"),
        ("clip_qkv", json!(8.0), "clamped queries"),
    ] {
        let folder = hf::folder(&mut tiny(&Shape::of("olmoe"), 19), Dtype::F32, 1);
        let path = folder.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config[key] = value;
        hf::write(folder.path(), "config.json", &config);
        refused_folder(folder.path(), says);
    }
}

/// Norms are where the architecture has them, whatever the weights show.
#[test]
fn item_19_a_norm_that_is_missing_is_named() {
    for (architecture, norm) in [
        ("llama", "blk.0.attn_norm.weight"),
        ("gemma2", "blk.0.post_attention_norm.weight"),
        ("olmo2", "blk.0.post_attention_norm.weight"),
    ] {
        let mut file = tiny(&Shape::of(architecture), 19).file;
        let at = file.windows(norm.len()).position(|bytes| bytes == norm.as_bytes()).unwrap();
        file[at + norm.len() - 1] = b'x';
        let error = load(&file, &LoadOptions::default()).unwrap_err().to_string();
        assert!(error.contains(&format!("tensor {norm} is missing")), "{error}");
    }
}

/// Tokens and projections of the answers to some prompts.
fn answers(engine: &Engine) -> Vec<(Vec<u32>, Vec<f32>)> {
    let prompts = (0..3).map(|index| tokens(5 + 30 * index, index as u64));
    prompts
        .map(|prompt| {
            let taps = Arc::new([Tap::new(3, &vector(64, 1)).unwrap()]);
            let request = GenerateRequest { prompt, max_tokens: 12, taps, ..Default::default() };
            let mut generation = engine.submit(request).unwrap();
            let (mut ids, mut read) = (Vec::new(), Vec::new());
            while let Some(event) = generation.blocking_next() {
                if let Event::Token(token) = event {
                    ids.push(token.id);
                    read.extend(token.projections);
                }
            }
            (ids, read)
        })
        .collect()
}

/// In both formats the same numbers, which are close to those that the weights stand for: of
/// activations, matrices in few bits see 8 bits.
#[test]
fn item_19_experts_in_mxfp4_are_the_same_in_both_formats_and_close_to_the_reference() {
    let shape = Shape { mxfp4: true, ..Shape::of("gpt-oss") };
    let mut tiny = tiny(&shape, 47);
    let folders = [1, 3].map(|shards| hf::folder(&mut tiny, Dtype::F32, shards));
    let options = LoadOptions { threads: Some(2), ..LoadOptions::default() };
    let start = |model: Model| Engine::start(Arc::new(model), EngineOptions::default()).unwrap();
    let of_file = start(load(&tiny.file, &options).unwrap());
    let expected = answers(&of_file);
    for folder in &folders {
        let of_folder = start(Model::load(folder.path(), &options).unwrap());
        assert_eq!(answers(&of_folder), expected);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(agrees(&tiny, &of_file, 3e-2));
}

/// A folder of gpt-oss, changed, is refused.
fn gpt_oss_refused(
    mxfp4: bool,
    change: impl Fn(&str, Value) -> Option<(String, Value)>,
    says: &str,
) {
    let shape = Shape { mxfp4, ..Shape::of("gpt-oss") };
    let folder = hf::folder(&mut tiny(&shape, 47), Dtype::F32, 1);
    change_tensors(folder.path(), change);
    refused_folder(folder.path(), says);
}

#[test]
fn item_19_codes_and_scales_that_do_not_belong_together_are_refused() {
    let without = |part: &'static str| {
        move |name: &str, value| {
            let is_it = name.starts_with("model.layers.1.") && name.ends_with(part);
            (!is_it).then(|| (name.to_owned(), value))
        }
    };
    gpt_oss_refused(
        true,
        without("down_proj_scales"),
        "the weights hold only blk.1.ffn_down.0.codes",
    );
    gpt_oss_refused(true, without("gate_up_proj_blocks"), "hold only blk.1.ffn_gate.0.scales");
    let shape = |part: &'static str, shape: Value| {
        move |name: &str, mut value: Value| {
            if name == format!("model.layers.0.mlp.experts.{part}") {
                value["shape"] = shape.clone();
            }
            Some((name.to_owned(), value))
        }
    };
    for (part, dims, says) in [
        ("down_proj_scales", json!([6, 96, 2]), "ffn_down_exps.scales has 576 rows"),
        ("down_proj_scales", json!([6, 192]), "is U8; F32, F16 and BF16 are read"),
        ("down_proj_blocks", json!([6, 64, 3, 8]), "is U8; F32, F16 and BF16 are read"),
        ("gate_up_proj_blocks", json!([6, 64, 6, 16]), "has 384 rows, and its parts have 1152"),
    ] {
        gpt_oss_refused(true, shape(part, dims), says);
    }
    gpt_oss_refused(false, shape("down_proj", json!([6, 64, 96])), "its parts have 384 together");
    gpt_oss_refused(false, shape("down_proj", json!([6, 2, 48, 64])), "has 4 dimensions");
    let folder = hf::folder(&mut tiny(&Shape::of("gpt-oss"), 47), Dtype::F32, 1);
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["swiglu_limit"] = json!(5.0);
    hf::write(folder.path(), "config.json", &config);
    refused_folder(folder.path(), "swiglu_limit 5");
}

/// A number for all blocks, or a truth for each, as the file may have it.
#[tokio::test]
async fn item_19_a_file_may_say_which_blocks_have_a_window() {
    let options = LoadOptions { threads: Some(2), ..LoadOptions::default() };
    let start = |tiny: &Tiny| {
        let model = load(&tiny.file, &options).unwrap();
        Engine::start(Arc::new(model), EngineOptions::default()).unwrap()
    };
    let olmo = |period| Shape {
        window: Some(5),
        window_period: period,
        window_base: Some(BASE),
        layers: 5,
        ..Shape::of("olmo2")
    };
    let key = "olmo2.attention.sliding_window_pattern";
    for (period, pattern) in [(4, [1, 1, 1, 0, 1]), (3, [1, 1, 0, 1, 1]), (1, [1; 5])] {
        let tiny = tiny_with(&olmo(period), 23, |writer| writer.bools(key, &pattern));
        agrees(&tiny, &start(&tiny), 1e-4).await;
        let number = if period == 1 { 0 } else { period as u32 };
        let tiny = tiny_with(&olmo(period), 23, |writer| writer.int(key, number));
        agrees(&tiny, &start(&tiny), 1e-4).await;
    }
    let none = Shape { window: None, ..olmo(1) };
    for pattern in [[0; 5].as_slice(), &[0; 8]] {
        let tiny = tiny_with(&none, 23, |writer| {
            writer.int("olmo2.attention.sliding_window", 5);
            writer.bools(key, pattern);
        });
        agrees(&tiny, &start(&tiny), 1e-4).await;
    }
    let error = tiny_with(&olmo(4), 23, |writer| writer.bools(key, &[0, 1, 1, 0, 1]));
    let error = load(&error.file, &options).unwrap_err().to_string();
    assert!(error.contains("sliding windows in an unusual order of blocks"), "{error}");
    let error = with_entries("granite", |writer| {
        writer.int("granite.rope.scaling.finetuned", 0);
    });
    assert!(error.contains("granite without rotary position embedding"), "{error}");
}
