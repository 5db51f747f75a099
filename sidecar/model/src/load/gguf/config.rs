//! A decoder's description from the metadata of a GGUF file.

use super::header::Header;
use crate::arch::Architecture;
use crate::config::{Config, Rope, SlidingWindow, YarnScaling};
use crate::error::LoadError;

/// Keys that ask for something this engine does not do.
const UNSUPPORTED: [(&str, &str); 4] = [
    ("expert_count", "mixture of experts"),
    ("attention.key_length_mla", "latent attention"),
    ("attention.temperature_scale", "attention scaled by position"),
    ("rope.scaling.yarn_log_multiplier", "its own YaRN magnitude"),
];

/// Reads the description of the model with this header, and which architecture it is of.
pub(super) fn read(header: &Header) -> Result<(&'static Architecture, Config), LoadError> {
    let name = header
        .text("general.architecture")
        .ok_or_else(|| LoadError::corrupt("it names no architecture"))?;
    let architecture = Architecture::from_gguf_name(name)?;
    let metadata = Metadata { header, prefix: name };
    for (key, what) in UNSUPPORTED {
        if metadata.int(key).is_some_and(|value| value > 0)
            || metadata.float(key).is_some_and(|value| value > 0.0)
        {
            return Err(LoadError::beyond(format!("{name} with {what}")));
        }
    }
    let hidden_size = metadata.size("embedding_length", 1 << 17)?;
    let heads = metadata.size("attention.head_count", 1 << 12)?;
    let kv_heads = metadata.size_or("attention.head_count_kv", heads, 1 << 12)?;
    let head_dim = metadata.size_or("attention.key_length", hidden_size / heads, 1 << 12)?;
    let value_dim = metadata.int("attention.value_length");
    if value_dim.is_some_and(|value_dim| usize::try_from(value_dim) != Ok(head_dim)) {
        return Err(LoadError::beyond("keys and values of different width"));
    }
    if !heads.is_multiple_of(kv_heads) || !head_dim.is_multiple_of(8) {
        return Err(LoadError::beyond(format!(
            "{heads} heads of {head_dim} values over {kv_heads} key heads"
        )));
    }
    let rope_dims = metadata.size_or("rope.dimension_count", head_dim, head_dim)?;
    if !rope_dims.is_multiple_of(2) {
        return Err(LoadError::corrupt("the rotary width is odd"));
    }
    let rope = Rope::unscaled(
        architecture.gguf.rope_layout,
        rope_dims,
        metadata.positive("rope.freq_base")?.unwrap_or(architecture.gguf.rope_base),
    );
    let layers = metadata.size("block_count", 1 << 10)?;
    let scaled_dim = match architecture.gguf.layers_scaled_by_hidden_size == Some(layers) {
        true => hidden_size / heads,
        false => head_dim,
    };
    let window = metadata.window(architecture)?;
    let context_length = metadata.size("context_length", 1 << 24)?;
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    let config = Config {
        layers,
        hidden_size,
        heads,
        kv_heads,
        head_dim,
        feed_forward_size: metadata.size("feed_forward_length", 1 << 20)?,
        context_length,
        norm_epsilon: metadata.positive("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-6) as f32,
        // What makes GGUF files adds the offset.
        norm_offset: 0.0,
        activation: architecture.activation,
        embedding_scale: match architecture.scales_embeddings {
            true => (hidden_size as f32).sqrt(),
            false => 1.0,
        },
        attention_scale: 1.0 / (scaled_dim as f32).sqrt(),
        score_cap: metadata.cap("attn_logit_softcapping", architecture.score_cap)?,
        logit_cap: metadata.cap("final_logit_softcapping", architecture.logit_cap)?,
        rope: metadata.scaled(rope, context_length)?,
        window,
    };
    Ok((architecture, config))
}

/// Metadata under the architecture's prefix.
struct Metadata<'a> {
    header: &'a Header,
    prefix: &'a str,
}

