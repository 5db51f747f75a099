//! LoRA adapters in PEFT's format.

use crate::Table;
use crate::support::adapter::{Tensor, adapt, config, load, write};
use crate::support::hf::{self, Dtype};
use crate::support::loading::copy;
use crate::support::{Shape, tiny};
use personaguard_model::{LoadError, Model};
use serde_json::{Value, json};
use std::path::Path;

type Loaded = Result<Model, LoadError>;

/// Loads a small Llama with an adapter that is changed so.
fn with(folder: &Path, change: impl FnOnce(&mut Value, &mut Vec<Tensor>)) -> Loaded {
    let adapter = folder.join("adapter");
    std::fs::create_dir(&adapter).unwrap();
    let (mut config, mut tensors) = (config(), made(folder));
    change(&mut config, &mut tensors);
    write(&adapter, &config, &tensors);
    load(&folder.join("base"), &adapter)
}

/// Writes the base model, and gives an adapter for it.
fn made(folder: &Path) -> Vec<Tensor> {
    let mut tiny = tiny(&Shape::of("llama"), 3);
    let base = hf::folder(&mut tiny, Dtype::F32, 1);
    std::fs::create_dir(folder.join("base")).unwrap();
    copy(base.path(), &folder.join("base"));
    adapt(&mut tiny, 1.0)
}

fn setting(folder: &Path, key: &str, value: Value) -> Loaded {
    with(folder, |config, _| config[key] = value)
}

fn renamed(folder: &Path, from: &str, to: &str) -> Loaded {
    with(folder, |_, tensors| {
        tensors.iter_mut().for_each(|(name, ..)| *name = name.replace(from, to));
    })
}

/// Loads it with its first tensor under this name.
fn first(folder: &Path, name: &str) -> Loaded {
    with(folder, |_, tensors| tensors[0].0 = name.to_owned())
}

/// Loads a base model with a folder of these files in place of an adapter.
fn files(folder: &Path, files: &[(&str, &str)]) -> Loaded {
    made(folder);
    let adapter = folder.join("adapter");
    std::fs::create_dir(&adapter).unwrap();
    for (name, content) in files {
        std::fs::create_dir_all(adapter.join(name).parent().unwrap()).unwrap();
        std::fs::write(adapter.join(name), content).unwrap();
    }
    load(&folder.join("base"), &adapter)
}

const CONFIG: (&str, &str) =
    ("adapter_config.json", r#"{"peft_type": "LORA", "r": 3, "lora_alpha": 6}"#);

pub const TABLE: Table = &[
    ("lora", |folder| with(folder, |_, _| {})),
    ("rank_stabilised", |folder| setting(folder, "use_rslora", json!(true))),
    ("named_adapter", |folder| renamed(folder, ".weight", ".my_run.weight")),
    ("compiled_model", |folder| renamed(folder, "model.model.", "model._orig_mod.model.")),
    ("patterns", |folder| {
        with(folder, |config, _| {
            config["r"] = json!(5);
            config["rank_pattern"] = json!({"proj": 5});
            for module in ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj"] {
                config["rank_pattern"][module] = json!(3);
            }
            config["rank_pattern"]["down_proj"] = json!(3);
        })
    }),
    ("prefix_tuning", |folder| setting(folder, "peft_type", json!("PREFIX_TUNING"))),
    ("trained_biases", |folder| setting(folder, "bias", json!("all"))),
    ("whole_modules", |folder| setting(folder, "modules_to_save", json!(["lm_head"]))),
    ("fan_in_fan_out", |folder| setting(folder, "fan_in_fan_out", json!(true))),
    ("changed_base", |folder| setting(folder, "init_lora_weights", json!("pissa"))),
    ("no_alpha", |folder| setting(folder, "lora_alpha", Value::Null)),
    ("other_rank", |folder| setting(folder, "r", json!(16))),
    ("other_rank_of_a_module", |folder| setting(folder, "rank_pattern", json!({"q_proj": 4}))),
    ("pattern_of_letters", |folder| {
        setting(folder, "alpha_pattern", json!({"layers\\.[0-9]+\\.q": 4}))
    }),
    ("pattern_that_is_no_number", |folder| {
        setting(folder, "alpha_pattern", json!({"q_proj": "4"}))
    }),
    ("huge_alpha", |folder| setting(folder, "lora_alpha", json!(1e300))),
    ("dora_without_magnitudes", |folder| setting(folder, "use_dora", json!(true))),
    ("embedding", |folder| first(folder, "base_model.model.model.embed_tokens.lora_embedding_A")),
    ("head", |folder| first(folder, "base_model.model.lm_head.lora_A.weight")),
    ("experts", |folder| {
        first(folder, "base_model.model.model.layers.0.mlp.experts.lora_A.weight")
    }),
    ("other_tool", |folder| first(folder, "lora_unet_down_blocks_0.lora_down.weight")),
    ("no_lora", |folder| first(folder, "model.something")),
    ("blocks_beyond_the_last", |folder| renamed(folder, ".0.", ".9.")),
    ("half_of_a_pair", |folder| with(folder, |_, tensors| drop(tensors.remove(0)))),
    ("ranks_that_contradict", |folder| {
        with(folder, |_, tensors| tensors[1].1 = [tensors[1].1[0] / 2, 6])
    }),
    ("no_tensors", |folder| with(folder, |_, tensors| tensors.clear())),
    ("several_adapters", |folder| {
        with(folder, |_, tensors| tensors[0].0 = tensors[0].0.replace(".weight", ".two.weight"))
    }),
    ("not_a_number", |folder| with(folder, |_, tensors| tensors[0].2[0] = f32::NAN)),
    ("no_adapter", |folder| files(folder, &[])),
    ("adapter_in_a_folder_inside", |folder| files(folder, &[("my_run/adapter_config.json", "{}")])),
    ("config_that_is_not_json", |folder| {
        files(folder, &[("adapter_config.json", "{"), ("adapter_model.safetensors", "")])
    }),
    ("pytorch_weights", |folder| files(folder, &[CONFIG, ("adapter_model.bin", "PK")])),
    ("weights_of_another_name", |folder| files(folder, &[CONFIG, ("adapters.safetensors", "")])),
    ("lfs_pointer", |folder| {
        let pointer = "version https://git-lfs.github.com/spec/v1\n";
        files(folder, &[CONFIG, ("adapter_model.safetensors", pointer)])
    }),
    ("gguf_base", |folder| {
        made(folder);
        let file = folder.join("base.gguf");
        std::fs::write(&file, tiny(&Shape::of("llama"), 3).file).unwrap();
        load(&file, &folder.join("base"))
    }),
];
