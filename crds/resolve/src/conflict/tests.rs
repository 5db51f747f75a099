use super::*;
use crate::fixtures::{model, steer, vectors};
use crate::resolve;
use personaguard_api::{Action, PersonaPolicy};

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
    (rule.action, rule.steer) = (Action::Cap, None);
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
