//! What a person reads about a finetuned model.

use personaguard_persona::shift::FinetuningShift;
use std::fmt;

/// How far a finetuned model moved along each trait.
#[derive(Clone, Debug)]
pub struct VerifyReport {
    /// Shifts by trait.
    pub traits: Vec<TraitShift>,
    /// Largest shift that passes, in standard deviations.
    pub limit: f64,
    /// Number of prompts.
    pub prompts: usize,
}

/// The shift along one trait.
#[derive(Clone, Debug)]
pub struct TraitShift {
    /// Name of the trait.
    pub name: String,
    /// The layer that it was measured at.
    pub layer: u32,
    /// The shift.
    pub shift: FinetuningShift,
}

impl VerifyReport {
    /// Names of the traits that the model moved towards past the limit. A shift that is no number
    /// is past every limit, and any shift is past a limit that is none.
    #[must_use]
    pub fn exceeded(&self) -> Vec<&str> {
        let past = self.traits.iter().filter(|moved| !self.is_within(moved));
        past.map(|moved| moved.name.as_str()).collect()
    }

    fn is_within(&self, moved: &TraitShift) -> bool {
        moved.shift.mean.is_finite() && moved.shift.sigmas <= self.limit
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<16} layer  shift ± error            in sigmas  limit", "trait")?;
        for moved @ TraitShift { name, layer, shift } in &self.traits {
            writeln!(
                f,
                "{name:<16} {layer:>5}  {:>9.4} ± {:<9.4}  {:>10.3}  {:>5} ({})",
                shift.mean,
                shift.error,
                shift.sigmas,
                self.limit,
                if self.is_within(moved) { "within" } else { "PAST" }
            )?;
        }
        if self.exceeded().is_empty() {
            writeln!(f, "No trait moved past the limit, over {} prompts.", self.prompts)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
