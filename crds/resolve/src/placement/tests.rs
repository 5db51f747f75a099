use super::*;
use crate::fixtures::{model, policy, rule, sigma, vectors};
use crate::resolve;
use personaguard_api::{ActionKind, Placement};

#[test]
fn one_model_in_a_namespace_has_one_placement_the_oldest_ones() {
    let serve = policy("a", "chat", vec![rule("evil", sigma(3.0), ActionKind::Block)]);
    let mut proxy = policy("b", "other", vec![rule("evil", sigma(3.0), ActionKind::Block)]);
    (proxy.spec.placement, proxy.spec.port) = (Placement::Proxy, Some("http".into()));
    let resolution = resolve(&model(), &vectors(), &[proxy, serve]);
    assert_eq!(resolution.rejected["b"].reason, reason::PLACEMENT_CONFLICT);
    assert_eq!(resolution.config.policies.len(), 1);
}
