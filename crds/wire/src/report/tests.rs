use super::*;
use crate::limits::MAX_REPORT_BYTES;
use serde_json::{Value, json};

fn sent(change: impl FnOnce(&mut Value)) -> SidecarReport {
    let mut report = json!({
        "instance": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "sequence": 1,
        "model": {"name": "smollm2", "state": "Ready"},
        "policies": [{"name": "no-villains", "uid": "u", "generation": 1}],
        "totals": {"responses": 1, "breaches": 1, "blocked": 0, "unguarded": 0},
        "traits": [{
            "policy": "no-villains", "vector": "evil", "action": "Alert", "scored": 1,
            "breaches": 1,
            "mean": 5.0, "sumSquaredDeviations": 0.0, "max": 5.0,
            "lastBreach": {
                "at": "2026-11-24T10:00:00Z", "score": 5.0, "threshold": 4.0,
                "responseId": "chatcmpl-1"
            }
        }]
    });
    change(&mut report);
    serde_json::from_value(report).unwrap()
}

fn check(change: impl FnOnce(&mut Value)) -> Result<(), Invalid> {
    sent(change).validate()
}

#[test]
fn a_plain_report_is_valid() {
    assert_eq!(check(|_| {}), Ok(()));
}

#[test]
fn invariant_5_nothing_that_could_carry_text_of_a_conversation_is_taken_where_an_id_belongs() {
    assert!(
        check(|r| r["traits"][0]["lastBreach"]["responseId"] = json!("I will destroy you"))
            .is_err()
    );
    assert!(check(|r| r["traits"][0]["vector"] = json!("a b")).is_err());
    assert!(check(|r| r["instance"] = json!("")).is_err());
}

#[test]
fn a_sample_is_taken_only_if_it_can_be_one() {
    let sample = |mean: f64, count: u64, centroids: usize| {
        let centroid = json!({"mean": mean, "count": count});
        let sketch = json!({"sumSquaredDeviations": 0.5, "centroids": vec![centroid; centroids]});
        json!({"basis": Digest::of(b"basis"), "sketch": sketch})
    };
    let with = |sample: Value| check(|r| r["traits"][0]["sample"] = sample.clone());
    assert_eq!(with(sample(1.0, 3, 64)), Ok(()));
    for bad in
        [sample(1e300, 3, 1), sample(1.0, 0, 1), sample(1.0, 1, 65), sample(1.0, u64::MAX, 2)]
    {
        assert!(with(bad).is_err());
    }
    for prompts in
        [json!(["be kind to all"]), json!(vec!["0123456789ab"; 9]), json!(["none", "0123456789ab"])]
    {
        let mut prompted = sample(1.0, 1, 1);
        prompted["systemPrompts"] = prompts;
        assert!(with(prompted).is_err());
    }
    let many = sent(|r| {
        r["traits"][0]["sample"] = sample(1.0, 1, 1);
        r["traits"] = json!(vec![r["traits"][0].clone(); MAX_SAMPLES + 1]);
    });
    assert!(many.validate().is_err());
}

#[test]
fn a_full_report_fits_a_body() {
    let name = "n".repeat(63);
    let centroids = vec![json!({"mean": -1_234.123_456, "count": 1_000_000}); 64];
    let sketch = json!({"sumSquaredDeviations": 123_456_789.123_456, "centroids": centroids});
    let full = sent(|r| {
        r["traits"][0]["policy"] = json!(name);
        r["traits"][0]["vector"] = json!(name);
        let mut traits = vec![r["traits"][0].clone(); 256];
        for scores in &mut traits[..MAX_SAMPLES] {
            scores["sample"] = json!({
                "basis": Digest::of(b"basis"), "sketch": sketch,
                "systemPrompts": vec!["0123456789ab"; 8]
            });
        }
        r["traits"] = json!(traits);
    });
    let bytes = serde_json::to_vec(&full).unwrap().len();
    assert!(bytes < MAX_REPORT_BYTES * 9 / 10, "{bytes}");
}

