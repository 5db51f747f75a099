use super::*;
use serde_json::json;

fn status(change: impl FnOnce(&mut serde_json::Value)) -> TokenReviewStatus {
    let mut status = json!({
        "authenticated": true,
        "audiences": ["reports.personaguard.dev"],
        "user": {
            "username": "system:serviceaccount:support:default",
            "extra": {
                "authentication.kubernetes.io/pod-name": ["chat-1"],
                "authentication.kubernetes.io/pod-uid": ["u1"]
            }
        }
    });
    change(&mut status);
    serde_json::from_value(status).unwrap()
}

#[test]
fn a_token_identifies_its_pod() {
    let identity = identity(status(|_| {})).unwrap();
    assert_eq!(
        identity,
        PodIdentity { namespace: "support".into(), name: "chat-1".into(), uid: "u1".into() }
    );
}

#[test]
fn other_tokens_are_rejected() {
    assert!(matches!(
        identity(status(|s| s["authenticated"] = json!(false))),
        Err(IdentityError::Unauthenticated(_))
    ));
    assert!(matches!(
        identity(status(|s| s["audiences"] = json!(["https://kubernetes"]))),
        Err(IdentityError::Unauthenticated(_))
    ));
    assert!(matches!(
        identity(status(|s| s["audiences"] = json!(null))),
        Err(IdentityError::Unauthenticated(_))
    ));
    assert!(matches!(
        identity(status(|s| s["user"]["extra"] = json!({}))),
        Err(IdentityError::NotAPod)
    ));
    assert!(matches!(
        identity(status(|s| s["user"]["username"] = json!("alice"))),
        Err(IdentityError::NotAPod)
    ));
}

#[test]
fn a_token_is_cached_no_longer_than_it_is_valid() {
    let now = Timestamp::from_second(1000).unwrap();
    let token = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
    assert_eq!(remaining_lifetime(&token(r#"{"exp": 1060}"#), now), Duration::from_secs(60));
    assert_eq!(remaining_lifetime(&token(r#"{"exp": 900}"#), now), Duration::ZERO);
    assert_eq!(remaining_lifetime(&token("{}"), now), Duration::ZERO);
    assert_eq!(remaining_lifetime("opaque", now), Duration::ZERO);
}
