//! How large a schema may become when it is compiled.
//!
//! The compiler intersects what stands side by side (`allOf`, `anyOf`, `$ref`, properties …) and
//! distributes the result over alternatives: twenty lines can become a million alternatives. The
//! intersection of two schemas is at most as large as the product of their sizes, and this product
//! is bounded here before anything is compiled.

use super::error::GrammarError;
use serde_json::{Map, Value};

/// Largest size.
const MAX_SIZE: u64 = 200_000;
/// Most schemas that are visited, counting those that references lead to.
const MAX_VISITS: usize = 50_000;
/// Largest bound on items, characters or properties.
const MAX_COUNT: u64 = 10_000;

const TOO_MANY_ALTERNATIVES: GrammarError = GrammarError::TooLarge(
    "the schema combines too many alternatives: use less of allOf, anyOf and $ref side by side",
);
const COUNT_TOO_LARGE: GrammarError = GrammarError::TooLarge(
    "the schema counts items, characters or properties beyond 10,000: leave the bound out",
);

/// Keywords that constrain nothing.
const ANNOTATIONS: [&str; 12] = [
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "x-guidance",
];

/// Checks schemas that make one grammar.
///
/// # Errors
/// Together they could become too large.
pub(super) fn check<'a>(schemas: impl IntoIterator<Item = &'a Value>) -> Result<(), GrammarError> {
    let (mut visits, mut size) = (0, 0_u64);
    for schema in schemas {
        let mut walk = Walk { root: schema, visits, open: Vec::new() };
        size = size.saturating_add(walk.size_of(schema, false)?);
        visits = walk.visits;
    }
    if size > MAX_SIZE { Err(TOO_MANY_ALTERNATIVES) } else { Ok(()) }
}

struct Walk<'a> {
    root: &'a Value,
    visits: usize,
    /// References that are being followed, which end a circle.
    open: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// The size of a schema. `intersected` tells whether it is intersected with others, so that its
    /// references are resolved.
    fn size_of(&mut self, schema: &'a Value, intersected: bool) -> Result<u64, GrammarError> {
        self.visits += 1;
        if self.visits > MAX_VISITS {
            return Err(TOO_MANY_ALTERNATIVES);
        }
        let Value::Object(map) = schema else { return Ok(1) };
        check_counts(map)?;
        let combines =
            |key: &str| matches!(key, "allOf" | "anyOf" | "oneOf" | "$ref" | "enum" | "const");
        let applied = map.keys().filter(|key| combines(key)).count();
        let own = map.keys().any(|key| !combines(key) && !ANNOTATIONS.contains(&key.as_str()));
        let intersected =
            intersected || applied + usize::from(own) > 1 || list(map, "allOf").len() > 1;
        let mut product = 1_u64;
        let mut size = 1_u64;
        for (key, value) in map {
            match key.as_str() {
                "allOf" => {
                    for part in list(map, key) {
                        product = product.saturating_mul(self.size_of(part, intersected)?);
                    }
                }
                "anyOf" | "oneOf" => {
                    product = product.saturating_mul(self.sum(list(map, key), intersected)?);
                }
                "enum" => product = product.saturating_mul(list(map, key).len().max(1) as u64),
                "$ref" if intersected => product = product.saturating_mul(self.follow(value)?),
                // Definitions are measured separately.
                "$defs" | "definitions" => {
                    size = size.saturating_add(self.sum(parts(value), false)?);
                }
                "properties" | "patternProperties" => {
                    size = size.saturating_add(self.sum(parts(value), intersected)?);
                }
                "prefixItems" => size = size.saturating_add(self.sum(list(map, key), intersected)?),
                "items"
                | "additionalItems"
                | "additionalProperties"
                | "not"
                | "contains"
                | "propertyNames" => {
                    size = size.saturating_add(self.size_of(value, intersected)?);
                }
                _ => {}
            }
        }
        Ok(product.saturating_mul(size))
    }

    /// The sum of the sizes of alternatives, at least 1.
    fn sum(
        &mut self,
        schemas: impl IntoIterator<Item = &'a Value>,
        intersected: bool,
    ) -> Result<u64, GrammarError> {
        let mut sum = 0_u64;
        for schema in schemas {
            sum = sum.saturating_add(self.size_of(schema, intersected)?);
        }
        Ok(sum.max(1))
    }

    /// The size of what a reference leads to.
    fn follow(&mut self, reference: &'a Value) -> Result<u64, GrammarError> {
        let Some(reference) = reference.as_str() else { return Ok(1) };
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let Some(target) = target.filter(|_| !self.open.contains(&reference)) else { return Ok(1) };
        self.open.push(reference);
        let size = self.size_of(target, true);
        self.open.pop();
        size
    }
}

fn list<'a>(map: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    map.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn parts(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_object().into_iter().flat_map(Map::values)
}

/// Refuses bounds that the compiler would count out one by one.
fn check_counts(map: &Map<String, Value>) -> Result<(), GrammarError> {
    let bounds =
        ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];
    let beyond = |key: &&str| {
        map.get(*key).and_then(Value::as_f64).is_some_and(|bound| bound > MAX_COUNT as f64)
    };
    if bounds.iter().any(beyond) { Err(COUNT_TOO_LARGE) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
