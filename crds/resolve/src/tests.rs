use super::*;
use crate::fixtures::{model, policy, rule, sigma, vectors};
use crate::vector::digest_of;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, Time,
};
use personaguard_api::{
    CalibratedFrom, CalibrationSource, Capping, ConditionAt, Digest, Layer, PersonaVector,
    ProjectionRange, Score, Steering, TrafficCalibration, selects,
};
use personaguard_wire::Sample;

fn refusal(policy: &PersonaPolicy, vectors: &BTreeMap<String, VectorInput>) -> Rejection {
    resolve_policy(policy, &model(), vectors).unwrap_err()
}

#[test]
fn sigma_quantile_projection_and_range_become_raw_projections() {
    let thresholds = [
        (sigma(3.0), (None, Some(2.5))),
        (Threshold { quantile: Some(0.99), ..Threshold::default() }, (None, Some(0.99 * 199.0))),
        (Threshold { projection: Some(-4.25), ..Threshold::default() }, (None, Some(-4.25))),
        (
            Threshold {
                range: Some(ProjectionRange { min: -1.0, max: 2.0 }),
                ..Threshold::default()
            },
            (Some(-1.0), Some(2.0)),
        ),
    ];
    for (threshold, expected) in thresholds {
        let resolved = resolve_policy(
            &policy("p", "chat", vec![rule("evil", threshold, ActionKind::Block)]),
            &model(),
            &vectors(),
        );
        let found = &resolved.unwrap().traits[0];
        assert_eq!((found.min, found.max.map(|max| (max * 1e9).round() / 1e9)), expected);
    }
}

#[test]
fn a_quantile_that_the_sample_does_not_carry_is_refused_with_the_number_it_needs() {
    let strict = rule(
        "evil",
        Threshold { quantile: Some(0.999), ..Threshold::default() },
        ActionKind::Block,
    );
    let refused = refusal(&policy("p", "chat", vec![strict]), &vectors());
    assert_eq!(refused.reason, reason::CALIBRATION_MISSING);
    assert!(refused.message.contains("at least 1000 responses, and there are 200"), "{refused}");
    let carried = rule(
        "sycophantic",
        Threshold { quantile: Some(0.999), ..Threshold::default() },
        ActionKind::Block,
    );
    let resolved =
        resolve_policy(&policy("p", "chat", vec![carried]), &model(), &vectors()).unwrap();
    assert!((resolved.traits[0].max.unwrap() - 0.999 * 1999.0).abs() < 1e-6);
}

/// A policy that calibrates on its own traffic.
fn on_traffic(mode: Mode, rule: TraitRule, known: Option<(Digest, u32)>) -> PersonaPolicy {
    let mut policy = policy("p", "chat", vec![rule]);
    policy.spec.mode = mode;
    policy.spec.calibration =
        Some(CalibrationSource { from: CalibratedFrom::Traffic, min_responses: 50 });
    policy.status = known.map(|(basis, count)| {
        let mut sample = Sample::new(basis);
        (0..count).for_each(|score| sample.add(f64::from(score), None));
        let calibrations = vec![TrafficCalibration::new("evil", sample)];
        personaguard_api::PersonaPolicyStatus {
            calibrations,
            ..personaguard_api::PersonaPolicyStatus::default()
        }
    });
    policy
}

