//! Bad values of the field `personaguard`.

use super::case::{Case, case, replaced};
use serde_json::json;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "extension is a boolean",
            replaced("personaguard", json!(true)),
            400,
            "invalid_type",
            json!("personaguard"),
        ),
        case(
            "traits of the extension are a list",
            replaced("personaguard", json!({ "traits": ["evil"] })),
            400,
            "invalid_type",
            json!("personaguard.traits"),
        ),
        case(
            "a trait of the extension is a number",
            replaced("personaguard", json!({ "traits": { "evil": 1 } })),
            400,
            "invalid_type",
            json!("personaguard.traits"),
        ),
        case(
            "a trait that no policy has",
            replaced("personaguard", json!({ "traits": { "evil": { "block": true } } })),
            400,
            "invalid_value",
            json!("personaguard.traits"),
        ),
        case(
            "a coefficient past the limit",
            replaced("personaguard", json!({ "traits": { "evil": { "coefficient": 5 } } })),
            400,
            "invalid_value",
            json!("personaguard.traits.coefficient"),
        ),
        case(
            "a threshold that is a string",
            replaced("personaguard", json!({ "traits": { "evil": { "max": "low" } } })),
            400,
            "invalid_type",
            json!("personaguard.traits.max"),
        ),
        case(
            "an unknown field of a trait",
            replaced("personaguard", json!({ "traits": { "evil": { "allow": true } } })),
            400,
            "unknown_parameter",
            json!("personaguard.traits.allow"),
        ),
        case(
            "too many traits",
            replaced(
                "personaguard",
                json!({
                    "traits": (0..17)
                        .map(|i| (i.to_string(), json!({})))
                        .collect::<serde_json::Map<_, _>>()
                }),
            ),
            400,
            "invalid_value",
            json!("personaguard.traits"),
        ),
        case(
            "unknown field of the extension",
            replaced("personaguard", json!({ "mode": "Audit" })),
            400,
            "unknown_parameter",
            json!("personaguard.mode"),
        ),
    ]
}
