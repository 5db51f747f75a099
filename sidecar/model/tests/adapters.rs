//! LoRA adapters: added to a folder's weights, they make the model of the merged weights; what
//! cannot be added is refused.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(
    unreachable_pub,
    dead_code,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod support;

use personaguard_model::{Capture, Engine, EngineOptions, LoadOptions, Model, ScoreRequest};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use support::adapter::{ALPHA, MODULES, RANK, Tensor, adapt, config, load, write};
use support::agree::{tokens, vector};
use support::hf::{self, Dtype};
use support::{Shape, Tiny, tiny};

/// Log-likelihood of a response, and its mean activations.
async fn read(model: Model) -> (f64, Vec<Vec<f32>>) {
    let engine = Engine::start(Arc::new(model), EngineOptions::default()).unwrap();
    let (prompt, response) = (tokens(20, 1), tokens(20, 2));
    let request = ScoreRequest {
        prompt,
        response,
        capture: Capture::PromptAndResponse,
        ..Default::default()
    };
    let score = engine.score(request).await.unwrap();
    (score.log_likelihood(), score.states.unwrap().response_mean)
}

/// Checks that an adapter makes the model of merged weights out of the base.
async fn makes(base: &Path, config: &Value, tensors: &[Tensor], merged: &mut Tiny) {
    let adapter = tempfile::tempdir().unwrap();
    write(adapter.path(), config, tensors);
    let (found, states) = read(load(base, adapter.path()).unwrap()).await;
    let (_, plain) = read(Model::load(base, &LoadOptions::default()).unwrap()).await;
    let merged = hf::folder(merged, Dtype::F32, 1);
    let (expected, expected_states) =
        read(Model::load(merged.path(), &LoadOptions::default()).unwrap()).await;
    assert!((found - expected).abs() < 3e-4 * expected.abs(), "{found} for {expected}");
    let (moved, missed) = (off(&states, &plain), off(&states, &expected_states));
    assert!(missed < 1e-3 && moved > 0.1, "missed by {missed}, moved by {moved}");
}

/// How far activations are from others, relative to these.
fn off(states: &[Vec<f32>], others: &[Vec<f32>]) -> f32 {
    let pairs = || states.iter().flatten().zip(others.iter().flatten());
    pairs().map(|(a, b)| (a - b).abs()).sum::<f32>() / pairs().map(|(_, b)| b.abs()).sum::<f32>()
}

#[tokio::test]
async fn item_19_dora_patterns_and_other_names_make_the_model_of_merged_weights() {
    let mut tiny = tiny(&Shape::of("qwen2"), 3);
    let base = hf::folder(&mut tiny, Dtype::F32, 1);
    let mut tensors = adapt(&mut tiny, ALPHA / RANK as f64);
    let mut patterns = config();
    patterns["lora_alpha"] = json!(77);
    patterns["r"] = json!(5);
    for (module, _) in MODULES {
        let name = module.split('.').next_back().unwrap();
        patterns["alpha_pattern"][name] = json!(ALPHA);
        patterns["rank_pattern"][name] = json!(RANK);
    }
    makes(base.path(), &patterns, &tensors, &mut tiny).await;
    let renamed = tensors.iter().map(|(name, shape, values)| {
        let name = name.replace(".weight", ".my_run.weight");
        (name.replace("model.model.layers", "model._orig_mod.model.layers"), *shape, values.clone())
    });
    makes(base.path(), &config(), &renamed.collect::<Vec<_>>(), &mut tiny).await;

    // DoRA: rows of the merged weights, brought to other lengths.
    for block in 0..tiny.shape.layers {
        for (module, part) in MODULES {
            let name = format!("base_model.model.model.layers.{block}.{module}");
            let a = tensors.iter().find(|(tensor, ..)| *tensor == format!("{name}.lora_A.weight"));
            let columns = a.unwrap().1[1];
            let weight = tiny.tensors.get_mut(&format!("blk.{block}.{part}.weight")).unwrap();
            let mut lengths = Vec::new();
            for (row, values) in weight.chunks_exact_mut(columns).enumerate() {
                let length: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
                let wanted = length.sqrt() * (0.7 + 0.1 * (row % 7) as f64);
                let stretch = wanted / length.sqrt();
                values.iter_mut().for_each(|value| *value = (f64::from(*value) * stretch) as f32);
                lengths.push(wanted as f32);
            }
            let shape = [lengths.len(), 1];
            tensors.push((format!("{name}.lora_magnitude_vector"), shape, lengths));
        }
    }
    let mut dora = config();
    dora["use_dora"] = json!(true);
    makes(base.path(), &dora, &tensors, &mut tiny).await;
}

