//! Bodies that are no request at all.

use super::case::{Case, case};
use crate::rig::chat;
use serde_json::Value;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("empty body", vec![], 400, "invalid_json", Value::Null),
        case("not JSON", b"hello".to_vec(), 400, "invalid_json", Value::Null),
        case("cut off", br#"{"model": "x", "#.to_vec(), 400, "invalid_json", Value::Null),
        case("an array", b"[]".to_vec(), 400, "invalid_json", Value::Null),
        case("a string", br#""hello""#.to_vec(), 400, "invalid_json", Value::Null),
        case(
            "too deep",
            [vec![b'['; 5000], vec![b']'; 5000]].concat(),
            400,
            "invalid_json",
            Value::Null,
        ),
        case(
            "invalid UTF-8",
            b"{\"model\": \"\xff\xfe\"}".to_vec(),
            400,
            "invalid_utf8",
            Value::Null,
        ),
        case(
            "lone surrogate",
            br#"{"model": "\ud800"}"#.to_vec(),
            400,
            "invalid_json",
            Value::Null,
        ),
        case("too large", vec![b' '; (4 << 20) + 1], 413, "request_too_large", Value::Null),
        case("far too large", vec![b' '; 50 << 20], 413, "request_too_large", Value::Null),
        case(
            "trailing text",
            [chat("Hi").to_string().as_bytes(), b" {}"].concat(),
            400,
            "invalid_json",
            Value::Null,
        ),
        case(
            "NaN",
            br#"{"model": "x", "temperature": NaN}"#.to_vec(),
            400,
            "invalid_json",
            Value::Null,
        ),
    ]
}
