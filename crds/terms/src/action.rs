//! What to do about a trait.

use crate::cap::Capping;
use crate::quantity::Coefficient;
use crate::steer::Steering;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumDiscriminants, IntoStaticStr, VariantArray};

/// What to do about a trait, and with which parameters. From the least to the most intrusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, EnumDiscriminants)]
#[strum_discriminants(
    name(ActionKind),
    derive(JsonSchema, PartialOrd, Ord, Hash, Serialize, Deserialize, IntoStaticStr, VariantArray),
    doc = "An [`Action`] without its parameters, from the least to the most intrusive."
)]
pub enum Action {
    /// Record the score.
    Audit,
    /// Record it, and notify people of a breach.
    Alert,
    /// Add the vector, times a coefficient, to the activations of every answer. Alert on a breach.
    Steer(Steering),
    /// Keep the projection of the activations between a floor and a ceiling. Alert on a breach.
    Cap(Capping),
    /// Generate an answer past its threshold again, steered, and send the one that scores best.
    Regenerate(Regeneration),
    /// Replace the first breaching sentence, and everything after it, by a fixed text.
    Redact(Redaction),
    /// Stop an answer at the breach; what would have followed never leaves the sidecar.
    Block,
}

impl Action {
    /// The action without its parameters.
    #[must_use]
    pub fn kind(&self) -> ActionKind {
        self.into()
    }

    /// Whether it holds tokens back until they are decided on.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.kind().holds()
    }

    /// Whether its parameters make sense. The API server checks the same; manifests that are read
    /// from a folder had none.
    ///
    /// # Errors
    /// If they do not; the message says what to give.
    pub fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Steer(steering) => steering.check(),
            Self::Cap(capping) => capping.check(),
            Self::Audit | Self::Alert | Self::Regenerate(_) | Self::Redact(_) | Self::Block => {
                Ok(())
            }
        }
    }
}

/// What sets an action apart from the others.
struct Profile {
    /// What it does, for the reference of a policy's field `action`.
    effect: &'static str,
    /// The field of a policy that holds its parameters, and what to give in it.
    parameters: Option<(&'static str, &'static str)>,
    needs_threshold: bool,
    changes_activations: bool,
    release: Release,
    severity: &'static str,
}

/// What most actions have in common.
const USUAL: Profile = Profile {
    effect: "",
    parameters: None,
    needs_threshold: true,
    changes_activations: false,
    release: Release::AtOnce,
    severity: "warning",
};

impl ActionKind {
    fn profile(self) -> Profile {
        match self {
            Self::Audit => Profile {
                effect: "record the score",
                needs_threshold: false,
                severity: "info",
                ..USUAL
            },
            Self::Alert => Profile { effect: "also notify people of a breach", ..USUAL },
            Self::Steer => Profile {
                effect: "add the vector, times a coefficient, to the activations of every \
                         answer, and alert on a breach",
                parameters: Some(("steer", "steer.coefficient")),
                needs_threshold: false,
                changes_activations: true,
                ..USUAL
            },
            Self::Cap => Profile {
                effect: "keep the projection of the activations between a floor and a ceiling, \
                         and alert on a breach",
                parameters: Some(("cap", "cap.floor or cap.ceiling")),
                needs_threshold: false,
                changes_activations: true,
                ..USUAL
            },
            Self::Regenerate => Profile {
                effect: "generate an answer past its threshold again, steered, and send the one \
                         that scores best",
                parameters: Some(("regenerate", "regenerate.coefficient")),
                changes_activations: true,
                release: Release::AtEnd,
                ..USUAL
            },
            Self::Redact => Profile {
                effect: "replace the first breaching sentence, and everything after it, by a \
                         fixed text",
                parameters: Some(("redact", "redact.text")),
                release: Release::BySentence,
                severity: "critical",
                ..USUAL
            },
            Self::Block => Profile {
                effect: "stop an answer at the breach; what would have followed never leaves \
                         the sidecar",
                release: Release::ByToken,
                severity: "critical",
                ..USUAL
            },
        }
    }

    /// The action, if it has no parameters.
    #[must_use]
    pub fn without_parameters(self) -> Option<Action> {
        match self {
            Self::Audit => Some(Action::Audit),
            Self::Alert => Some(Action::Alert),
            Self::Block => Some(Action::Block),
            Self::Steer | Self::Cap | Self::Regenerate | Self::Redact => None,
        }
    }

    /// Its name, as policies, reports and metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What it does: the end of a sentence, without the full stop.
    #[must_use]
    pub fn effect(self) -> &'static str {
        self.profile().effect
    }

    /// The field of a policy that holds its parameters, and what to give in it; `None` for an
    /// action without parameters.
    #[must_use]
    pub fn parameters(self) -> Option<(&'static str, &'static str)> {
        self.profile().parameters
    }

    /// Whether it does nothing without a threshold.
    #[must_use]
    pub fn needs_threshold(self) -> bool {
        self.profile().needs_threshold
    }

    /// Whether it changes activations, or steers further attempts. Another server's cannot be
    /// changed, so such an action does not work in placement Proxy.
    #[must_use]
    pub fn changes_activations(self) -> bool {
        self.profile().changes_activations
    }

    /// When an answer may leave under it.
    #[must_use]
    pub fn release(self) -> Release {
        self.profile().release
    }

    /// Severity of the alert about a breach.
    #[must_use]
    pub fn severity(self) -> &'static str {
        self.profile().severity
    }

    /// Whether people are notified of a breach.
    #[must_use]
    pub fn notifies(self) -> bool {
        self >= Self::Alert
    }

    /// Whether it can change an answer.
    #[must_use]
    pub fn intervenes(self) -> bool {
        self > Self::Alert
    }

    /// Whether it holds tokens back until they are decided on.
    #[must_use]
    pub fn holds(self) -> bool {
        self.release() != Release::AtOnce
    }

    /// Whether a breach cuts the answer.
    #[must_use]
    pub fn cuts(self) -> bool {
        matches!(self.release(), Release::ByToken | Release::BySentence)
    }

    /// Names of the actions of which something holds, as in "Audit, Alert or Block".
    #[must_use]
    pub fn list(of: impl Fn(Self) -> bool, conjunction: &str) -> String {
        let names: Vec<_> = Self::all().filter(|kind| of(*kind)).map(Self::name).collect();
        match names.as_slice() {
            [] => String::new(),
            [only] => (*only).to_owned(),
            [first @ .., last] => format!("{} {conjunction} {last}", first.join(", ")),
        }
    }

    /// Every action, from the least to the most intrusive.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        Self::VARIANTS.iter().copied()
    }
}

/// When an answer may leave under an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// At once, whatever it scores.
    AtOnce,
    /// Each token once it has been judged; a breach cuts the answer.
    ByToken,
    /// Each sentence once it has been judged; a breach cuts the answer.
    BySentence,
    /// As a whole, once its end has been judged.
    AtEnd,
}

/// How to generate an answer again.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Regeneration {
    /// Most further attempts, 1 to 4. Default: 2.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 1, max = 4))]
    pub attempts: u32,
    /// Steering coefficient of the first further attempt, −4 to 4. The second is steered twice as
    /// far, and so on, up to −4 or 4.
    pub coefficient: Coefficient,
}

fn default_attempts() -> u32 {
    2
}

/// What to say instead of a breaching sentence.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Redaction {
    /// Replaces the first breaching sentence and everything after it; at most 2000 characters.
    #[schemars(length(max = 2000))]
    pub text: String,
}

#[cfg(test)]
mod tests;
