//! The field `personaguard`: what to tell of the answer's scores, and what is asked beyond the
//! policies.

use super::fields::{Fields, unsupported, wrong_type};
use crate::guard::{Demand, Demands};
use crate::serve::error::ApiError;
use personaguard_terms::Coefficient;
use serde_json::{Map, Value};

/// Traits that a request may ask for more about, at most.
const MAX_DEMANDS: usize = 16;
/// Longest name of a PersonaVector in bytes.
const MAX_VECTOR_NAME: usize = 63;

/// The field `personaguard` of a request: what to tell about the answer's scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct Extension {
    /// Scores of each trait.
    pub(in crate::serve) scores: bool,
    /// Projections of each token.
    pub(in crate::serve) tokens: bool,
}

impl Extension {
    pub(in crate::serve) fn any(self) -> bool {
        self.scores || self.tokens
    }
}

/// The field `personaguard` of a request to another server, which tells no scores.
pub(crate) fn demands_of(value: Value) -> Result<Demands, ApiError> {
    let map = Map::from_iter([("personaguard".to_owned(), value)]);
    let (asked, demands) = extension(&mut Fields::new(map, ""))?;
    if asked.any() {
        let message =
            "Scores are told in placement Serve only; here see the audit log and the metrics.";
        return Err(unsupported("personaguard", message));
    }
    Ok(demands)
}

pub(super) fn extension(fields: &mut Fields) -> Result<(Extension, Demands), ApiError> {
    let Some(mut options) = fields.object("personaguard")? else { return Ok(Default::default()) };
    let scores = options.boolean("scores")?.unwrap_or(false);
    let tokens = options.boolean("tokens")?.unwrap_or(false);
    let demands = match options.take("traits") {
        None => Demands::new(),
        Some(Value::Object(traits)) => demands(traits)?,
        Some(other) => {
            return Err(wrong_type("personaguard.traits".to_owned(), "an object", &other));
        }
    };
    options.done()?;
    Ok((Extension { scores, tokens }, demands))
}

/// `{"VECTOR": {"block", "max", "min", "coefficient"}}`.
fn demands(traits: Map<String, Value>) -> Result<Demands, ApiError> {
    if traits.len() > MAX_DEMANDS || traits.keys().any(|vector| vector.len() > MAX_VECTOR_NAME) {
        let message = format!(
            "Invalid 'personaguard.traits': at most {MAX_DEMANDS} traits, by the names of their PersonaVectors."
        );
        return Err(ApiError::invalid("personaguard.traits", "invalid_value", message));
    }
    traits.into_iter().map(|(vector, value)| Ok((vector, demand(value)?))).collect()
}

fn demand(value: Value) -> Result<Demand, ApiError> {
    const PATH: &str = "personaguard.traits";
    let Value::Object(map) = value else {
        return Err(wrong_type(PATH.to_owned(), "an object for each trait", &value));
    };
    let mut fields = Fields::new(map, PATH);
    let limit = Coefficient::LIMIT;
    let coefficient = fields.double("coefficient", -limit..=limit)?;
    let demand = Demand {
        block: fields.boolean("block")?.unwrap_or(false),
        max: fields.double("max", f64::MIN..=f64::MAX)?,
        min: fields.double("min", f64::MIN..=f64::MAX)?,
        // Within the limits, see above.
        coefficient: coefficient.and_then(|coefficient| Coefficient::try_from(coefficient).ok()),
    };
    fields.done()?;
    Ok(demand)
}