#[test]
fn what_would_fill_the_report_without_bound_is_refused() {
    let many: Vec<_> =
        (0..300).map(|_| json!({"name": "p", "uid": "u", "generation": 1})).collect();
    assert!(check(|r| r["policies"] = json!(many)).is_err());
    assert!(check(|r| r["configError"] = json!("x".repeat(5000))).is_err());
    assert!(check(|r| r["traits"][0]["mean"] = json!(1e300)).is_err());
}

#[test]
fn a_report_reads_and_writes_this_json() {
    let full = json!({
        "instance": "6ba7b810", "sequence": 7,
        "model": {
            "name": "smollm2", "state": "Failed", "digest": "0af3".repeat(16),
            "failure": {"reason": "WeightsInvalid", "message": "Replace the file."}
        },
        "policies": [{
            "name": "no-villains", "uid": "u", "generation": 3, "digest": "0af3".repeat(16),
            "refused": [
                {
                    "vector": "evil",
                    "failure": {"reason": "ModelMismatch", "message": "Extract it again."}
                }
            ]
        }],
        "configError": "not YAML",
        "totals": {"responses": 5, "breaches": 4, "blocked": 3, "unguarded": 2, "incoherent": 1},
        "traits": [{
            "policy": "no-villains", "vector": "evil", "action": "Alert", "mode": "Audit",
            "scored": 5, "breaches": 4,
            "mean": 5.0, "sumSquaredDeviations": 1.5, "max": 6.0,
            "lastBreach": {
                "at": "2026-11-24T10:00:00Z", "score": 5.0, "threshold": 4.0,
                "responseId": "chatcmpl-1"
            },
            "drift": {"shift": 0.5, "up": 1.0, "down": 0.0, "detected": true},
            "sample": {
                "basis": "0af3".repeat(16),
                "sketch": {"sumSquaredDeviations": 0.5, "centroids": [{"mean": 5.0, "count": 5}]},
                "systemPrompts": ["0123456789ab", "none"]
            }
        }],
        "auditLog": {
            "opened": {"sequence": 0, "hash": "0".repeat(64)},
            "head": {"sequence": 9, "hash": "0af3".repeat(16)},
            "gaps": 0
        }
    });
    let report: SidecarReport = serde_json::from_value(full.clone()).unwrap();
    assert_eq!(report.validate(), Ok(()));
    assert_eq!(serde_json::to_value(&report).unwrap(), full);
}

#[test]
fn an_audit_log_only_grows() {
    let head = |sequence: u64, digit: &str| json!({"sequence": sequence, "hash": digit.repeat(64)});
    let with = |opened: Value, now: Value| {
        check(|r| r["auditLog"] = json!({"opened": opened, "head": now, "gaps": 1}))
    };
    assert_eq!(with(head(0, "0"), head(0, "0")), Ok(()));
    assert_eq!(with(head(3, "a"), head(3, "a")), Ok(()));
    assert_eq!(with(head(3, "a"), head(4, "b")), Ok(()));
    assert_eq!(with(head(3, "a"), head(3, "b")), Err(Invalid::AuditLog));
    assert_eq!(with(head(3, "a"), head(2, "b")), Err(Invalid::AuditLog));
    assert_eq!(with(head(3, "a"), head(u64::MAX, "b")), Err(Invalid::AuditLog));
}

