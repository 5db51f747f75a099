//! RoPE and its scaling from `config.json`.

use super::json::{Fields, missing, out_of_range};
use crate::arch::Architecture;
use crate::config::{Rope, RopeFactors, RopeLayout, YarnScaling, llama3_factors};
use crate::error::LoadError;

const ORIGINAL: &str = "original_max_position_embeddings";

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
    let dims = rotated(fields, scaling, head_dim)?;
    let base = match scaling.number("rope_theta")? {
        Some(base) => base,
        None => fields.number("rope_theta")?.unwrap_or(architecture.hf.rope_base),
    };
    let needed = |key: &str| match scaling.number(key)? {
        Some(number) => Ok(number),
        // Some have it outside.
        None => fields.number(key)?.ok_or_else(|| missing(&format!("the rotary {key}"))),
    };
    let rope = Rope::unscaled(RopeLayout::NeoX, dims, base);
    match scaling.text("rope_type").or_else(|| scaling.text("type")).unwrap_or("default") {
        // Text has one position, not one in each direction.
        "default" | "mrope" => Ok(rope),
        "linear" => Ok(Rope { linear_scale: needed("factor")?, ..rope }),
        "llama3" => {
            let factors = llama3_factors(
                dims,
                base,
                needed("factor")?,
                needed("low_freq_factor")?,
                needed("high_freq_factor")?,
                needed(ORIGINAL)?,
            );
            Ok(Rope { factors: Some(RopeFactors::Any(factors)), ..rope })
        }
        "longrope" | "su" => longrope(fields, scaling, &rope),
        // Early files of Phi-3 call it so.
        "yarn" if scaling.get("long_factor").is_some() => longrope(fields, scaling, &rope),
        "yarn" => yarn(fields, scaling, rope),
        other => Err(LoadError::beyond(format!("rotary scaling of type {other}"))),
    }
}

/// How many values of a head are rotated.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rotated(fields: Fields<'_>, scaling: Fields<'_>, head_dim: usize) -> Result<usize, LoadError> {
    const SHARE: &str = "partial_rotary_factor";
    let share = match scaling.number(SHARE)? {
        Some(share) => share,
        None => fields.number(SHARE)?.unwrap_or(1.0),
    };
    // Rounded down, as transformers does.
    let dims = (head_dim as f64 * share) as usize;
    match dims.is_multiple_of(2) && (2..=head_dim).contains(&dims) {
        true => Ok(dims),
        false => Err(LoadError::unsupported(format!(
            "partly rotated heads: {dims} values of {head_dim}"
        ))),
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

/// LongRoPE, as in Hugging Face's `_compute_longrope_parameters`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn longrope(fields: Fields<'_>, scaling: Fields<'_>, rope: &Rope) -> Result<Rope, LoadError> {
    let mut unsupported =
        ["short_mscale", "long_mscale"].into_iter().filter(|key| scaling.get(key).is_some());
    if let Some(key) = unsupported.next() {
        return Err(LoadError::beyond(format!("rotary scaling of type longrope with {key}")));
    }
    let pairs = rope.dims / 2;
    let factors = RopeFactors::ByContext {
        short: scaling.divisors("short_factor", pairs)?,
        long: scaling.divisors("long_factor", pairs)?,
    };
    let context = fields
        .number("max_position_embeddings")?
        .ok_or_else(|| missing("max_position_embeddings"))?;
    let trained = scaling.number(ORIGINAL)?.or(fields.number(ORIGINAL)?).unwrap_or(context);
    let factor = scaling.number("factor")?.unwrap_or(context / trained);
    let magnitude = match scaling.number("attention_factor")? {
        Some(magnitude) => magnitude,
        None if factor <= 1.0 => 1.0,
        None => (1.0 + factor.ln() / trained.ln()).sqrt(),
    } as f32;
    if !(magnitude.is_normal() && magnitude > 0.0) {
        return Err(out_of_range(ORIGINAL));
    }
    let trained_context = trained as usize;
    Ok(Rope { factors: Some(factors), trained_context, magnitude, ..rope.clone() })
}

fn yarn(fields: Fields<'_>, scaling: Fields<'_>, rope: Rope) -> Result<Rope, LoadError> {
    let mut unsupported =
        ["mscale", "mscale_all_dim"].into_iter().filter(|key| scaling.get(key).is_some());
    if let Some(key) = unsupported.next() {
        return Err(LoadError::unsupported(format!("rotary scaling of type yarn with {key}")));
    }
    let or = |key: &str, default: f64| Ok(scaling.number(key)?.unwrap_or(default));
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
        rounds: scaling.bool("truncate").unwrap_or(true),
    });
    #[allow(clippy::cast_possible_truncation)]
    Ok(match scaling.number("attention_factor")? {
        Some(magnitude) => Rope { magnitude: magnitude as f32, ..yarn },
        None => yarn,
    })
}
