//! What a request asks of the guard, by its field `personaguard`.

use crate::http::ApiError;
use crate::openai::{ExtensionBody, TraitOverrides, invalid, number, typed, unsupported};
use personaguard_guard::{Override, Overrides};
use personaguard_terms::Coefficient;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Traits of one request at most.
const MAX_TRAITS: usize = 16;
/// Longest name of a PersonaVector in bytes.
const MAX_VECTOR_NAME: usize = 63;

/// What a response reports of its scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReportOptions {
    /// The scores of each trait.
    pub(crate) scores: bool,
    /// The projections of each token.
    pub(crate) tokens: bool,
}

impl ReportOptions {
    pub(crate) fn any(self) -> bool {
        self.scores || self.tokens
    }
}

/// What the field asks for: a report, and overrides of the policies.
pub(crate) fn extension(body: ExtensionBody) -> Result<(ReportOptions, Overrides), ApiError> {
    let ExtensionBody { scores, tokens, traits } = body;
    if traits.len() > MAX_TRAITS || traits.keys().any(|vector| vector.len() > MAX_VECTOR_NAME) {
        let message = format!(
            "Invalid 'personaguard.traits': at most {MAX_TRAITS} traits, by the names of their \
             PersonaVectors."
        );
        return Err(invalid("personaguard.traits", message));
    }
    let overrides = traits.into_iter().map(|(vector, asked)| Ok((vector, check(&asked)?)));
    Ok((ReportOptions { scores, tokens }, overrides.collect::<Result<_, ApiError>>()?))
}

fn check(asked: &TraitOverrides) -> Result<Override, ApiError> {
    let limit = Coefficient::LIMIT;
    let coefficient = number("personaguard.traits.coefficient", asked.coefficient, -limit..=limit)?;
    Ok(Override {
        block: asked.block,
        max: asked.max,
        min: asked.min,
        // Within the limits, see above.
        coefficient: coefficient.and_then(|coefficient| Coefficient::try_from(coefficient).ok()),
    })
}

/// The overrides of a request to another server, whose responses report no scores.
pub(crate) fn overrides_only(value: Value) -> Result<Overrides, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        personaguard: ExtensionBody,
    }
    let body: Body = typed(Map::from_iter([("personaguard".to_owned(), value)]))?;
    let (report, overrides) = extension(body.personaguard)?;
    if report.any() {
        let message =
            "Scores are told in placement Serve only; here see the audit log and the metrics.";
        return Err(unsupported("personaguard", message));
    }
    Ok(overrides)
}