#[test]
fn number_9_a_report_with_a_number_that_is_none_is_refused() {
    type Place = fn(&mut TraitSummary) -> &mut f64;
    let places: [Place; 8] = [
        |t| &mut t.mean,
        |t| &mut t.sum_squared_deviations,
        |t| t.max.as_mut().unwrap(),
        |t| &mut t.last_breach.as_mut().unwrap().score,
        |t| &mut t.last_breach.as_mut().unwrap().threshold,
        |t| &mut t.drift.as_mut().unwrap().shift,
        |t| &mut t.sample.as_mut().unwrap().sketch.sum_squared_deviations,
        |t| &mut t.sample.as_mut().unwrap().sketch.centroids[0].mean,
    ];
    let full = sent(|r| {
        let charts = json!({"shift": 0.0, "up": 0.0, "down": 0.0, "detected": false});
        let sketch = json!({"sumSquaredDeviations": 0.5, "centroids": [{"mean": 1.0, "count": 3}]});
        r["traits"][0]["drift"] = charts;
        r["traits"][0]["sample"] = json!({"basis": Digest::of(b"basis"), "sketch": sketch});
    });
    assert_eq!(full.validate(), Ok(()));
    for (index, place) in places.iter().enumerate() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut broken = full.clone();
            *place(&mut broken.traits[0]) = value;
            assert!(broken.validate().is_err(), "place {index}: {value}");
        }
    }
}

#[test]
fn issue_15_17_a_count_that_nothing_could_have_counted_is_refused_wherever_it_stands() {
    // The API server stores counts as int64: one that it refuses would stop the whole report.
    for huge in [json!(u64::MAX), json!(1_u64 << 63), json!(1_u64 << 41)] {
        for of in ["responses", "breaches", "blocked", "unguarded", "incoherent"] {
            assert!(check(|r| r["totals"][of] = huge.clone()).is_err(), "{of} {huge}");
        }
        for of in ["app", "pastSidecar"] {
            assert!(check(|r| r["connections"] = json!({of: huge.clone()})).is_err());
        }
        for of in ["scored", "breaches"] {
            assert!(check(|r| r["traits"][0][of] = huge.clone()).is_err(), "{of} {huge}");
        }
        assert!(check(|r| r["sequence"] = huge.clone()).is_err());
    }
    for generation in [i64::MIN, -1, 1 << 41, i64::MAX] {
        let refused = check(|r| r["policies"][0]["generation"] = json!(generation));
        assert_eq!(refused, Err(Invalid::Policy), "{generation}");
    }
    let negative = |r: &mut Value| r["totals"]["responses"] = json!(-1);
    let text = {
        let mut value = serde_json::to_value(sent(|_| {})).unwrap();
        negative(&mut value);
        value
    };
    serde_json::from_value::<SidecarReport>(text).unwrap_err();
}

#[test]
fn issue_15_17_no_number_that_a_sidecar_could_not_have_measured_is_taken() {
    for far in [1e15, -1e300, 1.7e308] {
        assert!(check(|r| r["traits"][0]["lastBreach"]["score"] = json!(far)).is_err(), "{far}");
        assert!(check(|r| r["traits"][0]["lastBreach"]["threshold"] = json!(far)).is_err());
        assert!(check(|r| r["traits"][0]["mean"] = json!(far)).is_err());
    }
    assert!(check(|r| r["traits"][0]["sumSquaredDeviations"] = json!(-1.0)).is_err());
    let drift = |up: f64, down: f64| {
        let charts = json!({"shift": -0.5, "up": up, "down": down, "detected": false});
        check(|r| r["traits"][0]["drift"] = charts)
    };
    assert_eq!(drift(0.0, 2.0), Ok(()));
    assert!(drift(-1.0, 0.0).is_err() && drift(0.0, -1.0).is_err());
}

#[test]
fn issue_15_17_nothing_is_reported_twice_in_one_report() {
    let twice = |of: &'static str| {
        move |r: &mut Value| {
            let again = r[of][0].clone();
            r[of].as_array_mut().unwrap().push(again);
        }
    };
    assert_eq!(check(twice("policies")), Err(Invalid::Repeated));
    assert_eq!(check(twice("traits")), Err(Invalid::Repeated));
    assert_eq!(check(|r| r["policies"][0]["uid"] = json!("a\u{1b}[2J")), Err(Invalid::Policy));
}
