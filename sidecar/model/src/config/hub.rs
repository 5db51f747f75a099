//! A decoder's description from a hub's `config.json`.

use super::rope::{Yarn, llama3_factors};
use super::{Config, Pairs, Rope, Window, corrupt};
use crate::kernel::vector::Gate;
use crate::model::LoadError;
use serde_json::Value;

/// What a family's `config.json` leaves out where it is usual.
struct Family {
    gate: Gate,
    base: f64,
    gemma: bool,
    /// Of so many blocks the last is not windowed, if the file gives a window at all; `None` never
    /// windows.
    window_period: Option<usize>,
    /// See [`Window::base`].
    window_base: Option<f64>,
    score_cap: Option<f32>,
    logit_cap: Option<f32>,
}

impl Family {
    fn of(model_type: &str) -> Result<Self, LoadError> {
        let llama = Self {
            gate: Gate::Silu,
            base: 10_000.0,
            gemma: false,
            window_period: None,
            window_base: None,
            score_cap: None,
            logit_cap: None,
        };
        let gemma = Self { gate: Gate::Gelu, gemma: true, ..llama };
        Ok(match model_type {
            "llama" | "qwen2" | "qwen3" => llama,
            "mistral" => Self { window_period: Some(1), ..llama },
            "gemma2" => Self {
                window_period: Some(2),
                score_cap: Some(50.0),
                logit_cap: Some(30.0),
                ..gemma
            },
            "gemma3_text" => {
                Self { base: 1e6, window_period: Some(6), window_base: Some(10_000.0), ..gemma }
            }
            other => {
                return unsupported(format!(
                    "model type {other}; supported are llama, mistral, qwen2, qwen3, gemma2 and gemma3_text"
                ));
            }
        })
    }
}

impl Config {
    /// Reads the description out of `config.json`.
    pub(crate) fn from_hub(json: &Value) -> Result<Self, LoadError> {
        let reader = Reader { json };
        let Some(model_type) = reader.text("model_type") else {
            return Err(corrupt("config.json names no model_type"));
        };
        let family = Family::of(model_type)?;
        if reader.get("quantization_config").is_some() {
            let what =
                "weights quantised for another program; use the original ones, or a GGUF file";
            return unsupported(format!("{model_type} with {what}"));
        }
        let (hidden, heads) =
            (reader.size("hidden_size", 1 << 17)?, reader.size("num_attention_heads", 1 << 12)?);
        let kv_heads = reader.size_or("num_key_value_heads", heads, 1 << 12)?;
        let head_width =
            reader.size_or("head_dim", if family.gemma { 256 } else { hidden / heads }, 1 << 12)?;
        if !heads.is_multiple_of(kv_heads) || !head_width.is_multiple_of(8) {
            return unsupported(format!(
                "{heads} heads of {head_width} values over {kv_heads} key heads"
            ));
        }
        let gate = match reader.text("hidden_activation").or_else(|| reader.text("hidden_act")) {
            None => family.gate,
            Some("silu") => Gate::Silu,
            Some("gelu_pytorch_tanh") => Gate::Gelu,
            Some(other) => return unsupported(format!("activation {other}")),
        };
        if reader.number("partial_rotary_factor")?.is_some_and(|share| share != 1.0) {
            return unsupported(format!("{model_type} with partly rotated heads"));
        }
        let rope = reader.rope(&family, head_width)?;
        let scale_width = match family.gemma {
            true => reader.number("query_pre_attn_scalar")?.unwrap_or(256.0),
            #[allow(clippy::cast_precision_loss)]
            false => head_width as f64,
        };
        let layers = reader.size("num_hidden_layers", 1 << 10)?;
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        let config = Self {
            layers,
            hidden,
            heads,
            kv_heads,
            head_width,
            feed_forward: reader.size("intermediate_size", 1 << 20)?,
            context_length: reader.size("max_position_embeddings", 1 << 24)?,
            norm_epsilon: reader.number("rms_norm_eps")?.unwrap_or(1e-6) as f32,
            norm_offset: if family.gemma { 1.0 } else { 0.0 },
            gate,
            embedding_scale: if family.gemma { (hidden as f32).sqrt() } else { 1.0 },
            attention_scale: (1.0 / scale_width.sqrt()) as f32,
            score_cap: reader.cap("attn_logit_softcapping", family.score_cap)?,
            logit_cap: reader.cap("final_logit_softcapping", family.logit_cap)?,
            window: reader.window(&family)?,
            rope,
        };
        reader.check_layer_types(&config)?;
        Ok(config)
    }

    /// Whether the output matrix is the embedding, whatever else the files hold.
    pub(crate) fn hub_is_tied(json: &Value) -> bool {
        let gemma = json
            .get("model_type")
            .and_then(Value::as_str)
            .is_some_and(|name| name.starts_with("gemma"));
        json.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(gemma)
    }
}