#[test]
fn a_policy_that_calibrates_on_its_traffic_collects_in_audit_and_enforces_what_it_found() {
    // No calibration of its own, and a score for which vectors have none.
    let mut uncalibrated = vectors();
    uncalibrated.get_mut("evil").unwrap().calibration = None;
    let resolve = |policy: &PersonaPolicy| resolve_policy(policy, &model(), &uncalibrated);
    let mut block =
        rule("evil", Threshold { quantile: Some(0.9), ..Threshold::default() }, ActionKind::Block);
    block.score = Score::PromptLast;
    let audit = resolve(&on_traffic(Mode::Audit, block.clone(), None)).unwrap();
    let basis = audit.traits[0].calibrates.clone().expect("scores are collected");
    assert_eq!((audit.traits[0].min, audit.traits[0].max), (None, None), "nothing is in force yet");

    let known = |count| Some((basis.clone(), count));
    let enforced = resolve(&on_traffic(Mode::Enforce, block.clone(), known(51))).unwrap();
    assert_eq!(
        (enforced.traits[0].max, enforced.traits[0].calibrates.as_ref()),
        (Some(45.0), None)
    );
    assert_eq!(
        enforced.traits[0].baseline.unwrap().mean,
        25.0,
        "drift is measured against the traffic, too"
    );
    for (known, said) in
        [(None, "0 of 50"), (known(49), "49 of 50"), (Some((Digest::of(b"before"), 60)), "0 of 50")]
    {
        let refused = resolve(&on_traffic(Mode::Enforce, block.clone(), known)).unwrap_err();
        assert_eq!(refused.reason, reason::CALIBRATION_MISSING);
        assert!(refused.message.contains(said) && refused.message.contains("Audit"), "{refused}");
    }
    // A vector, a score or a policy that is made anew begins anew.
    let basis_of = |policy: &PersonaPolicy, vectors| {
        resolve_policy(policy, &model(), vectors).unwrap().traits[0].calibrates.clone().unwrap()
    };
    let mut other = vectors();
    other.get_mut("evil").unwrap().values = vec![2.0, 1.0];
    assert_ne!(basis_of(&on_traffic(Mode::Audit, block.clone(), None), &other), basis);
    for score in [Score::ResponseAvg, Score::AnswerAvg, Score::ReasoningAvg] {
        let average = TraitRule { score, ..block.clone() };
        assert_ne!(basis_of(&on_traffic(Mode::Audit, average, None), &uncalibrated), basis);
    }
    let mut anew = on_traffic(Mode::Audit, block.clone(), None);
    anew.metadata.uid = Some("anew".into());
    assert_ne!(basis_of(&anew, &uncalibrated), basis);
    // A threshold, an action or a selector that changes does not.
    let mut stricter = rule("evil", sigma(1.0), ActionKind::Alert);
    stricter.score = Score::PromptLast;
    assert_eq!(basis_of(&on_traffic(Mode::Audit, stricter, None), &uncalibrated), basis);
}

#[test]
fn a_quantile_asks_for_the_traffic_that_carries_it() {
    let strict = rule(
        "evil",
        Threshold { quantile: Some(0.999), ..Threshold::default() },
        ActionKind::Block,
    );
    let policy = on_traffic(Mode::Enforce, strict, None);
    assert!(refusal(&policy, &vectors()).message.contains("0 of 1000"));
    // A raw projection needs none.
    let raw = rule(
        "evil",
        Threshold { projection: Some(4.0), ..Threshold::default() },
        ActionKind::Block,
    );
    assert_eq!(
        resolve_policy(&on_traffic(Mode::Enforce, raw, None), &model(), &vectors()).unwrap().traits
            [0]
        .max,
        Some(4.0)
    );
}

#[test]
fn calibrated_thresholds_need_a_calibration_of_the_same_score() {
    let mut uncalibrated = vectors();
    uncalibrated.get_mut("evil").unwrap().calibration = None;
    let refused = refusal(
        &policy("p", "chat", vec![rule("evil", sigma(3.0), ActionKind::Alert)]),
        &uncalibrated,
    );
    assert_eq!(refused.reason, reason::CALIBRATION_MISSING);
    for score in [Score::PromptLast, Score::AnswerAvg, Score::ReasoningAvg] {
        let mut other = rule("evil", sigma(3.0), ActionKind::Alert);
        other.score = score;
        let refused = refusal(&policy("p", "chat", vec![other]), &vectors());
        assert_eq!(refused.reason, reason::CALIBRATION_MISSING);
        assert!(refused.message.contains(score.name()), "{refused}");
    }
}

#[test]
fn invariant_7_a_vector_of_another_model_is_refused() {
    let mut foreign = vectors();
    foreign.get_mut("evil").unwrap().model_digest = Digest::of(b"other weights");
    let refused =
        refusal(&policy("p", "chat", vec![rule("evil", sigma(3.0), ActionKind::Alert)]), &foreign);
    assert_eq!(refused.reason, reason::MODEL_MISMATCH);
    assert!(
        refused.message.contains("`evil`") && refused.message.contains("`smollm2`"),
        "{refused}"
    );
}

