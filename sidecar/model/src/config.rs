//! What distinguishes one decoder from another: each model family is a description, not code of its
//! own.

mod hub;
mod rope;

use crate::gguf::Header;
use crate::kernel::vector::Gate;
use crate::model::LoadError;
use rope::Yarn;
pub(crate) use rope::{Pairs, Rope};

/// A decoder-only transformer with gated feed-forward layers.
///
/// What the weights themselves tell (biases, norms of queries and keys, norms after a layer, an
/// output matrix of its own) is not repeated here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) layers: usize,
    pub(crate) hidden: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_width: usize,
    pub(crate) feed_forward: usize,
    pub(crate) context_length: usize,
    pub(crate) norm_epsilon: f32,
    /// Added to the norms' stored factors: some files store the difference from 1.
    pub(crate) norm_offset: f32,
    pub(crate) gate: Gate,
    /// Factor on embeddings.
    pub(crate) embedding_scale: f32,
    /// Factor on attention scores.
    pub(crate) attention_scale: f32,
    /// Attention scores stay within ± this, by [`crate::kernel::vector::soft_cap`].
    pub(crate) score_cap: Option<f32>,
    /// Logits stay within ± this, likewise.
    pub(crate) logit_cap: Option<f32>,
    pub(crate) rope: Rope,
    pub(crate) window: Option<Window>,
}

/// Blocks that see only the last tokens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    /// How many tokens, the query's own included.
    pub(crate) tokens: usize,
    /// Of `period` blocks the last sees everything; 1 windows all blocks.
    pub(crate) period: usize,
    /// Rotation base in windowed blocks, which then are not stretched; `None` where they rotate as
    /// all others do.
    pub(crate) base: Option<f64>,
}

impl Config {
    /// Whether block `index` (from 0) is windowed.
    pub(crate) fn is_windowed(&self, index: usize) -> bool {
        self.window
            .as_ref()
            .is_some_and(|window| window.period == 1 || !(index + 1).is_multiple_of(window.period))
    }

    /// Reads the description out of a GGUF header.
    pub(crate) fn from_gguf(header: &Header) -> Result<Self, LoadError> {
        let architecture = header
            .text("general.architecture")
            .ok_or_else(|| corrupt("it names no architecture"))?;
        let family = Family::of(architecture)?;
        let reader = Reader { header, architecture };
        for (key, what) in [
            ("expert_count", "mixture of experts"),
            ("attention.key_length_mla", "latent attention"),
            ("attention.temperature_scale", "attention scaled by position"),
            ("rope.scaling.yarn_log_multiplier", "a YaRN magnitude of its own"),
        ] {
            if reader.int(key).is_some_and(|value| value > 0)
                || reader.float(key).is_some_and(|value| value > 0.0)
            {
                return Err(LoadError::Unsupported { what: format!("{architecture} with {what}") });
            }
        }
        let size = |key, most| reader.size(key, most);
        let hidden = size("embedding_length", 1 << 17)?;
        let heads = size("attention.head_count", 1 << 12)?;
        let kv_heads = match reader.int("attention.head_count_kv") {
            None => heads,
            Some(_) => size("attention.head_count_kv", 1 << 12)?,
        };
        let head_width = match reader.int("attention.key_length") {
            None => hidden / heads,
            Some(_) => size("attention.key_length", 1 << 12)?,
        };
        if reader
            .int("attention.value_length")
            .is_some_and(|width| usize::try_from(width) != Ok(head_width))
        {
            return Err(LoadError::Unsupported {
                what: "keys and values of different width".into(),
            });
        }
        if !heads.is_multiple_of(kv_heads) || !head_width.is_multiple_of(8) {
            return Err(LoadError::Unsupported {
                what: format!("{heads} heads of {head_width} values over {kv_heads} key heads"),
            });
        }
        let rope_width = match reader.int("rope.dimension_count") {
            None => head_width,
            Some(_) => size("rope.dimension_count", head_width)?,
        };
        if !rope_width.is_multiple_of(2) {
            return Err(corrupt("the rotary width is odd"));
        }
        let plain = Rope::plain(
            family.pairs,
            rope_width,
            reader.positive("rope.freq_base")?.unwrap_or(family.base),
        );
        let layers = size("block_count", 1 << 10)?;
        // The largest of the Gemmas scale by what their heads would be wide if they shared the
        // hidden state out; no key says so.
        let scale_width = match (architecture, layers) {
            ("gemma2", 46) | ("gemma3", 62) => hidden / heads,
            _ => head_width,
        };
        let window_tokens = match reader.int("attention.sliding_window") {
            Some(_) => Some(size("attention.sliding_window", 1 << 24)?),
            None => family.window_tokens,
        };
        let context_length = size("context_length", 1 << 24)?;
        let window_base = reader.positive("rope.freq_base_swa")?.or(family.window_base);
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        Ok(Self {
            layers,
            hidden,
            heads,
            kv_heads,
            head_width,
            feed_forward: size("feed_forward_length", 1 << 20)?,
            context_length,
            norm_epsilon: reader.positive("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-6)
                as f32,
            norm_offset: 0.0,
            gate: family.gate,
            embedding_scale: if family.scales_embeddings { (hidden as f32).sqrt() } else { 1.0 },
            attention_scale: 1.0 / (scale_width as f32).sqrt(),
            score_cap: reader.cap("attn_logit_softcapping", family.score_cap)?,
            logit_cap: reader.cap("final_logit_softcapping", family.logit_cap)?,
            rope: reader.scaled(plain, context_length)?,
            window: window_tokens.zip(family.window_period).map(|(tokens, period)| Window {
                tokens,
                period,
                base: window_base.filter(|_| period > 1),
            }),
        })
    }
}

/// What a family's files do not say.
struct Family {
    pairs: Pairs,
    gate: Gate,
    base: f64,
    scales_embeddings: bool,
    /// Of so many blocks the last is not windowed, if the file gives a window at all; `None` never
    /// windows.
    window_period: Option<usize>,
    /// The window where the file gives none.
    window_tokens: Option<usize>,
    /// See [`Window::base`].
    window_base: Option<f64>,
    /// See [`Config::score_cap`] and [`Config::logit_cap`].
    score_cap: Option<f32>,
    logit_cap: Option<f32>,
}

impl Family {
    fn of(architecture: &str) -> Result<Self, LoadError> {
        let llama = Self {
            pairs: Pairs::Neighbours,
            gate: Gate::Silu,
            base: 10_000.0,
            scales_embeddings: false,
            window_period: None,
            window_tokens: None,
            window_base: None,
            score_cap: None,
            logit_cap: None,
        };
        let gemma =
            Self { pairs: Pairs::Halves, gate: Gate::Gelu, scales_embeddings: true, ..llama };
        Ok(match architecture {
            "llama" | "mistral" | "mistral3" => Self { window_period: Some(1), ..llama },
            "qwen2" | "qwen3" => Self { pairs: Pairs::Halves, base: 1e6, ..llama },
            "gemma2" => Self {
                window_period: Some(2),
                window_tokens: Some(4096),
                score_cap: Some(50.0),
                logit_cap: Some(30.0),
                ..gemma
            },
            "gemma3" => {
                Self { base: 1e6, window_period: Some(6), window_base: Some(10_000.0), ..gemma }
            }
            other => {
                return Err(LoadError::Unsupported {
                    what: format!(
                        "architecture {other}; supported are llama, mistral, qwen2, qwen3, gemma2 and gemma3"
                    ),
                });
            }
        })
    }
}

fn corrupt(what: &str) -> LoadError {
    LoadError::Corrupt { what: what.into() }
}

/// Metadata under the architecture's prefix.
struct Reader<'a> {
    header: &'a Header,
    architecture: &'a str,
}

