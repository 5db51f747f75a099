//! Making and reading certificates.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::net::{Ipv4Addr, Ipv6Addr};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// Certificates are valid from so long before they are made, for peers whose clocks are behind.
pub(super) const BACKDATE: SignedDuration = SignedDuration::from_mins(5);

/// A certificate with its private key, both in PEM, and its validity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertifiedKey {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

impl CertifiedKey {
    pub(crate) fn parse(certificate: &str, key: &str) -> Option<Self> {
        let (from, until) = validity(certificate)?;
        KeyPair::from_pem(key).ok()?;
        Some(Self { certificate: certificate.to_owned(), key: key.to_owned(), from, until })
    }

    fn new(certificate: String, key: &KeyPair, now: Timestamp, lifetime: SignedDuration) -> Self {
        // As precise as a certificate is.
        let second = |time: Timestamp| Timestamp::from_second(time.as_second()).unwrap_or(time);
        Self {
            certificate,
            key: key.serialize_pem(),
            from: second(now - BACKDATE),
            until: second(now + lifetime),
        }
    }

    /// Two thirds of its lifetime are over.
    pub(super) fn due_for_renewal(&self, now: Timestamp) -> bool {
        now.duration_since(self.from) * 3 >= self.until.duration_since(self.from) * 2
    }
}

pub(super) fn new_authority(
    lifetime: SignedDuration,
    now: Timestamp,
) -> Result<CertifiedKey, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = params(Vec::new(), now, lifetime)?;
    let name = format!("personaguard reports {}", now.as_second());
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?.pem();
    Ok(CertifiedKey::new(certificate, &key, now, lifetime))
}

/// A certificate for these hosts. It expires with its authority at the latest.
pub(super) fn new_serving(
    authority: &CertifiedKey,
    hosts: &[String],
    lifetime: SignedDuration,
    now: Timestamp,
) -> Result<CertifiedKey, rcgen::Error> {
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    let key = KeyPair::generate()?;
    let lifetime = lifetime.min(authority.until.duration_since(now));
    let mut params = params(hosts.to_vec(), now, lifetime)?;
    params.distinguished_name.push(DnType::CommonName, "personaguard reports");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &issuer)?.pem();
    Ok(CertifiedKey::new(certificate, &key, now, lifetime))
}

fn params(
    hosts: Vec<String>,
    now: Timestamp,
    lifetime: SignedDuration,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.not_before = date(now - BACKDATE);
    params.not_after = date(now + lifetime);
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params)
}

fn date(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// When a certificate in PEM is valid.
pub(super) fn validity(certificate: &str) -> Option<(Timestamp, Timestamp)> {
    parse(certificate, |certificate| {
        let validity = certificate.validity();
        Some((
            Timestamp::from_second(validity.not_before.timestamp()).ok()?,
            Timestamp::from_second(validity.not_after.timestamp()).ok()?,
        ))
    })
}

/// Whether a certificate in PEM is for all of these hosts.
pub(super) fn covers(certificate: &str, hosts: &[String]) -> bool {
    let all = parse(certificate, |certificate| {
        let names = &certificate.subject_alternative_name().ok()??.value.general_names;
        let names: Vec<String> = names.iter().filter_map(host).collect();
        Some(hosts.iter().all(|host| names.contains(host)))
    });
    all == Some(true)
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            bytes => {
                <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string())
            }
        },
        _ => None,
    }
}

fn parse<T>(pem: &str, read: impl FnOnce(&X509Certificate<'_>) -> Option<T>) -> Option<T> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    read(&pem.parse_x509().ok()?)
}