#[test]
fn what_only_the_cluster_can_know_becomes_a_reason() {
    let unknown = policy("p", "chat", vec![rule("rude", sigma(3.0), ActionKind::Alert)]);
    assert_eq!(refusal(&unknown, &vectors()).reason, reason::VECTOR_NOT_FOUND);
    let twice = vec![
        rule("evil", sigma(3.0), ActionKind::Alert),
        rule("evil", sigma(4.0), ActionKind::Block),
    ];
    assert_eq!(refusal(&policy("p", "chat", twice), &vectors()).reason, reason::DUPLICATE_VECTOR);
    let inverted =
        Threshold { range: Some(ProjectionRange { min: 2.0, max: 1.0 }), ..Threshold::default() };
    let inverted = policy("p", "chat", vec![rule("evil", inverted, ActionKind::Alert)]);
    assert_eq!(refusal(&inverted, &vectors()).reason, reason::THRESHOLD_INVALID);
    let mut selector = policy("p", "chat", vec![rule("evil", sigma(3.0), ActionKind::Alert)]);
    selector.spec.selector.match_expressions = Some(vec![LabelSelectorRequirement {
        key: "tier".into(),
        operator: "Near".into(),
        values: None,
    }]);
    assert_eq!(refusal(&selector, &vectors()).reason, reason::SELECTOR_INVALID);
}

#[test]
fn the_digest_follows_the_vector_and_the_threshold() {
    let plain = policy("p", "chat", vec![rule("evil", sigma(3.0), ActionKind::Alert)]);
    let digest = |vectors| resolve_policy(&plain, &model(), &vectors).unwrap().digest.unwrap();
    let before = digest(vectors());
    assert_eq!(before, digest(vectors()));
    let mut other_layer = vectors();
    other_layer.get_mut("evil").unwrap().layer = Layer(16);
    let mut other_calibration = vectors();
    other_calibration.get_mut("evil").unwrap().calibration.as_mut().unwrap().mean = 1.5;
    assert_ne!(before, digest(other_layer));
    assert_ne!(before, digest(other_calibration));
}

fn steer(name: &str, app: &str, coefficient: f64, second: i64) -> PersonaPolicy {
    let mut rule = rule("evil", sigma(3.0), ActionKind::Steer);
    rule.steer = Some(Steering {
        coefficient: coefficient.try_into().unwrap(),
        positions: personaguard_api::Positions::Response,
        layers: Vec::new(),
        when: None,
        coherence: personaguard_api::Coherence::default(),
    });
    let mut policy = policy(name, app, vec![rule]);
    policy.metadata.creation_timestamp = Some(Time(Timestamp::from_second(second).unwrap()));
    policy
}

#[test]
fn of_two_policies_that_steer_differently_the_younger_is_refused() {
    let policies = [steer("a-younger", "chat", -1.0, 20), steer("b-older", "chat", -1.5, 10)];
    let resolution = resolve(&model(), &vectors(), &policies);
    assert_eq!(
        resolution.config.policies.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(),
        ["b-older"]
    );
    let rejection = &resolution.rejected["a-younger"];
    assert_eq!(rejection.reason, reason::STEERING_CONFLICT);
    assert!(rejection.message.contains("`b-older`"), "{rejection}");
}

#[test]
fn policies_that_agree_or_cannot_meet_do_not_conflict() {
    let other_pods = [steer("a", "chat", -1.0, 20), steer("b", "mail", -1.5, 10)];
    assert!(resolve(&model(), &vectors(), &other_pods).rejected.is_empty());
    let agreed = [steer("a", "chat", -1.0, 20), steer("b", "chat", -1.0, 10)];
    assert!(resolve(&model(), &vectors(), &agreed).rejected.is_empty());
    let mut audit = [steer("a", "chat", -1.0, 20), steer("b", "chat", -1.5, 10)];
    audit[0].spec.mode = Mode::Audit;
    assert!(resolve(&model(), &vectors(), &audit).rejected.is_empty());
}

