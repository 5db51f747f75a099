use super::*;
use crate::fixtures::{report, second};
use crate::objects::conditions::ConditionStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use personaguard_api::{AuditLogHead, AuditLogStatus, Digest};

fn pod(name: &str, log: Option<(u64, Option<AuditLogCut>)>) -> PodCounts {
    let audit_log =
        log.map(|(gaps, cut)| AuditLogStatus { sequence: 9, hash: Digest::of(b"line"), gaps, cut });
    PodCounts { audit_log, ..report(name, &[]) }
}

#[test]
fn number_8_the_condition_says_which_log_and_what_to_do() {
    let head = |sequence| AuditLogHead { sequence, hash: Digest::of(b"line") };
    let cut = AuditLogCut { at: Time(second(0)), expected: head(8), found: head(4) };
    let of = |pods: &[PodCounts]| audit_log_intact(pods.iter());
    assert_eq!(of(&[pod("a", None)]), None);
    assert_eq!(of(&[pod("a", Some((0, None)))]).unwrap().status, ConditionStatus::True);
    let gap = of(&[pod("a", Some((0, None))), pod("b", Some((1, None)))]).unwrap();
    assert_eq!((gap.status, gap.reason.as_str()), (ConditionStatus::False, reason::LOG_GAP));
    assert!(gap.message.contains("pod b") && gap.message.contains("1 of 2"), "{}", gap.message);
    let cut = of(&[pod("b", Some((1, None))), pod("c", Some((0, Some(cut))))]).unwrap();
    assert_eq!((cut.status, cut.reason.as_str()), (ConditionStatus::False, reason::LOG_CUT));
    assert!(cut.message.contains("pod c had line 8"), "{}", cut.message);
}