impl Metadata<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn int(&self, name: &str) -> Option<i64> {
        self.header.int(&self.key(name))
    }

    fn float(&self, name: &str) -> Option<f64> {
        self.header.float(&self.key(name))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.header.text(&self.key(name))
    }

    /// An integer in `1..=most`, which the file must have.
    fn size(&self, name: &str, most: usize) -> Result<usize, LoadError> {
        self.check_same(name)?;
        match self.int(name).map(usize::try_from) {
            Some(Ok(value)) if (1..=most).contains(&value) => Ok(value),
            Some(_) => Err(self.out_of_range(name)),
            None => Err(LoadError::corrupt(format!("{} is missing", self.key(name)))),
        }
    }

    /// # Errors
    /// Blocks differ in this.
    fn check_same(&self, name: &str) -> Result<(), LoadError> {
        match self.header.differs(&self.key(name)) {
            true => Err(LoadError::beyond(format!("blocks that differ in {}", self.key(name)))),
            false => Ok(()),
        }
    }

    /// An integer in `1..=most`.
    fn size_or(&self, name: &str, default: usize, most: usize) -> Result<usize, LoadError> {
        self.check_same(name)?;
        match self.int(name) {
            None => Ok(default),
            Some(_) => self.size(name, most),
        }
    }

    /// A positive, finite number.
    fn positive(&self, name: &str) -> Result<Option<f64>, LoadError> {
        self.check_same(name)?;
        match self.float(name) {
            None => Ok(None),
            Some(value) if value > 0.0 && value.is_finite() => Ok(Some(value)),
            Some(_) => Err(self.out_of_range(name)),
        }
    }

    /// A soft cap; 0 means none.
    fn cap(&self, name: &str, default: Option<f32>) -> Result<Option<f32>, LoadError> {
        if self.float(name) == Some(0.0) {
            return Ok(None);
        }
        #[allow(clippy::cast_possible_truncation)]
        Ok(self.positive(name)?.map(|cap| cap as f32).filter(|cap| cap.is_normal()).or(default))
    }

    fn window(&self, architecture: &Architecture) -> Result<Option<SlidingWindow>, LoadError> {
        let defaults = architecture.gguf.window.as_ref();
        let tokens = match self.int("attention.sliding_window") {
            Some(_) => Some(self.size("attention.sliding_window", 1 << 24)?),
            None => defaults.and_then(|window| window.tokens),
        };
        let rope_base = self.positive("rope.freq_base_swa")?;
        Ok(tokens.zip(defaults).map(|(tokens, defaults)| SlidingWindow {
            tokens,
            period: defaults.period,
            rope_base: rope_base.or(defaults.rope_base).filter(|_| defaults.period > 1),
        }))
    }

    /// The same RoPE, scaled as the file says.
    #[allow(clippy::cast_precision_loss)]
    fn scaled(&self, rope: Rope, context_length: usize) -> Result<Rope, LoadError> {
        let or = |key: &str, default: f64| {
            Ok(self.positive(&format!("rope.scaling.{key}"))?.unwrap_or(default))
        };
        match self.text("rope.scaling.type").unwrap_or("linear") {
            "none" => Ok(rope),
            // Also where no type is named. Old files have the factor by another name, and 0 for
            // none.
            "linear" => {
                let keys = ["rope.scaling.factor", "rope.scale_linear"];
                let mut given = keys.into_iter().filter(|key| self.float(key) != Some(0.0));
                let factor = given.find_map(|key| self.positive(key).transpose()).transpose()?;
                Ok(Rope { linear_scale: factor.unwrap_or(1.0), ..rope })
            }
            "yarn" => Ok(rope.with_yarn(&YarnScaling {
                factor: or("factor", 1.0)?,
                original_context: self.size_or(
                    "rope.scaling.original_context_length",
                    context_length,
                    1 << 24,
                )? as f64,
                beta_fast: or("yarn_beta_fast", YarnScaling::BETA_FAST)?,
                beta_slow: or("yarn_beta_slow", YarnScaling::BETA_SLOW)?,
                attention_factor: or("attn_factor", 1.0)?,
            })),
            other => Err(LoadError::beyond(format!("rotary scaling of type {other}"))),
        }
    }

    fn out_of_range(&self, name: &str) -> LoadError {
        LoadError::corrupt(format!("{} is out of range", self.key(name)))
    }
}
