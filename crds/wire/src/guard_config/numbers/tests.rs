use super::*;
use personaguard_terms::{
    Action, Capping, Coefficient, Coherence, ConditionAt, Digest, Evidence, FailurePolicy, Layer,
    LayerBounds, Mode, Positions, Sampling, Score, Steering, SteeringCondition,
};
use serde_json::json;

/// A config that has a number in every place.
fn config() -> GuardConfig {
    let steer = Action::Steer(Steering {
        coefficient: Coefficient::try_from(1.0).unwrap(),
        positions: Positions::Response,
        layers: Vec::new(),
        when: Some(SteeringCondition {
            vector: None,
            at: ConditionAt::Token,
            above: 1.0,
            until: Some(0.5),
        }),
        coherence: Coherence::default(),
    });
    let cap = Action::Cap(Capping {
        floor: Some(-1.0),
        ceiling: Some(1.0),
        positions: Positions::Response,
        layers: vec![LayerBounds { layer: Layer(2), floor: Some(-1.0), ceiling: Some(1.0) }],
    });
    let rule = |action| ResolvedTrait {
        vector: "evil".into(),
        score: Score::ResponseAvg,
        min: Some(-1.0),
        max: Some(1.0),
        action,
        requests: None,
        calibrates: None,
        baseline: Some(Baseline { mean: 0.0, standard_deviation: 1.0 }),
    };
    let policy = ResolvedPolicy {
        name: "p".into(),
        uid: String::new(),
        generation: 1,
        digest: None,
        mode: Mode::Enforce,
        selector: crate::Selector::default(),
        failure_policy: FailurePolicy::Open,
        unscorable_requests: None,
        evidence: Evidence { min_tokens: 1, window: None },
        sampling: Some(Sampling { fraction: Some(0.5), every: None }),
        record_conversations: false,
        traits: vec![rule(steer), rule(cap)],
    };
    let baseline = json!({"mean": 0.0, "standardDeviation": 1.0});
    let digest = Digest::of(b"");
    serde_json::from_value(json!({
        "apiVersion": personaguard_terms::API_VERSION, "kind": "GuardConfig",
        "model": {
            "name": "m", "file": "m", "sha256": digest, "contextLength": 8, "maxConcurrent": 1
        },
        "vectors": {"evil": {
            "trait": "evil", "layer": 1, "modelDigest": digest, "sha256": digest,
            "baseline": baseline
        }},
        "policies": [policy]
    }))
    .unwrap()
}

#[test]
fn number_9_a_config_with_a_number_that_is_none_is_refused_wherever_it_stands() {
    assert!(GuardConfig::from_yaml(config().to_yaml().unwrap().as_bytes()).is_ok());
    type Place = fn(&mut GuardConfig) -> &mut f64;
    fn rule(config: &mut GuardConfig) -> &mut ResolvedTrait {
        &mut config.policies[0].traits[0]
    }
    fn steer(config: &mut GuardConfig) -> &mut Steering {
        match &mut rule(config).action {
            Action::Steer(steering) => steering,
            other => panic!("{other:?}"),
        }
    }
    fn cap(config: &mut GuardConfig) -> &mut Capping {
        match &mut config.policies[0].traits[1].action {
            Action::Cap(capping) => capping,
            other => panic!("{other:?}"),
        }
    }
    let places: [Place; 15] = [
        |c| rule(c).min.as_mut().unwrap(),
        |c| rule(c).max.as_mut().unwrap(),
        |c| &mut steer(c).when.as_mut().unwrap().above,
        |c| steer(c).when.as_mut().unwrap().until.as_mut().unwrap(),
        |c| &mut steer(c).coherence.min_log_likelihood,
        |c| &mut steer(c).coherence.max_repetition,
        |c| cap(c).floor.as_mut().unwrap(),
        |c| cap(c).ceiling.as_mut().unwrap(),
        |c| cap(c).layers[0].floor.as_mut().unwrap(),
        |c| cap(c).layers[0].ceiling.as_mut().unwrap(),
        |c| &mut rule(c).baseline.as_mut().unwrap().mean,
        |c| &mut rule(c).baseline.as_mut().unwrap().standard_deviation,
        |c| c.policies[0].sampling.as_mut().unwrap().fraction.as_mut().unwrap(),
        |c| &mut c.vectors.get_mut("evil").unwrap().baseline.as_mut().unwrap().mean,
        |c| {
            let baseline = c.vectors.get_mut("evil").unwrap().baseline.as_mut().unwrap();
            &mut baseline.standard_deviation
        },
    ];
    for (index, place) in places.iter().enumerate() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut config = config();
            *place(&mut config) = value;
            let yaml = config.to_yaml().unwrap();
            let result = GuardConfig::from_yaml(yaml.as_bytes());
            assert!(result.is_err(), "place {index}: {value} was taken\n{yaml}");
        }
    }
    // A coefficient is checked as it is read.
    let yaml = config().to_yaml().unwrap();
    for value in [".nan", ".inf", "-.inf"] {
        let steered = yaml.lines().map(|line| match line.split_once("coefficient:") {
            Some((indent, _)) => format!("{indent}coefficient: {value}\n"),
            None => format!("{line}\n"),
        });
        let steered: String = steered.collect();
        assert!(steered.contains(value) && GuardConfig::from_yaml(steered.as_bytes()).is_err());
    }
}
