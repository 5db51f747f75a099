use super::*;
use crate::fixtures;

#[test]
fn a_breach_is_active_until_the_policy_recovers() {
    let policy = fixtures::policy_created_at(0);
    let active = |at, now| {
        let scores = fixtures::breach_at(at, 5.0);
        active_breaches(&policy, &[scores], fixtures::second(now))
    };
    assert_eq!(active(10, 20)[0].left, Duration::from_secs(50));
    assert!(active(10, 70).is_empty());
    assert!(active(-1, 20).is_empty(), "of a former policy");
}

#[test]
fn a_breach_names_its_score_where_that_is_not_the_usual_one() {
    let policy = fixtures::policy_created_at(0);
    for (score, said) in [
        (Score::ResponseAvg, "evil 5.0 > 4.0"),
        (Score::AnswerAvg, "evil/AnswerAvg 5.0 > 4.0"),
        (Score::ReasoningAvg, "evil/ReasoningAvg 5.0 > 4.0"),
    ] {
        let scores = TraitScores { score, ..fixtures::breach_at(10, 5.0) };
        let active = active_breaches(&policy, &[scores], fixtures::second(20));
        assert_eq!(active[0].comparison(), said);
    }
}
