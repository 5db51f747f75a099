use super::*;
use crate::policy::TrafficCalibration;
use personaguard_terms::Digest;
use serde::Serialize;
use serde_json::{Value, json};

fn written(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

fn sample() -> wire::Sample {
    let mut sample = wire::Sample::new(Digest::of(b"basis"));
    sample.add(1.25, Some("none"));
    sample.add(3.0, Some("0123456789ab"));
    sample
}

#[test]
fn a_status_says_what_was_sent() {
    let acknowledgement = wire::PolicyAcknowledgement {
        name: "no-villains".into(),
        uid: "u".into(),
        generation: 3,
        digest: Some(Digest::of(b"resolved")),
        refused: vec![wire::RefusedTrait {
            vector: "evil".into(),
            failure: wire::Failure {
                reason: "ModelMismatch".into(),
                message: "Extract it again.".into(),
            },
        }],
        stale: vec![wire::StaleVector {
            vector: "rude".into(),
            difference: "made with dtype float16".into(),
        }],
    };
    let totals =
        wire::Totals { responses: 5, breaches: 4, blocked: 3, unguarded: 2, incoherent: 1 };
    let drift = wire::DriftCharts { shift: 0.5, up: 1.0, down: 0.25, detected: true };
    for (sent, stored) in [
        (written(&acknowledgement), written(PolicyAcknowledgement::from(acknowledgement))),
        (written(totals), written(Totals::from(totals))),
        (written(drift), written(DriftCharts::from(drift))),
        (written(sample()), written(Sample::from(sample()))),
        (written(wire::PodState::Loading), written(PodState::from(wire::PodState::Loading))),
        (written(wire::PodState::Ready), written(PodState::from(wire::PodState::Ready))),
        (written(wire::PodState::Failed), written(PodState::from(wire::PodState::Failed))),
    ] {
        assert_eq!(sent, stored);
    }
}

#[test]
fn a_sample_is_the_same_after_a_status_stored_it() {
    assert_eq!(wire::Sample::from(Sample::from(sample())), sample());
}

#[test]
fn a_calibration_is_what_the_sample_says() {
    let calibration = written(TrafficCalibration::new("evil", sample()));
    let expected = json!({
        "vector": "evil", "basis": Digest::of(b"basis"), "count": 2, "mean": 2.125,
        "standardDeviation": 1.237_437,
        "sketch": {
            "sumSquaredDeviations": 1.53125,
            "centroids": [{"mean": 1.25, "count": 1}, {"mean": 3.0, "count": 1}]
        },
        "systemPrompts": ["0123456789ab", "none"]
    });
    assert_eq!(calibration, expected);
}
