use super::*;

fn pod(uid: &str) -> PodIdentity {
    PodIdentity { namespace: "support".into(), name: uid.into(), uid: uid.into() }
}

fn token(number: u64) -> TokenHash {
    let mut token = [0; 32];
    token[..8].copy_from_slice(&number.to_le_bytes());
    token
}

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[test]
fn issue_15_19_a_pod_with_many_tokens_makes_no_other_be_forgotten() {
    let (mut reviews, start) = (Reviews::default(), Instant::now());
    let ttl = Duration::from_secs(600);
    reviews.accept(token(0), pod("chat"), ttl, start);
    for number in 1..20_000 {
        reviews.accept(token(number), pod("many"), ttl, start + Duration::from_millis(number));
    }
    let end = start + Duration::from_secs(30);
    assert_eq!(reviews.remembered(&token(0), end), Some(Remembered::Accepted(pod("chat"))));
    assert_eq!(reviews.accepted.len(), 1 + MAX_ACCEPTED_PER_POD);
    let newest = reviews.remembered(&token(19_999), end);
    assert_eq!(newest, Some(Remembered::Accepted(pod("many"))));
}

#[test]
fn issue_15_19_refused_tokens_are_remembered_for_a_while_and_in_bounded_number() {
    let (mut reviews, start) = (Reviews::default(), Instant::now());
    reviews.refuse(token(0), "unknown", start);
    reviews.suspect(PEER, start);
    let refused = Some(Remembered::Refused("unknown".into()));
    assert_eq!(reviews.remembered(&token(0), start), refused);
    assert_eq!(reviews.remembered(&token(0), start + REFUSED_FOR), None);
    assert!(reviews.suspects(PEER, start + REFUSED_FOR));
    assert!(!reviews.suspects(PEER, start + SUSPECT_FOR));
    for number in 0..30_000_u32 {
        reviews.refuse(token(u64::from(number)), "unknown", start);
        reviews.suspect(IpAddr::V4(number.into()), start);
    }
    assert!(reviews.refused.len() <= MAX_REFUSED && reviews.suspects.len() <= MAX_SUSPECTS);
}
