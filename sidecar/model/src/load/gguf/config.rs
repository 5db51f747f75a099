//! A decoder's description from the metadata of a GGUF file.

use super::header::Header;
use crate::arch::Architecture;
use crate::config::{Config, Experts, Rope, SlidingWindow, YarnScaling};
use crate::error::LoadError;

/// Keys that ask for something this engine does not do.
const UNSUPPORTED: [(&str, &str); 3] = [
    ("attention.clamp_kqv", "clamped queries, keys and values"),
    ("attention.temperature_scale", "attention scaled by position"),
    ("rope.scaling.yarn_log_multiplier", "its own YaRN magnitude"),
];

/// The one value of `expert_gating_func` that is no softmax.
const SIGMOID: i64 = 2;

/// Reads the description of the model with this header, and which architecture it is of.
pub(super) fn read(header: &Header) -> Result<(&'static Architecture, Config), LoadError> {
    let name = header
        .text("general.architecture")
        .ok_or_else(|| LoadError::corrupt("it names no architecture"))?;
    let metadata = Metadata { header, prefix: name };
    let architecture = Architecture::from_gguf(name, |key| metadata.is_set(key))?;
    if let Some((_, what)) = UNSUPPORTED.into_iter().find(|(key, _)| metadata.is_set(key)) {
        return Err(LoadError::beyond(format!("{name} with {what}")));
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
    let experts = metadata.experts(architecture)?;
    if architecture.gguf.names.contains(&"granite")
        && header.bool(&metadata.key("rope.scaling.finetuned")) == Some(false)
    {
        return Err(LoadError::beyond(format!("{name} without rotary position embedding")));
    }
    let window = metadata.window(architecture, rope.base, layers)?;
    let context_length = metadata.size("context_length", 1 << 24)?;
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    let config = Config {
        layers,
        hidden_size,
        heads,
        kv_heads,
        head_dim,
        feed_forward_size: metadata.feed_forward_size(architecture, experts.as_ref())?,
        experts,
        context_length,
        norm_epsilon: metadata.positive("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-6) as f32,
        norms: architecture.norms,
        // What makes GGUF files adds the offset.
        norm_offset: 0.0,
        activation: architecture.activation,
        embedding_scale: match architecture.scales_embeddings {
            true => (hidden_size as f32).sqrt(),
            false => metadata.factor("embedding_scale", 1.0)?,
        },
        attention_scale: metadata.factor("attention.scale", 1.0 / (scaled_dim as f32).sqrt())?,
        residual_scale: metadata.factor("residual_scale", 1.0)?,
        logit_scale: 1.0 / metadata.factor("logit_scale", 1.0)?,
        score_cap: metadata.cap("attn_logit_softcapping", architecture.score_cap)?,
        logit_cap: metadata.cap("final_logit_softcapping", architecture.logit_cap)?,
        rope: metadata.scaled(rope, context_length, architecture.gguf.rounds_yarn)?,
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

    /// Whether there is a positive number, for every block or for some.
    fn is_set(&self, name: &str) -> bool {
        self.float(name).is_some_and(|value| value > 0.0) || self.header.differs(&self.key(name))
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

    /// Mixtures of experts, where the architecture has them.
    fn experts(&self, architecture: &Architecture) -> Result<Option<Experts>, LoadError> {
        let Some(defaults) = &architecture.experts else { return Ok(None) };
        let count = self.size("expert_count", 1 << 12)?;
        if count < 2 {
            return Err(self.out_of_range("expert_count"));
        }
        let used = self.size("expert_used_count", count)?;
        if self.factor("expert_weights_scale", 1.0)? != 1.0 {
            return Err(LoadError::beyond("a factor on the weights of experts"));
        }
        if self.int("expert_gating_func") == Some(SIGMOID) {
            return Err(LoadError::beyond("experts that are rated by a sigmoid"));
        }
        let is_normalized = self.header.bool(&self.key("expert_weights_norm"));
        let is_normalized = is_normalized.unwrap_or(defaults.is_normalized);
        Ok(Some(Experts { count, used, is_normalized, has_shared: defaults.has_shared }))
    }

    fn feed_forward_size(
        &self,
        architecture: &Architecture,
        experts: Option<&Experts>,
    ) -> Result<usize, LoadError> {
        const OF_EXPERTS: &str = "expert_feed_forward_length";
        if experts.is_some() && self.int(OF_EXPERTS).is_some_and(|length| length != 0) {
            return self.size(OF_EXPERTS, 1 << 20);
        }
        let size = self.size("feed_forward_length", 1 << 20)?;
        let of_all = architecture.experts.as_ref().is_some_and(|experts| experts.is_length_of_all);
        Ok(match experts {
            Some(experts) if of_all => (size / experts.used).max(1),
            _ => size,
        })
    }

    /// A factor; 0 means the default.
    fn factor(&self, name: &str, default: f32) -> Result<f32, LoadError> {
        if self.float(name) == Some(0.0) {
            return Ok(default);
        }
        let Some(factor) = self.positive(name)? else { return Ok(default) };
        #[allow(clippy::cast_possible_truncation)]
        Some(factor as f32)
            .filter(|factor| factor.is_normal())
            .ok_or_else(|| self.out_of_range(name))
    }

    /// A soft cap; 0 means none.
    fn cap(&self, name: &str, default: Option<f32>) -> Result<Option<f32>, LoadError> {
        if self.float(name) == Some(0.0) {
            return Ok(None);
        }
        #[allow(clippy::cast_possible_truncation)]
        Ok(self.positive(name)?.map(|cap| cap as f32).filter(|cap| cap.is_normal()).or(default))
    }

    /// `rope_base` is that of blocks without a window.
    fn window(
        &self,
        architecture: &Architecture,
        rope_base: f64,
        layers: usize,
    ) -> Result<Option<SlidingWindow>, LoadError> {
        let defaults = architecture.gguf.window.as_ref();
        let tokens = match self.int("attention.sliding_window") {
            // Written where there is none.
            Some(0) => None,
            Some(_) => Some(self.size("attention.sliding_window", 1 << 24)?),
            None => defaults.and_then(|window| window.tokens),
        };
        let own_base = self.positive("rope.freq_base_swa")?;
        let Some((tokens, defaults)) = tokens.zip(defaults) else { return Ok(None) };
        let rope_base = defaults.rope.base(own_base, rope_base);
        let period = self.window_period(defaults.period, layers)?;
        Ok(period.map(|period| SlidingWindow { tokens, period, rope_base }))
    }

    /// See [`SlidingWindow::period`]; `None` where no block has a window. A file may give another
    /// number than the default, where 0 puts all blocks under the window and 1 none, or say it of
    /// each block.
    fn window_period(&self, default: usize, layers: usize) -> Result<Option<usize>, LoadError> {
        const PATTERN: &str = "attention.sliding_window_pattern";
        if let Some(windowed) = self.header.ints(&self.key(PATTERN)) {
            let fits = |period: &usize| {
                windowed.len() >= layers
                    && windowed.iter().take(layers).enumerate().all(|(block, windowed)| {
                        (*windowed != 0) == SlidingWindow::is_in(block, *period)
                    })
            };
            if windowed.iter().all(|&windowed| windowed == 0) {
                return Ok(None);
            }
            let period = std::iter::once(default).chain(1..=layers).find(fits);
            return match period {
                Some(period) => Ok(Some(period)),
                None => Err(LoadError::beyond("sliding windows in an unusual order of blocks")),
            };
        }
        match self.int(PATTERN) {
            None => Ok(Some(default)),
            Some(0) => Ok(Some(1)),
            Some(1) => Ok(None),
            Some(_) => self.size(PATTERN, 1 << 10).map(Some),
        }
    }

    /// The same RoPE, scaled as the file says.
    #[allow(clippy::cast_precision_loss)]
    fn scaled(
        &self,
        rope: Rope,
        context_length: usize,
        rounds_yarn: bool,
    ) -> Result<Rope, LoadError> {
        let or = |key: &str, default: f64| {
            Ok(self.positive(&format!("rope.scaling.{key}"))?.unwrap_or(default))
        };
        const TRAINED: &str = "rope.scaling.original_context_length";
        let trained_context = match self.int(TRAINED) {
            Some(0) => context_length,
            _ => self.size_or(TRAINED, context_length, 1 << 24)?,
        };
        let magnitude = self.factor("rope.scaling.attn_factor", 1.0)?;
        let rope = Rope { trained_context, magnitude, ..rope };
        match self.text("rope.scaling.type").unwrap_or("linear") {
            "none" => Ok(rope),
            // Its factors are tensors, and divide frequencies whatever the type.
            "longrope" if self.factor("rope.scaling.factor", 1.0)? == 1.0 => Ok(rope),
            "longrope" => Err(LoadError::beyond("rotary scaling of type longrope with a factor")),
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
                original_context: trained_context as f64,
                beta_fast: or("yarn_beta_fast", YarnScaling::BETA_FAST)?,
                beta_slow: or("yarn_beta_slow", YarnScaling::BETA_SLOW)?,
                attention_factor: f64::from(magnitude),
                rounds: rounds_yarn,
            })),
            other => Err(LoadError::beyond(format!("rotary scaling of type {other}"))),
        }
    }

    fn out_of_range(&self, name: &str) -> LoadError {
        LoadError::corrupt(format!("{} is out of range", self.key(name)))
    }
}
