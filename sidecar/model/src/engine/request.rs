//! What a caller asks of the engine.

use super::grammar::Grammar;
use std::sync::Arc;

/// A direction on which one layer's residual stream is read out, once for each token.
///
/// The read-out is the projection ⟨a, v⟩ / ‖v‖, in the units of the residual stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    pub(crate) layer: usize,
    /// Unit length.
    pub(crate) direction: Arc<[f32]>,
}

impl Probe {
    /// A probe at `layer` (0..=layers) along `vector` (hidden values, any length but zero).
    ///
    /// # Errors
    /// The vector is zero or holds a value that is not finite. Whether layer and width fit the
    /// model is told at submit.
    pub fn new(layer: usize, vector: &[f32]) -> Result<Self, VectorError> {
        Ok(Self { layer, direction: unit(vector)? })
    }

    /// The layer that is read, 0..=layers.
    #[must_use]
    pub fn layer(&self) -> usize {
        self.layer
    }
}

/// A change of one layer's residual stream, after the probes of that layer have read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Intervention {
    pub(crate) layer: usize,
    pub(crate) positions: Positions,
    pub(crate) change: Change,
    pub(crate) gate: Option<Gate>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// h ← h + v (the coefficient is already in v).
    Add(Arc<[f32]>),
    /// The projection on the unit vector is kept within floor and ceiling.
    Cap { unit: Arc<[f32]>, floor: f32, ceiling: f32 },
}

impl Change {
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Add(vector) => vector.len(),
            Self::Cap { unit, .. } => unit.len(),
        }
    }
}

/// When an [`Intervention`] acts on the response: while the projection on a probe lies above a
/// bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gate {
    /// Number of the probe in the request, at a layer not above the intervention's.
    pub probe: usize,
    /// Where the projection is read.
    pub at: GateAt,
    /// Opens above this.
    pub above: f32,
    /// Once open, closes where the projection is no longer above this. At most `above`.
    pub until: f32,
}

/// Where a [`Gate`] reads its projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateAt {
    /// At the last prompt token, for the whole response.
    PromptLast,
    /// At each response token, for that token.
    Token,
}

impl Intervention {
    /// The same change of the response, only while the gate is open. Where it never opens, the
    /// response is, to the bit, the one without the change.
    #[must_use]
    pub fn when(self, gate: Gate) -> Self {
        Self { positions: Positions::Response, gate: Some(gate), ..self }
    }

    /// Steering: h ← h + coefficient · vector at `layer` (0..=layers), with the vector as it is,
    /// not normalised.
    ///
    /// # Errors
    /// A value is not finite, or the vector is zero.
    pub fn add(
        layer: usize,
        vector: &[f32],
        coefficient: f32,
        positions: Positions,
    ) -> Result<Self, VectorError> {
        norm(vector)?;
        let scaled: Arc<[f32]> = vector.iter().map(|v| v * coefficient).collect();
        if scaled.iter().any(|v| !v.is_finite()) {
            return Err(VectorError::NotFinite);
        }
        Ok(Self { layer, positions, change: Change::Add(scaled), gate: None })
    }

    /// Capping: keeps the projection ⟨h, v̂⟩ at `layer` (0..=layers) within `floor..=ceiling`, in
    /// the units of a [`Probe`] on the same vector. `None` leaves a side open.
    ///
    /// # Errors
    /// The vector is zero, a value is not finite, or the floor lies above the ceiling.
    pub fn cap(
        layer: usize,
        vector: &[f32],
        floor: Option<f32>,
        ceiling: Option<f32>,
        positions: Positions,
    ) -> Result<Self, VectorError> {
        if [floor, ceiling].into_iter().flatten().any(|bound| !bound.is_finite()) {
            return Err(VectorError::NotFinite);
        }
        let floor = floor.unwrap_or(f32::NEG_INFINITY);
        let ceiling = ceiling.unwrap_or(f32::INFINITY);
        if floor > ceiling {
            return Err(VectorError::FloorAboveCeiling { floor, ceiling });
        }
        Ok(Self {
            layer,
            positions,
            change: Change::Cap { unit: unit(vector)?, floor, ceiling },
            gate: None,
        })
    }

    /// The layer that is changed, 0..=layers.
    #[must_use]
    pub fn layer(&self) -> usize {
        self.layer
    }
}

/// The positions at which an [`Intervention`] acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Positions {
    /// Response tokens: every position after the prompt's last. (The first response token is
    /// sampled from the last prompt position, which is not changed.)
    #[default]
    Response,
    /// Prompt tokens.
    Prompt,
    /// Both.
    All,
}

impl Positions {
    /// Whether the position is changed, in a sequence whose prompt has `prompt_tokens` tokens.
    pub(crate) fn include(self, position: usize, prompt_tokens: usize) -> bool {
        match self {
            Self::Response => position >= prompt_tokens,
            Self::Prompt => position < prompt_tokens,
            Self::All => true,
        }
    }
}

/// Why a vector makes no probe or intervention.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum VectorError {
    /// Nothing can be projected on it.
    #[error("the vector is zero: check the file it was read from, and that this layer is in it")]
    Zero,
    /// NaN or infinity, in the vector, the coefficient or a bound.
    #[error(
        "the vector, its coefficient or a bound holds a value that is not finite: make the vector anew"
    )]
    NotFinite,
    /// A cap that nothing can satisfy.
    #[error("the floor {floor} is above the ceiling {ceiling}: swap them")]
    FloorAboveCeiling {
        /// Lower bound given.
        floor: f32,
        /// Upper bound given.
        ceiling: f32,
    },
}

