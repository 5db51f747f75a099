//! The rotation of authority and serving certificate, as a pure function of time.
//!
//! A new authority is first *announced*: it joins the bundle that sidecars trust. Only when they
//! have had [`Schedule::overlap`] to read that bundle does it *sign*. The old one stays in the
//! bundle until it ends.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Lifetimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Of an authority; the next one is announced after two thirds.
    pub(crate) authority: SignedDuration,
    /// Of a serving certificate; renewed after two thirds.
    pub(crate) serving: SignedDuration,
    /// Between the announcement of an authority and its first signature.
    pub(crate) overlap: SignedDuration,
}

impl Default for Schedule {
    fn default() -> Self {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        Self { authority: days(365), serving: days(30), overlap: days(7) }
    }
}

/// Allowance for clocks that are behind.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);

/// A certificate with its key, and when it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

impl Pair {
    /// Reads PEM text as it was stored.
    pub(crate) fn read(certificate: &str, key: &str) -> Option<Self> {
        let (from, until) = validity(certificate)?;
        KeyPair::from_pem(key).ok()?;
        Some(Self { certificate: certificate.to_owned(), key: key.to_owned(), from, until })
    }

    /// Two thirds of its life have passed.
    fn old(&self, now: Timestamp) -> bool {
        now.duration_since(self.from) * 3 >= self.until.duration_since(self.from) * 2
    }
}

/// Everything that the Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificates {
    /// Signs now.
    pub(crate) authority: Pair,
    /// Will sign when sidecars had time to learn of it.
    pub(crate) next: Option<Pair>,
    /// Signed before: certificates only.
    pub(crate) former: Vec<String>,
    pub(crate) serving: Pair,
}

impl Certificates {
    /// PEM bundle that sidecars trust.
    pub(crate) fn bundle(&self) -> String {
        let next = self.next.as_ref().map(|next| next.certificate.as_str());
        let all = [Some(self.authority.certificate.as_str()), next].into_iter().flatten();
        all.chain(self.former.iter().map(String::as_str)).collect()
    }

    /// When something is to be done next, at the latest.
    pub(crate) fn look_again(&self, schedule: Schedule, now: Timestamp) -> SignedDuration {
        let third =
            |pair: &Pair| pair.until.duration_since(now) - pair.until.duration_since(pair.from) / 3;
        let announced = self
            .next
            .as_ref()
            .map(|next| next.from.duration_since(now) + BACKDATE + schedule.overlap);
        let next = [Some(third(&self.serving)), announced.or(Some(third(&self.authority)))];
        let soonest = next.into_iter().flatten().min().unwrap_or(SignedDuration::ZERO);
        soonest.clamp(SignedDuration::from_secs(10), SignedDuration::from_hours(1))
    }
}

/// The certificates as they should be at `now`, from those that are there; the same ones if nothing
/// is to be done.
///
/// # Errors
/// If a key or certificate cannot be made.
pub(crate) fn rotate(
    there: Option<Certificates>,
    hosts: &[String],
    schedule: Schedule,
    now: Timestamp,
) -> Result<Certificates, rcgen::Error> {
    let Some(mut certificates) = there.filter(|there| there.authority.until > now) else {
        let authority = new_authority(schedule, now)?;
        let serving = new_serving(&authority, hosts, schedule, now)?;
        return Ok(Certificates { authority, next: None, former: Vec::new(), serving });
    };
    certificates.former.retain(|former| validity(former).is_some_and(|(_, until)| until > now));
    match certificates.next.take() {
        Some(next) if now.duration_since(next.from) - BACKDATE >= schedule.overlap => {
            let former = std::mem::replace(&mut certificates.authority, next);
            certificates.former.push(former.certificate);
            certificates.serving = new_serving(&certificates.authority, hosts, schedule, now)?;
        }
        Some(next) => certificates.next = Some(next),
        None if certificates.authority.old(now) => {
            certificates.next = Some(new_authority(schedule, now)?)
        }
        None => {}
    }
    if certificates.serving.old(now) || !names(&certificates.serving.certificate, hosts) {
        certificates.serving = new_serving(&certificates.authority, hosts, schedule, now)?;
    }
    Ok(certificates)
}

fn new_authority(schedule: Schedule, now: Timestamp) -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = params(Vec::new(), now, schedule.authority)?;
    params
        .distinguished_name
        .push(DnType::CommonName, format!("personaguard reports {}", now.as_second()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?.pem();
    Ok(pair(certificate, &key, now, schedule.authority))
}

fn new_serving(
    authority: &Pair,
    hosts: &[String],
    schedule: Schedule,
    now: Timestamp,
) -> Result<Pair, rcgen::Error> {
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    let key = KeyPair::generate()?;
    // No longer than the authority.
    let lifetime = schedule.serving.min(authority.until.duration_since(now));
    let mut params = params(hosts.to_vec(), now, lifetime)?;
    params.distinguished_name.push(DnType::CommonName, "personaguard reports");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &issuer)?.pem();
    Ok(pair(certificate, &key, now, lifetime))
}

fn params(
    hosts: Vec<String>,
    now: Timestamp,
    lifetime: SignedDuration,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.not_before = time(now - BACKDATE);
    params.not_after = time(now + lifetime);
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params)
}

fn pair(certificate: String, key: &KeyPair, now: Timestamp, lifetime: SignedDuration) -> Pair {
    let second = |time: Timestamp| Timestamp::from_second(time.as_second()).unwrap_or(time);
    Pair {
        certificate,
        key: key.serialize_pem(),
        from: second(now - BACKDATE),
        until: second(now + lifetime),
    }
}

fn time(at: Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(at.as_second())
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

fn parsed<T>(
    pem: &str,
    read: impl FnOnce(&x509_parser::certificate::X509Certificate<'_>) -> Option<T>,
) -> Option<T> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    read(&pem.parse_x509().ok()?)
}

fn validity(certificate: &str) -> Option<(Timestamp, Timestamp)> {
    parsed(certificate, |certificate| {
        let validity = certificate.validity();
        Some((
            Timestamp::from_second(validity.not_before.timestamp()).ok()?,
            Timestamp::from_second(validity.not_after.timestamp()).ok()?,
        ))
    })
}

/// Whether a certificate is for all of these hosts.
fn names(certificate: &str, hosts: &[String]) -> bool {
    let all = parsed(certificate, |certificate| {
        let extension = certificate.subject_alternative_name().ok()??;
        let found: Vec<String> = extension
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                x509_parser::extensions::GeneralName::DNSName(name) => Some((*name).to_owned()),
                x509_parser::extensions::GeneralName::IPAddress(bytes) => match *bytes {
                    [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
                    bytes => <[u8; 16]>::try_from(bytes)
                        .ok()
                        .map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
                },
                _ => None,
            })
            .collect();
        Some(hosts.iter().all(|host| found.contains(host)))
    });
    all == Some(true)
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