impl Reader<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
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

    fn size(&self, name: &str, most: usize) -> Result<usize, LoadError> {
        match self.int(name).map(usize::try_from) {
            Some(Ok(value)) if (1..=most).contains(&value) => Ok(value),
            Some(_) => Err(corrupt(&format!("{} is out of range", self.key(name)))),
            None => Err(corrupt(&format!("{} is missing", self.key(name)))),
        }
    }

    /// The rotation as the file scales it.
    #[allow(clippy::cast_precision_loss)]
    fn scaled(&self, plain: Rope, context_length: usize) -> Result<Rope, LoadError> {
        let or = |key: &str, usual: f64| {
            Ok(self.positive(&format!("rope.scaling.{key}"))?.unwrap_or(usual))
        };
        match self.text("rope.scaling.type").unwrap_or("none") {
            "none" => Ok(plain),
            "linear" => Ok(Rope { stretch: or("factor", 1.0)?, ..plain }),
            "yarn" => Ok(plain.yarn(Yarn {
                factor: or("factor", 1.0)?,
                context: match self.int("rope.scaling.original_context_length") {
                    Some(_) => self.size("rope.scaling.original_context_length", 1 << 24)? as f64,
                    None => context_length as f64,
                },
                fast: or("yarn_beta_fast", Yarn::FAST)?,
                slow: or("yarn_beta_slow", Yarn::SLOW)?,
                attention: or("attn_factor", 1.0)?,
            })),
            other => {
                Err(LoadError::Unsupported { what: format!("rotary scaling of type {other}") })
            }
        }
    }

    /// A soft cap; 0 is none.
    fn cap(&self, name: &str, usual: Option<f32>) -> Result<Option<f32>, LoadError> {
        if self.float(name) == Some(0.0) {
            return Ok(None);
        }
        #[allow(clippy::cast_possible_truncation)]
        Ok(self.positive(name)?.map(|cap| cap as f32).filter(|cap| cap.is_normal()).or(usual))
    }

    fn positive(&self, name: &str) -> Result<Option<f64>, LoadError> {
        match self.float(name) {
            None => Ok(None),
            Some(value) if value > 0.0 && value.is_finite() => Ok(Some(value)),
            Some(_) => Err(corrupt(&format!("{} is out of range", self.key(name)))),
        }
    }
}