/// Also with DoRA's magnitudes, which here leave rows as long as they are.
#[tokio::test]
async fn item_19_an_adapter_of_matrices_stored_as_one_makes_the_model_of_merged_weights() {
    let mut tiny = tiny(&Shape::of("phi3"), 3);
    let base = hf::folder(&mut tiny, Dtype::F32, 1);
    let (hidden, mut tensors, mut magnitudes) = (tiny.shape.hidden, Vec::new(), Vec::new());
    for block in 0..tiny.shape.layers {
        for (module, parts) in [
            ("self_attn.qkv_proj", &["attn_q", "attn_k", "attn_v"][..]),
            ("mlp.gate_up_proj", &["ffn_gate", "ffn_up"]),
        ] {
            let a = vector(RANK * hidden, block as u64);
            let (mut b, mut lengths) = (Vec::new(), Vec::new());
            for part in parts {
                let weight = tiny.tensors.get_mut(&format!("blk.{block}.{part}.weight")).unwrap();
                for row in weight.chunks_exact_mut(hidden) {
                    let factors = vector(RANK, b.len() as u64);
                    for (column, value) in row.iter_mut().enumerate() {
                        let sum: f32 = (0..RANK).map(|k| factors[k] * a[k * hidden + column]).sum();
                        *value += (ALPHA / RANK as f64) as f32 * 0.05 * sum;
                    }
                    lengths.push(row.iter().map(|value| value * value).sum::<f32>().sqrt());
                    b.extend(factors.iter().map(|factor| 0.05 * factor));
                }
            }
            let name = format!("base_model.model.model.layers.{block}.{module}");
            tensors.push((format!("{name}.lora_A.weight"), [RANK, hidden], a));
            tensors.push((format!("{name}.lora_B.weight"), [b.len() / RANK, RANK], b));
            let shape = [lengths.len(), 1];
            magnitudes.push((format!("{name}.lora_magnitude_vector"), shape, lengths));
        }
    }
    makes(base.path(), &config(), &tensors, &mut tiny).await;
    let mut dora = config();
    dora["use_dora"] = json!(true);
    makes(base.path(), &dora, &[&tensors[..], &magnitudes[..]].concat(), &mut tiny).await;
    // Factors of another model.
    let adapter = tempfile::tempdir().unwrap();
    let (_, [rows, _], values) = &mut tensors[1];
    *rows -= 8;
    values.truncate(*rows * RANK);
    write(adapter.path(), &config(), &tensors);
    let error = load(base.path(), adapter.path()).unwrap_err().to_string();
    assert!(error.contains("blk.0.attn_qkv.weight is not of its shape"), "{error}");
}