fn cap(name: &str, floor: Option<f64>, ceiling: Option<f64>, second: i64) -> PersonaPolicy {
    let mut policy = steer(name, "chat", 0.0, second);
    let rule = &mut policy.spec.traits[0];
    (rule.action, rule.steer) = (ActionKind::Cap, None);
    rule.cap = Some(Capping { floor, ceiling, ..Default::default() });
    policy
}

#[test]
fn of_two_caps_that_leave_no_room_the_younger_is_refused() {
    let apart = [cap("a", Some(3.0), None, 20), cap("b", None, Some(2.0), 10)];
    let rejected = resolve(&model(), &vectors(), &apart).rejected;
    assert_eq!(rejected["a"].reason, reason::STEERING_CONFLICT);
    let narrower = [cap("a", Some(1.0), Some(3.0), 20), cap("b", None, Some(2.0), 10)];
    assert!(resolve(&model(), &vectors(), &narrower).rejected.is_empty());
}

#[test]
fn a_rule_has_what_its_action_needs_and_nothing_else() {
    let refused = |change: &dyn Fn(&mut TraitRule)| {
        let mut rule = rule("evil", sigma(3.0), ActionKind::Block);
        change(&mut rule);
        refusal(&policy("p", "chat", vec![rule]), &vectors()).reason
    };
    for action in [ActionKind::Steer, ActionKind::Cap, ActionKind::Regenerate, ActionKind::Redact] {
        assert_eq!(refused(&|rule| rule.action = action), reason::ACTION_INCOMPLETE, "{action:?}");
    }
    let redact = personaguard_api::Redaction { text: "…".into() };
    assert_eq!(refused(&|rule| rule.redact = Some(redact.clone())), reason::ACTION_INCOMPLETE);
    let bounds = [
        (None, None),
        (Some(2.0), Some(1.0)),
        (Some(f64::NAN), None),
        // No number for the engine, which computes in single precision.
        (None, Some(1e39)),
    ];
    for (floor, ceiling) in bounds {
        let capped = |rule: &mut TraitRule| {
            rule.action = ActionKind::Cap;
            rule.cap = Some(Capping { floor, ceiling, ..Default::default() });
        };
        assert_eq!(refused(&capped), reason::ACTION_INCOMPLETE);
    }
}

#[test]
fn what_is_enforced_is_not_sampled() {
    let sampled = |action, mode, failure_policy| {
        let mut policy = policy("p", "chat", vec![rule("evil", sigma(3.0), action)]);
        policy.spec.sampling = Some(personaguard_api::Sampling { every: Some(10), fraction: None });
        (policy.spec.mode, policy.spec.failure_policy) = (mode, failure_policy);
        resolve_policy(&policy, &model(), &vectors())
    };
    let (open, closed) = (FailurePolicy::Open, FailurePolicy::Closed);
    assert!(sampled(ActionKind::Alert, Mode::Enforce, open).is_ok());
    assert!(sampled(ActionKind::Block, Mode::Audit, closed).is_ok());
    for (action, failure_policy) in [(ActionKind::Block, open), (ActionKind::Alert, closed)] {
        let refused = sampled(action, Mode::Enforce, failure_policy).unwrap_err();
        assert_eq!(refused.reason, reason::SAMPLING_INVALID);
    }
}

#[test]
fn a_condition_on_steering_is_read_before_it_steers() {
    let conditional = |vector: &str, layer: u32, above: f64, until: Option<f64>| {
        let mut policy = steer("p", "chat", -1.0, 1);
        policy.spec.traits.push(rule("sycophantic", sigma(3.0), ActionKind::Alert));
        policy.spec.traits[0].steer.as_mut().unwrap().when =
            Some(personaguard_api::SteeringCondition {
                vector: Some(vector.into()),
                at: if until.is_some() { ConditionAt::Token } else { ConditionAt::PromptLast },
                above,
                until,
            });
        let mut vectors = vectors();
        vectors.get_mut("sycophantic").unwrap().layer = Layer(layer);
        resolve_policy(&policy, &model(), &vectors).map_err(|rejection| rejection.reason)
    };
    assert!(conditional("sycophantic", 15, 1.0, Some(0.5)).is_ok());
    assert_eq!(conditional("sycophantic", 16, 1.0, None), Err(reason::ACTION_INCOMPLETE));
    assert_eq!(conditional("rude", 15, 1.0, None), Err(reason::ACTION_INCOMPLETE));
    assert_eq!(conditional("sycophantic", 15, 1.0, Some(1.5)), Err(reason::ACTION_INCOMPLETE));
}

