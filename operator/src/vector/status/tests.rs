use super::*;
use crate::fixtures;
use serde_json::json;
use std::sync::Arc;

fn status_of(steers: Option<bool>, allowed: bool) -> PersonaVectorStatus {
    let spec = json!({ "trait": "evil", "model": "smollm2", "allowNotSteering": allowed });
    let vector = PersonaVector::new("evil", serde_json::from_value(spec).unwrap());
    let mut artifact = Artifact::clone(&fixtures::artifact(b"weights", 8));
    let step = |coefficient: f64| SteeringStep {
        coefficient,
        response_avg: 3.0 * coefficient,
        ..Default::default()
    };
    artifact.steering = steers.map(|_| vec![step(-1.0), step(0.0), step(1.0)]).unwrap_or_default();
    artifact.steers = steers;
    artifact.input.does_not_steer = !allowed && steers == Some(false);
    let model = fixtures::model();
    status(&vector, &Ok(Arc::new(artifact)), Some(&model), None, Timestamp::UNIX_EPOCH)
}

fn conditions_of(status: &PersonaVectorStatus) -> Vec<(&str, &str, &str)> {
    let conditions = status.conditions.iter();
    conditions.map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str())).collect()
}

#[test]
fn a_vector_is_not_ready_if_it_was_measured_not_to_steer() {
    let rises = status_of(Some(true), false);
    assert_eq!(
        conditions_of(&rises),
        [("Ready", "True", "Extracted"), ("Steers", "True", "SteeringMonotonic")]
    );
    assert_eq!(rises.steering.len(), 3);
    let message = &rises.conditions[1].message;
    assert!(message.contains("score -3.00, 0.00, 3.00"), "{message}");
    let falls = status_of(Some(false), false);
    assert_eq!(
        conditions_of(&falls),
        [("Ready", "False", "DoesNotSteer"), ("Steers", "False", "DoesNotSteer")]
    );
    let message = &falls.conditions[0].message;
    assert!(message.contains("allowNotSteering"), "{message}");
    let unknown = status_of(None, false);
    assert_eq!(
        conditions_of(&unknown),
        [("Ready", "True", "Extracted"), ("Steers", "Unknown", "SteeringNotMeasured")]
    );
    assert!(unknown.steering.is_empty());
}

#[test]
fn a_vector_that_may_fail_to_steer_is_ready_and_still_shows_its_dose_response() {
    let allowed = status_of(Some(false), true);
    assert_eq!(
        conditions_of(&allowed),
        [("Ready", "True", "Extracted"), ("Steers", "False", "DoesNotSteer")]
    );
    assert_eq!(allowed.steering.len(), 3);
}