struct Reader<'a> {
    json: &'a Value,
}

impl<'a> Reader<'a> {
    /// A value that is there and not null.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.json.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Value::as_str)
    }

    /// A positive number.
    fn number(&self, key: &str) -> Result<Option<f64>, LoadError> {
        match self.get(key).map(Value::as_f64) {
            None => Ok(None),
            Some(Some(value)) if value > 0.0 && value.is_finite() => Ok(Some(value)),
            Some(_) => Err(out_of_range(key)),
        }
    }

    /// A soft cap: null is none, and what the file leaves out is usual.
    fn cap(&self, key: &str, usual: Option<f32>) -> Result<Option<f32>, LoadError> {
        if self.json.get(key).is_none() {
            return Ok(usual);
        }
        #[allow(clippy::cast_possible_truncation)]
        let cap = self.number(key)?.map(|cap| cap as f32);
        cap.filter(|cap| !cap.is_normal()).map_or(Ok(cap), |_| Err(out_of_range(key)))
    }

    fn size(&self, key: &str, most: usize) -> Result<usize, LoadError> {
        match self.get(key).map(Value::as_u64) {
            Some(Some(value)) if value >= 1 && value <= most as u64 => {
                usize::try_from(value).map_err(|_| out_of_range(key))
            }
            Some(_) => Err(out_of_range(key)),
            None => Err(corrupt(&format!("config.json lacks {key}"))),
        }
    }

    fn size_or(&self, key: &str, usual: usize, most: usize) -> Result<usize, LoadError> {
        if self.get(key).is_some() { self.size(key, most) } else { Ok(usual) }
    }

    /// Rotation of blocks that see everything.
    fn rope(&self, family: &Family, width: usize) -> Result<Rope, LoadError> {
        let settings = self.get("rope_parameters").or_else(|| self.get("rope_scaling"));
        // Newer files describe each kind of block by itself.
        let settings = settings.map(|settings| settings.get("full_attention").unwrap_or(settings));
        let inner = Reader { json: settings.unwrap_or(&Value::Null) };
        let base = match inner.number("rope_theta")? {
            Some(base) => base,
            None => self.number("rope_theta")?.unwrap_or(family.base),
        };
        let needed = |key: &str| {
            inner
                .number(key)?
                .ok_or_else(|| corrupt(&format!("config.json lacks the rotary {key}")))
        };
        let plain = Rope::plain(Pairs::Halves, width, base);
        match inner.text("rope_type").or_else(|| inner.text("type")).unwrap_or("default") {
            "default" => Ok(plain),
            "linear" => Ok(Rope { stretch: needed("factor")?, ..plain }),
            "llama3" => {
                let [factor, low, high, context] = [
                    "factor",
                    "low_freq_factor",
                    "high_freq_factor",
                    "original_max_position_embeddings",
                ]
                .map(needed);
                let factors = llama3_factors(width, base, factor?, low?, high?, context?);
                Ok(Rope { factors: Some(factors), ..plain })
            }
            "yarn" => {
                let rare =
                    ["mscale", "mscale_all_dim"].into_iter().find(|key| inner.get(key).is_some());
                let rare = rare.or(inner
                    .get("truncate")
                    .is_some_and(|on| on == false)
                    .then_some("truncate: false"));
                if let Some(rare) = rare {
                    return unsupported(format!("rotary scaling of type yarn with {rare}"));
                }
                let or = |key: &str, usual: f64| Ok(inner.number(key)?.unwrap_or(usual));
                let context = match inner.number("original_max_position_embeddings")? {
                    Some(context) => context,
                    None => self
                        .number("max_position_embeddings")?
                        .ok_or_else(|| corrupt("config.json lacks max_position_embeddings"))?,
                };
                let yarn = plain.yarn(Yarn {
                    factor: needed("factor")?,
                    context,
                    fast: or("beta_fast", Yarn::FAST)?,
                    slow: or("beta_slow", Yarn::SLOW)?,
                    attention: 1.0,
                });
                #[allow(clippy::cast_possible_truncation)]
                Ok(match inner.number("attention_factor")? {
                    Some(magnitude) => Rope { magnitude: magnitude as f32, ..yarn },
                    None => yarn,
                })
            }
            other => unsupported(format!("rotary scaling of type {other}")),
        }
    }

    fn window(&self, family: &Family) -> Result<Option<Window>, LoadError> {
        let Some(period) = family.window_period else {
            return match self.get("use_sliding_window").and_then(Value::as_bool) {
                Some(true) if self.get("sliding_window").is_some() => {
                    unsupported("sliding windows in some blocks of this model type".into())
                }
                _ => Ok(None),
            };
        };
        if self.get("sliding_window").is_none() {
            return Ok(None);
        }
        let tokens = self.size("sliding_window", 1 << 24)?;
        let Some(usual) = family.window_base else {
            return Ok(Some(Window { tokens, period, base: None }));
        };
        let local = self.get("rope_parameters").and_then(|rope| rope.get("sliding_attention"));
        let base = match (Reader { json: local.unwrap_or(&Value::Null) }).number("rope_theta")? {
            Some(base) => base,
            None => self.number("rope_local_base_freq")?.unwrap_or(usual),
        };
        let pattern = self.size_or("_sliding_window_pattern", period, 1 << 10)?;
        let period = self.size_or("sliding_window_pattern", pattern, 1 << 10)?;
        Ok(Some(Window { tokens, period, base: Some(base) }))
    }

    /// Some files list which blocks are windowed.
    fn check_layer_types(&self, config: &Config) -> Result<(), LoadError> {
        let Some(types) = self.get("layer_types").and_then(Value::as_array) else { return Ok(()) };
        let expected =
            |index| if config.is_windowed(index) { "sliding_attention" } else { "full_attention" };
        let fits = |(index, name): (usize, &Value)| name.as_str() == Some(expected(index));
        match types.len() == config.layers && types.iter().enumerate().all(fits) {
            true => Ok(()),
            false => unsupported(
                "layer_types in an order that is not this model type's usual one".into(),
            ),
        }
    }
}