#[test]
fn only_vectors_in_use_are_in_the_config_and_it_reads_back() {
    let policies = [policy("p", "chat", vec![rule("evil", sigma(1.0 / 3.0), ActionKind::Alert)])];
    let config = resolve(&model(), &vectors(), &policies).config;
    assert_eq!(config.vectors.keys().collect::<Vec<_>>(), ["evil"]);
    assert_eq!(config.model.file, "/var/lib/personaguard/model/model.gguf");
    let yaml = config.to_yaml().unwrap();
    assert_eq!(GuardConfig::from_yaml(yaml.as_bytes()).unwrap(), config);
    let foreign = yaml.replace("v1alpha1", "v9");
    assert!(
        GuardConfig::from_yaml(foreign.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("of one version")
    );
}

#[test]
fn selection_is_that_of_the_api_server() {
    let labels = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let mut policy = policy("p", "chat", vec![rule("evil", sigma(3.0), ActionKind::Alert)]);
    policy.spec.selector.match_expressions = Some(vec![LabelSelectorRequirement {
        key: "tier".into(),
        operator: "NotIn".into(),
        values: Some(vec!["canary".into()]),
    }]);
    let resolved = resolve_policy(&policy, &model(), &vectors()).unwrap();
    assert!(resolved.selects(&labels(&[("app", "chat")])));
    assert!(!resolved.selects(&labels(&[("app", "chat"), ("tier", "canary")])));
    assert!(!resolved.selects(&labels(&[])));
    assert!(selects(&LabelSelector::default(), &labels(&[])));
}

#[test]
fn a_layer_that_the_file_lacks_is_named() {
    let spec = personaguard_api::PersonaVectorSpec {
        trait_name: "evil".into(),
        description: None,
        model: "smollm2".into(),
        artifact: None,
        sha256: None,
        extraction: None,
        allow_not_discriminative: false,
        allow_not_steering: false,
        layer: Some(Layer(31)),
    };
    let vector = PersonaVector::new("evil", spec);
    assert!(VectorInput::check(&vector, "evil", 30, Layer(30)).is_ok());
    let missing = VectorInput::check(&vector, "evil", 30, Layer(31)).unwrap_err();
    assert_eq!(missing.reason, reason::LAYER_MISSING);
    assert!(missing.message.contains("layers 1 to 30"), "{missing}");
    assert_eq!(
        VectorInput::check(&vector, "kind", 30, Layer(3)).unwrap_err().reason,
        reason::ARTIFACT_INVALID
    );
}

#[test]
fn a_vector_that_is_no_better_than_chance_needs_to_be_allowed() {
    let policy = policy("no-villains", "chat", vec![rule("evil", sigma(3.0), ActionKind::Alert)]);
    let mut vectors = vectors();
    vectors.get_mut("evil").unwrap().not_discriminative = true;
    let refused = resolve_policy(&policy, &model(), &vectors).unwrap_err();
    assert_eq!(refused.reason, reason::NOT_DISCRIMINATIVE);
    assert!(refused.message.contains("allowNotDiscriminative: true"), "{refused}");
}

#[test]
fn a_vector_that_does_not_steer_may_be_measured_and_needs_to_be_allowed_to_steer() {
    let mut vectors = vectors();
    vectors.get_mut("evil").unwrap().does_not_steer = true;
    let of = |rule: serde_json::Value| {
        let rule: TraitRule = serde_json::from_value(rule).unwrap();
        resolve_policy(&policy("no-villains", "chat", vec![rule]), &model(), &vectors)
            .map_err(|refused| refused.reason)
    };
    let threshold = serde_json::json!({ "projection": 4.0 });
    for rule in [
        serde_json::json!({
            "vector": "evil", "action": "Steer", "steer": { "coefficient": -1.0 }
        }),
        serde_json::json!({ "vector": "evil", "action": "Cap", "cap": { "ceiling": 3.0 } }),
        serde_json::json!({
            "vector": "evil", "action": "Regenerate", "threshold": threshold,
            "regenerate": { "coefficient": -1.0 }
        }),
        serde_json::json!({
            "vector": "evil", "action": "Audit",
            "requests": { "coefficient": { "min": -1.0, "max": 0.0 } }
        }),
    ] {
        assert_eq!(of(rule.clone()).unwrap_err(), reason::DOES_NOT_STEER, "{rule}");
    }
    for rule in [
        serde_json::json!({ "vector": "evil", "action": "Block", "threshold": threshold }),
        serde_json::json!({
            "vector": "sycophantic", "action": "Steer", "steer": { "coefficient": -1.0 }
        }),
    ] {
        assert!(of(rule.clone()).is_ok(), "{rule}");
    }
    assert!(vectors["evil"].steers("evil").unwrap_err().message.contains("allowNotSteering: true"));
}

#[test]
fn steering_and_caps_at_several_layers_bring_their_parts() {
    let mut steered = steer("a", "chat", -1.0, 10);
    steered.spec.traits[0].steer.as_mut().unwrap().layers = vec![Layer(17), Layer(16)];
    let mut capped = policy("b", "chat", vec![rule("evil", sigma(3.0), ActionKind::Cap)]);
    let bounds = |layer| personaguard_api::LayerBounds {
        layer: Layer(layer),
        floor: Some(-1.0),
        ceiling: Some(2.0),
    };
    capped.spec.traits[0].cap = Some(Capping { layers: vec![bounds(18)], ..Default::default() });
    let resolution = resolve(&model(), &vectors(), &[steered.clone(), capped.clone()]);
    assert!(resolution.rejected.is_empty(), "{:?}", resolution.rejected);
    let names: Vec<_> = resolution.config.vectors.keys().map(String::as_str).collect();
    assert_eq!(names, ["evil", "evil/16-15", "evil/17-16", "evil/18"]);
    assert_eq!(resolution.values["evil/17-16"], [1.0, 0.0]);
    assert_eq!(resolution.values["evil/18"], [18.0, 2.0]);
    assert_eq!(resolution.config.vectors["evil/18"].layer, Layer(18));
    assert!(names.iter().all(
        |name| resolution.config.vectors[*name].sha256 == digest_of(&resolution.values[*name])
    ));
    // Another file is another policy, also where only another layer of it is other.
    let mut other = vectors();
    other.get_mut("evil").unwrap().layers = (0..=20_u8).map(|_| vec![3.0, 2.0]).collect();
    let digest = |vectors| resolve_policy(&steered, &model(), vectors).unwrap().digest;
    assert_ne!(digest(&vectors()), digest(&other));
    // Layers that the file lacks, or that stand there twice, and caps that leave no room.
    let with = |layers: &[u32]| {
        let mut policy = steered.clone();
        policy.spec.traits[0].steer.as_mut().unwrap().layers =
            layers.iter().map(|layer| Layer(*layer)).collect();
        refusal(&policy, &vectors()).reason
    };
    assert_eq!(with(&[21]), reason::LAYER_MISSING);
    assert_eq!(with(&[0]), reason::LAYER_MISSING);
    assert_eq!(with(&[16, 17, 16]), reason::ACTION_INCOMPLETE);
    let mut narrow = capped.clone();
    narrow.metadata.name = Some("c".to_owned());
    narrow.metadata.creation_timestamp = Some(Time(Timestamp::from_second(20).unwrap()));
    narrow.spec.traits[0].cap.as_mut().unwrap().layers =
        vec![personaguard_api::LayerBounds { layer: Layer(18), floor: Some(3.0), ceiling: None }];
    let resolution = resolve(&model(), &vectors(), &[capped, narrow]);
    assert_eq!(resolution.rejected["c"].reason, reason::STEERING_CONFLICT);
}
