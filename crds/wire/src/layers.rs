//! Parts of a vector: what steering and caps at further layers use, each under its own name.

use crate::guard_config::ResolvedPolicy;
use personaguard_terms::{Action, Layer};

/// What a config folder holds of a persona vector in addition to its own layer, under
/// [`Part::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The vector at this layer, v_ℓ.
    At(Layer),
    /// What this layer adds to it, v_ℓ − v_{ℓ−1}.
    Increment(Layer),
}

impl Part {
    /// The layer ℓ.
    #[must_use]
    pub fn layer(self) -> Layer {
        match self {
            Self::At(layer) | Self::Increment(layer) => layer,
        }
    }

    /// Its name: `evil/18`, or `evil/18-17`. Names of `PersonaVector`s contain no slash.
    #[must_use]
    pub fn name(self, vector: &str) -> String {
        match self {
            Self::At(layer) => format!("{vector}/{layer}"),
            Self::Increment(layer) => format!("{vector}/{layer}-{}", layer.0.saturating_sub(1)),
        }
    }

    /// Whether a vector's name in a config is that of a part.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        name.contains('/')
    }

    /// Its values, given the vector at layers 0, 1, … `None` if there is no such layer, and for
    /// layer 0: the embedding output cannot be changed.
    #[must_use]
    pub fn values(self, layers: &[Vec<f32>]) -> Option<Vec<f32>> {
        let at = usize::try_from(self.layer().0).ok()?;
        let (own, below) = (layers.get(at)?, layers.get(at.checked_sub(1)?)?);
        Some(match self {
            Self::At(_) => own.clone(),
            Self::Increment(_) => own.iter().zip(below).map(|(own, below)| own - below).collect(),
        })
    }
}

/// Parts that an action uses, in rising order of layers.
#[must_use]
pub fn parts(action: &Action) -> Vec<Part> {
    let mut parts: Vec<_> = match action {
        Action::Steer(steering) => steering.layers.iter().copied().map(Part::Increment).collect(),
        Action::Cap(capping) => {
            capping.layers.iter().map(|bounds| Part::At(bounds.layer)).collect()
        }
        Action::Audit
        | Action::Alert
        | Action::Regenerate(_)
        | Action::Redact(_)
        | Action::Block => Vec::new(),
    };
    parts.sort_unstable();
    parts
}

impl ResolvedPolicy {
    /// Names of all the config's vectors that it uses, parts included.
    pub fn vectors(&self) -> impl Iterator<Item = String> {
        self.traits.iter().flat_map(|rule| {
            let parts = parts(&rule.action);
            let parts = parts.into_iter().map(|part| part.name(&rule.vector));
            std::iter::once(rule.vector.clone()).chain(parts)
        })
    }
}

#[cfg(test)]
mod tests;