#[test]
fn item_19_adapters_that_are_not_one_adapter_are_refused_with_what_to_do() {
    let mut shape = tiny(&Shape::of("llama"), 3);
    let base = hf::folder(&mut shape, Dtype::F32, 1);
    let tensors = adapt(&mut shape, 1.0);
    let named = |name: &str| -> Vec<Tensor> {
        let rename = |(tensor, shape, values): &Tensor| {
            (tensor.replace(".weight", &format!(".{name}.weight")), *shape, values.clone())
        };
        tensors.iter().map(rename).collect()
    };
    let refused = |tensors: &[Tensor], says: &str| {
        let adapter = tempfile::tempdir().unwrap();
        write(adapter.path(), &config(), tensors);
        let error = load(base.path(), adapter.path()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused(&[named("one"), named("two")].concat(), "holds several adapters");
    let magnitude = "base_model.model.model.layers.0.mlp.up_proj.lora_magnitude_vector";
    let magnitude = (magnitude.to_owned(), [1, 4], vec![1.0; 4]);
    refused(&[tensors.clone(), vec![magnitude]].concat(), "does not set use_dora");
    let again = tensors.iter().map(|(name, shape, values)| {
        (name.replace("base_model.model.", ""), *shape, values.clone())
    });
    refused(&tensors.iter().cloned().chain(again).collect::<Vec<_>>(), "is there twice");

    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("my_run");
    std::fs::create_dir(&inside).unwrap();
    write(&inside, &config(), &tensors);
    let message = || load(base.path(), folder.path()).unwrap_err().to_string();
    assert!(message().contains("but its folder my_run does: give that"), "{}", message());
    hf::write(folder.path(), "adapter_config.json", &config());
    std::fs::remove_dir_all(&inside).unwrap();
    std::fs::write(folder.path().join("adapter_model.bin"), b"PK").unwrap();
    assert!(message().contains("but adapter_model.bin: load and save"), "{}", message());
    std::fs::remove_file(folder.path().join("adapter_model.bin")).unwrap();
    std::fs::write(folder.path().join("adapters.safetensors"), b"").unwrap();
    assert!(message().contains("but adapters.safetensors: if that is"), "{}", message());
    let pointer = b"version https://git-lfs.github.com/spec/v1\n";
    std::fs::write(folder.path().join("adapter_model.safetensors"), pointer).unwrap();
    assert!(message().contains("git lfs pull"), "{}", message());
}

#[tokio::test]
async fn an_adapter_makes_the_model_of_merged_weights() {
    for (architecture, dtype, root) in [
        ("llama", Dtype::F32, false),
        ("llama", Dtype::Bf16, true),
        ("qwen2", Dtype::F16, false),
        ("qwen3", Dtype::F32, false),
        ("gemma3", Dtype::Bf16, false),
    ] {
        let mut tiny = tiny(&Shape::of(architecture), 3);
        let base = hf::folder(&mut tiny, dtype, 2);
        let rank = RANK as f64;
        let tensors = adapt(&mut tiny, ALPHA / if root { rank.sqrt() } else { rank });
        let adapter = tempfile::tempdir().unwrap();
        let mut config = config();
        config["use_rslora"] = json!(root);
        write(adapter.path(), &config, &tensors);
        let plain = Model::load(base.path(), &LoadOptions::default()).unwrap();
        let model = load(base.path(), adapter.path()).unwrap();
        assert_ne!(model.digest(), plain.digest(), "vectors of the base model must not fit");
        let merged = hf::folder(&mut tiny, Dtype::F32, 1);
        let merged = Model::load(merged.path(), &LoadOptions::default()).unwrap();
        let (_, plain) = read(plain).await;
        let ((found, states), (expected, expected_states)) =
            (read(model).await, read(merged).await);
        let (moved, missed) = (off(&states, &plain), off(&states, &expected_states));
        // Keys and values are f16 with a base model in 16 bits, and f32 with the merged weights.
        assert!(
            missed < 1e-3 && moved > 0.1,
            "{architecture}: missed by {missed}, moved by {moved}"
        );
        assert!(
            (found - expected).abs() < 3e-4 * expected.abs(),
            "{architecture}: {found} for {expected}"
        );
    }
}

#[test]
fn what_cannot_be_added_is_named() {
    let mut shape = tiny(&Shape::of("llama"), 3);
    let base = hf::folder(&mut shape, Dtype::F32, 1);
    let tensors = adapt(&mut shape, 1.0);
    let refused = |config: &Value, tensors: &[Tensor], says: &str| {
        let adapter = tempfile::tempdir().unwrap();
        write(adapter.path(), config, tensors);
        match load(base.path(), adapter.path()) {
            Err(error) => assert!(error.to_string().contains(says), "{error}"),
            Ok(_) => panic!("an adapter was added that should be refused with: {says}"),
        }
    };
    let with = |key: &str, value: Value| {
        let mut config = config();
        config[key] = value;
        config
    };
    let renamed =
        |to: &str| [&[(to.to_owned(), tensors[0].1, tensors[0].2.clone())], &tensors[1..]].concat();
    refused(&with("peft_type", json!("IA3")), &tensors, "peft_type LORA");
    refused(&with("use_dora", json!(true)), &tensors, "use_dora");
    refused(&with("rank_pattern", json!({"q_proj": 4})), &tensors, "rank_pattern");
    refused(&with("modules_to_save", json!(["lm_head"])), &tensors, "modules_to_save");
    refused(&with("bias", json!("all")), &tensors, "biases");
    refused(&with("lora_alpha", Value::Null), &tensors, "no lora_alpha");
    refused(&config(), &[], "holds no tensors");
    refused(&config(), &tensors[1..], "not of its shape");
    refused(
        &config(),
        &renamed("base_model.model.model.embed_tokens.lora_embedding_A"),
        "lora_embedding_A",
    );
    refused(&config(), &renamed("base_model.model.lm_head.lora_A.weight"), "lm_head");
    refused(
        &config(),
        &renamed("base_model.model.model.layers.0.mlp.experts.lora_A.weight"),
        "experts",
    );
    let beyond = tensors
        .iter()
        .map(|(name, shape, values)| (name.replace(".0.", ".9."), *shape, values.clone()));
    refused(&config(), &beyond.collect::<Vec<_>>(), "has no blk.9.");
    let mut other_rank = tensors.clone();
    other_rank[1].1 = [other_rank[1].1[0] / 2, 2 * RANK];
    refused(&config(), &other_rank, "its other factor contradicts");
    let file = tempfile::NamedTempFile::with_suffix(".gguf").unwrap();
    std::fs::write(file.path(), &shape.file).unwrap();
    let error = load(file.path(), base.path()).unwrap_err();
    assert!(error.to_string().contains("give the base model as a folder"), "{error}");
    let error = load(base.path(), base.path()).unwrap_err();
    assert!(error.to_string().contains("holds no adapter_config.json"), "{error}");
}

#[test]
fn number_9_an_adapter_for_a_changed_base_is_refused_with_what_to_do() {
    let mut shape = tiny(&Shape::of("llama"), 3);
    let base = hf::folder(&mut shape, Dtype::F32, 1);
    let tensors = adapt(&mut shape, 1.0);
    let load_with = |value: Value| {
        let adapter = tempfile::tempdir().unwrap();
        let mut config = config();
        config["init_lora_weights"] = value;
        write(adapter.path(), &config, &tensors);
        load(base.path(), adapter.path())
    };
    for value in [Value::Null, json!(true), json!(false), json!("gaussian"), json!("orthogonal")] {
        assert!(load_with(value.clone()).is_ok(), "{value}");
    }
    let changed = [
        "pissa",
        "pissa_niter_4",
        "pissa_niter_16",
        "olora",
        "corda",
        "eva",
        "loftq",
        "lora_ga",
        "PiSSA",
        "true",
        "",
        "whatever_comes",
    ];
    for value in changed.into_iter().map(Value::from).chain([json!(1), json!(["gaussian"])]) {
        let error = load_with(value.clone()).unwrap_err().to_string();
        assert!(error.contains("path_initial_model_for_weight_conversion"), "{value}: {error}");
    }
}

#[test]
fn number_9_an_adapter_with_a_number_that_is_none_is_refused() {
    let mut shape = tiny(&Shape::of("llama"), 3);
    let base = hf::folder(&mut shape, Dtype::F32, 1);
    let tensors = adapt(&mut shape, 1.0);
    let refused = |config: &Value, tensors: &[Tensor], says: &str| {
        let adapter = tempfile::tempdir().unwrap();
        write(adapter.path(), config, tensors);
        let error = load(base.path(), adapter.path()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for (tensor, place) in [(0, 0), (1, 3), (5, 7)] {
            let mut broken = tensors.clone();
            broken[tensor].2[place] = value;
            refused(&config(), &broken, "not finite");
        }
    }
    // Finite numbers whose product is not.
    let mut huge = tensors.clone();
    huge[0].2.fill(1e30);
    huge[1].2.fill(1e30);
    refused(&config(), &huge, "not finite");
    let mut scaled = config();
    scaled["lora_alpha"] = json!(1e300);
    refused(&scaled, &tensors, "is no number");
}

/// In a weight that no prompt of a check would ever read, too.
#[test]
fn number_9_weights_with_a_number_that_is_none_are_refused() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
        for name in ["token_embd.weight", "blk.0.ffn_down.weight", "blk.1.attn_norm.weight"] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut tiny = tiny(&Shape::of("llama"), 3);
                *tiny.tensors.get_mut(name).unwrap().last_mut().unwrap() = value;
                let folder = hf::folder(&mut tiny, dtype, 1);
                let error = Model::load(folder.path(), &LoadOptions::default()).unwrap_err();
                assert!(error.to_string().contains("not finite"), "{name}: {error}");
            }
        }
    }
}
