use super::*;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn what_python_takes_is_read() {
    for (body, value) in [
        ("{\"a\": NaN, \"b\": -Infinity, \"c\": 1e999}", json!({"a": null, "b": null, "c": null})),
        ("\u{feff}[1.0, 2, -3, 1E2]", json!([1.0, 2, -3, 100.0])),
        (
            r#"["\ud83d\ude00", "\ud800", "\udc00x", "\ud800\n"]"#,
            json!(["😀", "\u{fffd}", "\u{fffd}x", "\u{fffd}\n"]),
        ),
        (r#"{"a": 1, "b": 2, "a": 3}"#, json!({"a": 3, "b": 2})),
        ("[\"tab\there\"]", json!(["tab\there"])),
        (" \n[ ] ", json!([])),
        ("[18446744073709551616]", json!([18446744073709551616.0])),
    ] {
        assert_eq!(lenient(body.as_bytes()), Ok(value), "{body}");
    }
    let text = "{\"a\": \"é字\"}";
    let units = || text.encode_utf16();
    let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
    let wide: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    for bytes in [little.clone(), big, wide, [&[0xff, 0xfe], &little[..]].concat()] {
        assert_eq!(lenient(&bytes), Ok(json!({"a": "é字"})));
    }
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(lenient(nested(400).as_bytes()).is_ok());
    assert!(lenient(nested(100_000).as_bytes()).is_err());
    assert!(lenient(format!("[{}1]", "1,".repeat(MAX_VALUES)).as_bytes()).is_err());
}

#[test]
fn what_is_no_json_is_refused() {
    for body in [
        "",
        "{",
        "[1,]",
        "{\"a\":}",
        "{a: 1}",
        "\"open",
        "[1] 2",
        "nul",
        "-",
        "1.",
        "[\"\\x\"]",
        "[\"\\u12\"]",
        "{\"a\" 1}",
        "--1",
        "'a'",
        "[\"\\u+123\"]",
    ] {
        assert!(lenient(body.as_bytes()).is_err(), "{body}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_is_read_as_the_standard_reader_reads_it(value in value(), pretty in any::<bool>()) {
        let text = if pretty {
            serde_json::to_string_pretty(&value)
        } else {
            serde_json::to_string(&value)
        };
        let text = text.unwrap();
        prop_assert_eq!(lenient(text.as_bytes()), Ok(serde_json::from_str(&text).unwrap()));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = lenient(&bytes);
    }
}
