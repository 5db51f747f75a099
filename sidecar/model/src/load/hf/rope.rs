//! RoPE and its scaling from `config.json`.

use super::json::{Fields, missing};
use crate::arch::Architecture;
use crate::config::{Rope, RopeLayout, YarnScaling, llama3_factors};
use crate::error::LoadError;

/// RoPE of the blocks without a sliding window.
pub(super) fn read(
    fields: Fields<'_>,
    architecture: &Architecture,
    head_dim: usize,
) -> Result<Rope, LoadError> {
    let settings = fields.get("rope_parameters").or_else(|| fields.get("rope_scaling"));
    // Newer files describe each kind of block separately.
    let settings = settings.map(|settings| settings.get("full_attention").unwrap_or(settings));
    let scaling = Fields::inside(settings);
    if scaling.number("partial_rotary_factor")?.is_some_and(|share| share != 1.0) {
        return Err(LoadError::unsupported("partly rotated heads"));
    }
    let base = match scaling.number("rope_theta")? {
        Some(base) => base,
        None => fields.number("rope_theta")?.unwrap_or(architecture.hf.rope_base),
    };
    let needed = |key: &str| match scaling.number(key)? {
        Some(number) => Ok(number),
        // Some have it outside.
        None => fields.number(key)?.ok_or_else(|| missing(&format!("the rotary {key}"))),
    };
    let rope = Rope::unscaled(RopeLayout::NeoX, head_dim, base);
    match scaling.text("rope_type").or_else(|| scaling.text("type")).unwrap_or("default") {
        // Text has one position, not one in each direction.
        "default" | "mrope" => Ok(rope),
        "linear" => Ok(Rope { linear_scale: needed("factor")?, ..rope }),
        "llama3" => {
            let factors = llama3_factors(
                head_dim,
                base,
                needed("factor")?,
                needed("low_freq_factor")?,
                needed("high_freq_factor")?,
                needed("original_max_position_embeddings")?,
            );
            Ok(Rope { factors: Some(factors), ..rope })
        }
        "yarn" => yarn(fields, scaling, rope),
        other => Err(LoadError::beyond(format!("rotary scaling of type {other}"))),
    }
}

/// RoPE base of the blocks with a sliding window, where the file gives one.
pub(super) fn windowed_base(fields: Fields<'_>) -> Result<Option<f64>, LoadError> {
    let settings = fields.get("rope_parameters").and_then(|rope| rope.get("sliding_attention"));
    match Fields::inside(settings).number("rope_theta")? {
        Some(base) => Ok(Some(base)),
        None => fields.number("rope_local_base_freq"),
    }
}

fn yarn(fields: Fields<'_>, scaling: Fields<'_>, rope: Rope) -> Result<Rope, LoadError> {
    let mut unsupported =
        ["mscale", "mscale_all_dim"].into_iter().filter(|key| scaling.get(key).is_some());
    let truncate = scaling.bool("truncate") == Some(false);
    if let Some(key) = unsupported.next().or(truncate.then_some("truncate: false")) {
        return Err(LoadError::unsupported(format!("rotary scaling of type yarn with {key}")));
    }
    let or = |key: &str, default: f64| Ok(scaling.number(key)?.unwrap_or(default));
    const ORIGINAL: &str = "original_max_position_embeddings";
    let original_context = match scaling.number(ORIGINAL)?.or(fields.number(ORIGINAL)?) {
        Some(context) => context,
        None => fields
            .number("max_position_embeddings")?
            .ok_or_else(|| missing("max_position_embeddings"))?,
    };
    let factor = scaling.number("factor")?.ok_or_else(|| missing("the rotary factor"))?;
    let yarn = rope.with_yarn(&YarnScaling {
        factor,
        original_context,
        beta_fast: or("beta_fast", YarnScaling::BETA_FAST)?,
        beta_slow: or("beta_slow", YarnScaling::BETA_SLOW)?,
        attention_factor: 1.0,
    });
    #[allow(clippy::cast_possible_truncation)]
    Ok(match scaling.number("attention_factor")? {
        Some(magnitude) => Rope { magnitude: magnitude as f32, ..yarn },
        None => yarn,
    })
}