fn unsupported<T>(what: String) -> Result<T, LoadError> {
    Err(LoadError::Unsupported { what })
}

fn out_of_range(key: &str) -> LoadError {
    corrupt(&format!("{key} in config.json is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(changes: &Value) -> Result<Config, LoadError> {
        let mut json = json!({
            "model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2,
            "num_hidden_layers": 2, "intermediate_size": 128, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
        });
        json.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        Config::from_hub(&json)
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (changes, name) in [
            (json!({"model_type": "phi3"}), "phi3"),
            (json!({"hidden_act": "relu2"}), "relu2"),
            (json!({"rope_scaling": {"rope_type": "longrope", "factor": 4.0}}), "longrope"),
            (
                json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "mscale": 1.0}}),
                "mscale",
            ),
            (
                json!({"quantization_config": {"quant_method": "awq"}}),
                "quantised for another program",
            ),
            (
                json!({"model_type": "qwen2", "use_sliding_window": true, "sliding_window": 9}),
                "sliding windows",
            ),
            (json!({"layer_types": ["full_attention", "sliding_attention"]}), "layer_types"),
            (json!({"num_attention_heads": 3}), "3 heads"),
            (json!({"partial_rotary_factor": 0.5}), "partly rotated"),
        ] {
            let error = with(&changes).unwrap_err();
            assert!(
                matches!(&error, LoadError::Unsupported { what } if what.contains(name)),
                "{error}"
            );
        }
        assert!(matches!(with(&json!({"hidden_size": -1})), Err(LoadError::Corrupt { .. })));
    }

    #[test]
    fn soft_caps_are_as_the_file_has_them_or_as_is_usual() {
        let caps =
            |changes: Value| with(&changes).map(|config| (config.score_cap, config.logit_cap));
        assert_eq!(caps(json!({})).unwrap(), (None, None));
        assert_eq!(caps(json!({"final_logit_softcapping": 30.0})).unwrap(), (None, Some(30.0)));
        let gemma = |score: Value| json!({"model_type": "gemma2", "head_dim": 16, "attn_logit_softcapping": score});
        assert_eq!(caps(gemma(json!(7.5))).unwrap(), (Some(7.5), Some(30.0)));
        assert_eq!(caps(gemma(Value::Null)).unwrap(), (None, Some(30.0)));
        assert_eq!(
            caps(json!({"model_type": "gemma2", "head_dim": 16})).unwrap(),
            (Some(50.0), Some(30.0))
        );
        for damaged in [json!(-1.0), json!(1e-40), json!(1e60), json!("50")] {
            assert!(matches!(caps(gemma(damaged)), Err(LoadError::Corrupt { .. })));
        }
    }

    #[test]
    fn old_and_new_ways_to_write_the_rotation_are_the_same() {
        let old = with(
            &json!({"model_type": "gemma3_text", "sliding_window": 8, "rope_theta": 5e5, "head_dim": 16,
            "rope_local_base_freq": 3e3, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
        );
        let new = with(
            &json!({"model_type": "gemma3_text", "sliding_window": 8, "head_dim": 16, "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5e5},
            "sliding_attention": {"rope_type": "default", "rope_theta": 3e3}}}),
        );
        assert_eq!(old.unwrap(), new.unwrap());
    }
}