fn norm(vector: &[f32]) -> Result<f64, VectorError> {
    let norm = vector.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
    match norm {
        n if !n.is_finite() => Err(VectorError::NotFinite),
        0.0 => Err(VectorError::Zero),
        n => Ok(n),
    }
}

fn unit(vector: &[f32]) -> Result<Arc<[f32]>, VectorError> {
    let norm = norm(vector)?;
    #[allow(clippy::cast_possible_truncation)]
    Ok(vector.iter().map(|&v| (f64::from(v) / norm) as f32).collect())
}

/// How the next token is chosen. The default is greedy: temperature 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0 takes the likeliest token; 1 samples from the model's own distribution. Finite, at least
    /// 0.
    pub temperature: f32,
    /// Smallest set of tokens whose probabilities reach this sum, in (0, 1]. 1 keeps all.
    pub top_p: f32,
    /// This many of the likeliest tokens. `None` keeps all.
    pub top_k: Option<usize>,
    /// Tokens at least this fraction as likely as the likeliest, in 0..=1. 0 keeps all.
    pub min_p: f32,
    /// Subtracted from the logit of every token that the response already holds, in -2..=2 for
    /// OpenAI's API.
    pub presence_penalty: f32,
    /// Subtracted from the logit once for each time the response already holds the token.
    pub frequency_penalty: f32,
    /// Makes sampling repeatable. `None` draws a seed for each request.
    pub seed: Option<u64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            seed: None,
        }
    }
}

/// A request to continue a prompt.
#[derive(Clone, Debug, Default)]
pub struct GenerateRequest {
    /// Prompt tokens, from [`crate::Model::chat_prompt`] or [`crate::Tokenizer::encode`]. At least
    /// one.
    pub prompt: Vec<u32>,
    /// Most tokens to generate, at least 1. What the context has left is the limit where that is
    /// less.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end the response; the text of the one that was found, and what follows it, is not
    /// emitted.
    pub stop: Vec<String>,
    /// What the response must look like. It ends where nothing can follow; where it ends for
    /// another reason, it may be the beginning of such a text only.
    pub grammar: Option<Grammar>,
    /// Alternatives to report with each token, likeliest first: 0..=20.
    pub top_logprobs: usize,
    /// Read-outs, at most 256. Their order is that of every `projections` list.
    pub probes: Arc<[Probe]>,
    /// Changes of the residual stream, at most 256, applied in this order within a layer.
    pub interventions: Arc<[Intervention]>,
    /// Whether the end brings mean hidden states of every layer.
    pub capture: Capture,
}

/// A request to read the activations of a given response: one teacher-forced pass.
#[derive(Clone, Debug, Default)]
pub struct ScoreRequest {
    /// Prompt tokens. At least one.
    pub prompt: Vec<u32>,
    /// Response tokens. May be empty: then only the prompt is read.
    pub response: Vec<u32>,
    /// Read-outs, at most 256.
    pub probes: Arc<[Probe]>,
    /// Changes of the residual stream while reading, at most 256.
    pub interventions: Arc<[Intervention]>,
    /// Whether to return mean hidden states of every layer.
    pub capture: Capture,
    /// Leaves [`crate::Score::logprobs`] empty, and saves the output head's product for each token.
    pub skip_logprobs: bool,
}

/// Whether a request returns hidden states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Capture {
    /// Projections and likelihood only.
    #[default]
    None,
    /// Means over the response's tokens at every layer; those of the prompt stay empty, so that its
    /// beginning may come from the cache.
    ResponseStates,
    /// Means of the hidden state at every layer, for extracting persona vectors. Every token is
    /// computed.
    MeanStates,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_unit_vectors() {
        let probe = Probe::new(3, &[3.0, 0.0, 4.0]).unwrap();
        assert_eq!(probe.direction.as_ref(), [0.6, 0.0, 0.8]);
        assert_eq!(Probe::new(3, &[0.0; 3]), Err(VectorError::Zero));
        assert_eq!(Probe::new(3, &[f32::NAN]), Err(VectorError::NotFinite));
    }

    #[test]
    fn a_cap_needs_floor_below_ceiling() {
        let cap = |floor, ceiling| Intervention::cap(1, &[1.0], floor, ceiling, Positions::All);
        assert!(cap(Some(1.0), Some(1.0)).is_ok() && cap(None, Some(-3.0)).is_ok());
        assert_eq!(
            cap(Some(2.0), Some(1.0)),
            Err(VectorError::FloorAboveCeiling { floor: 2.0, ceiling: 1.0 })
        );
        assert_eq!(cap(Some(f32::NAN), None), Err(VectorError::NotFinite));
    }

    #[test]
    fn positions_split_at_the_prompts_end() {
        let at = |positions: Positions| [1, 2].map(|position| positions.include(position, 2));
        assert_eq!(at(Positions::Prompt), [true, false]);
        assert_eq!(at(Positions::Response), [false, true]);
        assert_eq!(at(Positions::All), [true, true]);
    }
}
