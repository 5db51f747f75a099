use super::*;
use personaguard_crds::wire::Failure;
use personaguard_guard::{Decision, ModelFacts, Stop};
use std::sync::Arc;

/// A policy that is enforced but for its vector, and one that was never resolved.
fn config() -> Config {
    let yaml = "
apiVersion: personaguard.dev/v1alpha1
kind: GuardConfig
model: {name: m, file: m.gguf, sha256: DIGEST, contextLength: 64, maxConcurrent: 1}
vectors: {}
policies:
- name: no-villains
  uid: u
  generation: 7
  mode: Enforce
  selector: {}
  failurePolicy: Open
  evidence: {minTokens: 1}
  traits: [{vector: evil, score: ResponseAvg, max: 1.0, action: Block}]
unresolved:
- name: never
  selector: {}
  failurePolicy: Closed
  failure: {reason: VectorNotFound, message: Create it.}
";
    let yaml = yaml.replace("DIGEST", &"a".repeat(64));
    let guard =
        personaguard_crds::guard_config::GuardConfig::from_yaml(yaml.as_bytes()).unwrap();
    Config { guard, vectors: Default::default(), model_file: "m.gguf".into() }
}

#[test]
fn what_is_not_enforced_is_not_acknowledged() {
    let config = config();
    let facts = ModelFacts { digest: "a".repeat(64), layers: 4, hidden: 2 };
    let plan = Plan::new(&policy_set(&config), &facts);
    let acknowledged = acknowledgements(&config, &plan);
    let refused = RefusedTrait {
        vector: "evil".to_owned(),
        failure: Failure {
            reason: "VectorNotFound".to_owned(),
            message: "vector `evil` is not in the config: let the operator write it again"
                .to_owned(),
        },
    };
    let expected = PolicyAcknowledgement {
        name: "no-villains".to_owned(),
        uid: "u".to_owned(),
        generation: 7,
        digest: None,
        refused: vec![refused],
    };
    assert_eq!(acknowledged, [expected]);
    assert_eq!(failure_policy(&config.guard), personaguard_guard::FailurePolicy::Closed);
    assert_eq!(Decision::new(Arc::new(plan)).stop(), Some(Stop::Unscorable));
}
