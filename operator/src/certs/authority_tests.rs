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

/// As a sidecar would judge it.
fn trusted(bundle: &str, serving: &Pair, now: Timestamp) -> bool {
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
fn a_bundle_that_is_older_than_the_overlap_at_most_always_trusts_the_server() {
    let mut certificates = rotate(None, &hosts(), SCHEDULE, at(0)).unwrap();
    let mut bundles = vec![(0, certificates.bundle())];
    let mut authorities = std::collections::BTreeSet::new();
    for hour in 0..400 {
        certificates = rotate(Some(certificates), &hosts(), SCHEDULE, at(hour)).unwrap();
        bundles.push((hour, certificates.bundle()));
        authorities.insert(certificates.authority.certificate.clone());
        for (seen, bundle) in bundles.iter().filter(|(seen, _)| hour - seen < 10) {
            assert!(
                trusted(bundle, &certificates.serving, at(hour)),
                "hour {hour}, bundle of hour {seen}"
            );
        }
    }
    assert!(authorities.len() >= 4, "authorities rotate");
    assert!(certificates.former.len() <= 2, "those that have ended are dropped");
}

#[test]
fn nothing_changes_while_nothing_is_due() {
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
fn a_stranger_is_not_trusted_and_an_authority_that_ended_is_replaced() {
    let ours = rotate(None, &hosts(), SCHEDULE, at(0)).unwrap();
    let strangers = rotate(None, &hosts(), SCHEDULE, at(0)).unwrap();
    assert!(!trusted(&ours.bundle(), &strangers.serving, at(0)));
    let after_a_long_outage = rotate(Some(ours.clone()), &hosts(), SCHEDULE, at(91)).unwrap();
    assert_ne!(after_a_long_outage.authority, ours.authority);
    assert!(trusted(&after_a_long_outage.bundle(), &after_a_long_outage.serving, at(91)));
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
fn what_was_stored_reads_back() {
    let certificates = rotate(None, &hosts(), SCHEDULE, at(0)).unwrap();
    let Pair { certificate, key, .. } = &certificates.authority;
    assert_eq!(Pair::read(certificate, key).unwrap(), certificates.authority);
    assert!(Pair::read("nonsense", key).is_none());
    assert!(Pair::read(certificate, "nonsense").is_none());
}
