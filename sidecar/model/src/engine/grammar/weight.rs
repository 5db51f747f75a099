//! How large a schema may become when it is compiled.
//!
//! The compiler forms the intersection of what stands side by side (`allOf`, `anyOf`, `$ref`,
//! properties …), and distributes it over alternatives: twenty lines can come to a million
//! alternatives. The intersection of two schemas is at most as large as the product of their sizes,
//! and that is what is bounded here, before anything is compiled.

use super::GrammarError;
use serde_json::{Map, Value};

/// Largest product.
const MOST: u64 = 200_000;
/// Schemas that are looked at, references followed.
const MOST_VISITS: usize = 50_000;
/// Largest number of items, characters or properties that is counted out.
const MOST_COUNTED: u64 = 10_000;

const TOO_RICH: GrammarError = GrammarError::TooLarge(
    "the schema combines too many alternatives: use less of allOf, anyOf and $ref side by side",
);
const TOO_LONG: GrammarError = GrammarError::TooLarge(
    "the schema counts items, characters or properties beyond 10,000: leave the bound out",
);

/// Keywords that say nothing about a value.
const SILENT: [&str; 12] = [
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

/// # Errors
/// The schema could become too large.
pub(super) fn check(schema: &Value) -> Result<(), GrammarError> {
    check_all([schema])
}

/// The same of schemas of which one grammar is made.
///
/// # Errors
/// Together they could become too large.
pub(super) fn check_all<'a>(
    schemas: impl IntoIterator<Item = &'a Value>,
) -> Result<(), GrammarError> {
    let (mut visits, mut weight) = (0, 0_u64);
    for schema in schemas {
        let mut walk = Walk { root: schema, visits, open: Vec::new() };
        weight = weight.saturating_add(walk.weigh(schema, false)?);
        visits = walk.visits;
    }
    if weight > MOST { Err(TOO_RICH) } else { Ok(()) }
}

struct Walk<'a> {
    root: &'a Value,
    visits: usize,
    /// References that are being followed.
    open: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// The size of a schema; with `meets`, of one that is intersected with others, so that its
    /// references are resolved.
    fn weigh(&mut self, schema: &'a Value, meets: bool) -> Result<u64, GrammarError> {
        self.visits += 1;
        if self.visits > MOST_VISITS {
            return Err(TOO_RICH);
        }
        let Value::Object(map) = schema else { return Ok(1) };
        counted(map)?;
        let combines =
            |key: &str| matches!(key, "allOf" | "anyOf" | "oneOf" | "$ref" | "enum" | "const");
        let applied = map.keys().filter(|key| combines(key)).count();
        let own = map.keys().any(|key| !combines(key) && !SILENT.contains(&key.as_str()));
        let meets = meets || applied + usize::from(own) > 1 || list(map, "allOf").len() > 1;
        let mut product = 1_u64;
        let mut size = 1_u64;
        for (key, value) in map {
            match key.as_str() {
                "allOf" => {
                    for part in list(map, key) {
                        product = product.saturating_mul(self.weigh(part, meets)?);
                    }
                }
                "anyOf" | "oneOf" => {
                    product = product.saturating_mul(self.sum(list(map, key), meets)?)
                }
                "enum" => product = product.saturating_mul(list(map, key).len().max(1) as u64),
                "$ref" if meets => product = product.saturating_mul(self.follow(value)?),
                // What is only defined here is weighed by itself.
                "$defs" | "definitions" => {
                    size = size.saturating_add(self.sum(parts(value), false)?)
                }
                "properties" | "patternProperties" => {
                    size = size.saturating_add(self.sum(parts(value), meets)?)
                }
                "prefixItems" => size = size.saturating_add(self.sum(list(map, key), meets)?),
                "items"
                | "additionalItems"
                | "additionalProperties"
                | "not"
                | "contains"
                | "propertyNames" => {
                    size = size.saturating_add(self.weigh(value, meets)?);
                }
                _ => {}
            }
        }
        Ok(product.saturating_mul(size))
    }

    fn sum(
        &mut self,
        schemas: impl IntoIterator<Item = &'a Value>,
        meets: bool,
    ) -> Result<u64, GrammarError> {
        let mut sum = 0_u64;
        for schema in schemas {
            sum = sum.saturating_add(self.weigh(schema, meets)?);
        }
        Ok(sum.max(1))
    }

    fn follow(&mut self, reference: &'a Value) -> Result<u64, GrammarError> {
        let Some(reference) = reference.as_str() else { return Ok(1) };
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let Some(target) = target.filter(|_| !self.open.contains(&reference)) else { return Ok(1) };
        self.open.push(reference);
        let weight = self.weigh(target, true);
        self.open.pop();
        weight
    }
}

fn list<'a>(map: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    map.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn parts(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_object().into_iter().flat_map(Map::values)
}

fn counted(map: &Map<String, Value>) -> Result<(), GrammarError> {
    let bounds =
        ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];
    let beyond = |key: &&str| {
        map.get(*key).and_then(Value::as_f64).is_some_and(|bound| bound > MOST_COUNTED as f64)
    };
    if bounds.iter().any(beyond) { Err(TOO_LONG) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn usual_schemas_are_light_and_explosive_ones_are_refused() {
        let string = || json!({"type": "string"});
        let usual = json!({
            "type": "object", "required": ["name", "next"], "additionalProperties": false,
            "properties": {"name": string(), "kind": {"enum": ["a", "b", "c"]}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
                "base": {"allOf": [{"$ref": "#/$defs/base"}]}},
            "$defs": {"base": {"type": "object", "properties": {"id": {"type": "integer"}}}},
        });
        assert_eq!(check(&usual), Ok(()));
        let either = |name: &str| json!({"anyOf": [{"properties": {name: string()}}, {"properties": {name: {"type": "null"}}}]});
        let many: Vec<Value> = (0..30).map(|index| either(&format!("p{index}"))).collect();
        assert_eq!(check(&json!({"allOf": many})), Err(TOO_RICH));
        // By doubling references.
        let defs: Map<String, Value> = (0..40)
            .map(|index| {
                let next = json!({"$ref": format!("#/$defs/d{}", index + 1)});
                (format!("d{index}"), json!({"allOf": [next, next]}))
            })
            .collect();
        assert_eq!(check(&json!({"$ref": "#/$defs/d0", "$defs": defs})), Err(TOO_RICH));
        let mut nested = either("p");
        for _ in 0..20 {
            nested = json!({"properties": {"q": nested}, "anyOf": [{"properties": {"q": nested}}]});
            if nested.to_string().len() > 60_000 {
                break;
            }
        }
        assert_eq!(check(&nested), Err(TOO_RICH));
        assert_eq!(check(&json!({"properties": {"a": {"maxLength": 1e9}}})), Err(TOO_LONG));
    }

    #[test]
    fn circles_end() {
        assert_eq!(check(&json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]})), Ok(()));
    }
}
