use super::*;
use serde_json::json;

fn check_one(schema: &Value) -> Result<(), GrammarError> {
    check([schema])
}

#[test]
fn usual_schemas_are_small_and_explosive_ones_are_refused() {
    let string = || json!({"type": "string"});
    let usual = json!({
        "type": "object", "required": ["name", "next"], "additionalProperties": false,
        "properties": {"name": string(), "kind": {"enum": ["a", "b", "c"]},
        "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
            "base": {"allOf": [{"$ref": "#/$defs/base"}]}},
        "$defs": {"base": {"type": "object", "properties": {"id": {"type": "integer"}}}},
    });
    assert_eq!(check([&usual]), Ok(()));
    let either = |name: &str| {
        json!({
            "anyOf": [{"properties": {name: string()}}, {"properties": {name: {"type": "null"}}}]
        })
    };
    let many: Vec<Value> = (0..30).map(|index| either(&format!("p{index}"))).collect();
    assert_eq!(check_one(&json!({"allOf": many})), Err(TOO_MANY_ALTERNATIVES));
    // By doubling references.
    let defs: Map<String, Value> = (0..40)
        .map(|index| {
            let next = json!({"$ref": format!("#/$defs/d{}", index + 1)});
            (format!("d{index}"), json!({"allOf": [next, next]}))
        })
        .collect();
    assert_eq!(
        check_one(&json!({"$ref": "#/$defs/d0", "$defs": defs})),
        Err(TOO_MANY_ALTERNATIVES)
    );
    let mut nested = either("p");
    for _ in 0..20 {
        nested = json!({"properties": {"q": nested}, "anyOf": [{"properties": {"q": nested}}]});
        if nested.to_string().len() > 60_000 {
            break;
        }
    }
    assert_eq!(check([&nested]), Err(TOO_MANY_ALTERNATIVES));
    assert_eq!(check_one(&json!({"properties": {"a": {"maxLength": 1e9}}})), Err(COUNT_TOO_LARGE));
}

#[test]
fn circles_end() {
    assert_eq!(check_one(&json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]})), Ok(()));
}
