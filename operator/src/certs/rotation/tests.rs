use super::*;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use std::time::Duration;

const SCHEDULE: Schedule = Schedule {
    authority: SignedDuration::from_hours(90),
    serving: SignedDuration::from_hours(30),
    overlap: SignedDuration::from_hours(10),
};

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap() + SignedDuration::from_hours(hours)
}

fn hosts() -> Vec<String> {
    vec!["personaguard-reports.personaguard-system.svc".into()]
}

/// Whether a sidecar with this bundle would accept the server.
fn trusted(bundle: &str, serving: &CertifiedKey, now: Timestamp) -> bool {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(
        CertificateDer::pem_slice_iter(bundle.as_bytes()).map(Result::unwrap),
    );
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let certificate = CertificateDer::from_pem_slice(serving.certificate.as_bytes()).unwrap();
    let name = ServerName::try_from(hosts()[0].clone()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().cast_unsigned()));
    verifier.verify_server_cert(&certificate, &[], &name, &[], now).is_ok()
}

#[test]
fn a_bundle_no_older_than_the_overlap_always_trusts_the_server() {
    let mut certificates = rotate(None, &hosts(), SCHEDULE, at(0)).unwrap();
    let mut bundles = vec![(0, certificates.trust_bundle())];
    let mut authorities = std::collections::BTreeSet::new();
    for hour in 0..400 {
        certificates = rotate(Some(certificates), &hosts(), SCHEDULE, at(hour)).unwrap();
        bundles.push((hour, certificates.trust_bundle()));
        authorities.insert(certificates.authority.certificate.clone());
        for (seen, bundle) in bundles.iter().filter(|(seen, _)| hour - seen < 10) {
            assert!(
                trusted(bundle, &certificates.serving, at(hour)),
                "hour {hour}, bundle of hour {seen}"
            );
        }
    }
    assert!(authorities.len() >= 4, "authorities rotate");
    assert!(certificates.former.len() <= 2, "expired ones are dropped");
}

#[test]
fn nothing_changes_while_no_renewal_is_due() {
    let certificates = rotate(None, &hosts(), SCHEDULE, at(0)).unwrap();
    assert_eq!(
        rotate(Some(certificates.clone()), &hosts(), SCHEDULE, at(19)).unwrap(),
        certificates
    );
    let renewed = rotate(Some(certificates.clone()), &hosts(), SCHEDULE, at(21)).unwrap();
    assert_ne!(renewed.serving, certificates.serving);
    assert_eq!(renewed.authority, certificates.authority);
}

#[test]
fn another_authority_is_not_trusted_and_an_expired_one_is_replaced() {
    let ours = rotate(None, &hosts(), SCHEDULE, at(0)).unwrap();
    let foreign = rotate(None, &hosts(), SCHEDULE, at(0)).unwrap();
    assert!(!trusted(&ours.trust_bundle(), &foreign.serving, at(0)));
    let after_a_long_outage = rotate(Some(ours.clone()), &hosts(), SCHEDULE, at(91)).unwrap();
    assert_ne!(after_a_long_outage.authority, ours.authority);
    assert!(trusted(&after_a_long_outage.trust_bundle(), &after_a_long_outage.serving, at(91)));
}

#[test]
fn another_host_name_needs_another_certificate() {
    let certificates = rotate(None, &hosts(), SCHEDULE, at(0)).unwrap();
    let moved = vec!["personaguard-reports.elsewhere.svc".to_owned(), "127.0.0.1".to_owned()];
    let renewed = rotate(Some(certificates.clone()), &moved, SCHEDULE, at(1)).unwrap();
    assert_ne!(renewed.serving, certificates.serving);
    assert_eq!(rotate(Some(renewed.clone()), &moved, SCHEDULE, at(2)).unwrap(), renewed);
}

#[test]
fn stored_keys_read_back() {
    let certificates = rotate(None, &hosts(), SCHEDULE, at(0)).unwrap();
    let CertifiedKey { certificate, key, .. } = &certificates.authority;
    assert_eq!(CertifiedKey::parse(certificate, key).unwrap(), certificates.authority);
    assert!(CertifiedKey::parse("nonsense", key).is_none());
    assert!(CertifiedKey::parse(certificate, "nonsense").is_none());
}
