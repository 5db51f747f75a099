//! Rotation of the authority and the serving certificate, as a pure function of time.
//!
//! A new authority is first *announced*: it joins the bundle that sidecars trust. It *signs* only
//! after [`Schedule::overlap`], when every sidecar has read that bundle. The former authority stays
//! in the bundle until it expires.

mod x509;

pub(super) use x509::CertifiedKey;

use jiff::{SignedDuration, Timestamp};
use x509::{BACKDATE, covers, new_authority, new_serving, validity};

/// Lifetimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// Of an authority. The next one is announced after two thirds of it.
    pub(super) authority: SignedDuration,
    /// Of a serving certificate. It is renewed after two thirds of it.
    pub(super) serving: SignedDuration,
    /// Between the announcement of an authority and its first signature.
    pub(super) overlap: SignedDuration,
}

impl Default for Schedule {
    fn default() -> Self {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        Self { authority: days(365), serving: days(30), overlap: days(7) }
    }
}

/// Everything that the Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificates {
    /// The one that signs.
    pub(super) authority: CertifiedKey,
    /// The one that is announced, if one is.
    pub(super) next: Option<CertifiedKey>,
    /// Those that signed before, in PEM, without their keys.
    pub(super) former: Vec<String>,
    pub(super) serving: CertifiedKey,
}

impl Certificates {
    /// PEM bundle of the authorities that sidecars are to trust.
    pub(super) fn trust_bundle(&self) -> String {
        let next = self.next.as_ref().map(|next| next.certificate.as_str());
        let all = [Some(self.authority.certificate.as_str()), next].into_iter().flatten();
        all.chain(self.former.iter().map(String::as_str)).collect()
    }

    /// After how long something may be due, at the latest an hour.
    pub(super) fn next_check(&self, schedule: Schedule, now: Timestamp) -> SignedDuration {
        let due = |pair: &CertifiedKey| {
            pair.until.duration_since(now) - pair.until.duration_since(pair.from) / 3
        };
        let first_signature = self
            .next
            .as_ref()
            .map(|next| next.from.duration_since(now) + BACKDATE + schedule.overlap);
        let authority = first_signature.unwrap_or_else(|| due(&self.authority));
        let soonest = due(&self.serving).min(authority);
        soonest.clamp(SignedDuration::from_secs(10), SignedDuration::from_hours(1))
    }
}

/// The certificates as they should be at `now`. The same as before if nothing is due.
pub(super) fn rotate(
    before: Option<Certificates>,
    hosts: &[String],
    schedule: Schedule,
    now: Timestamp,
) -> Result<Certificates, rcgen::Error> {
    let Some(mut certificates) = before.filter(|before| before.authority.until > now) else {
        let authority = new_authority(schedule.authority, now)?;
        let serving = new_serving(&authority, hosts, schedule.serving, now)?;
        return Ok(Certificates { authority, next: None, former: Vec::new(), serving });
    };
    certificates.former.retain(|former| validity(former).is_some_and(|(_, until)| until > now));
    match certificates.next.take() {
        Some(next) if now.duration_since(next.from) - BACKDATE >= schedule.overlap => {
            let former = std::mem::replace(&mut certificates.authority, next);
            certificates.former.push(former.certificate);
            certificates.serving =
                new_serving(&certificates.authority, hosts, schedule.serving, now)?;
        }
        Some(next) => certificates.next = Some(next),
        None if certificates.authority.due_for_renewal(now) => {
            certificates.next = Some(new_authority(schedule.authority, now)?);
        }
        None => {}
    }
    let serving = &certificates.serving;
    if serving.due_for_renewal(now) || !covers(&serving.certificate, hosts) {
        certificates.serving = new_serving(&certificates.authority, hosts, schedule.serving, now)?;
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests;
