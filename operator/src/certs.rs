//! The report server's certificates: an authority of the operator's own, kept in a Secret, and
//! rotated with an overlap in which sidecars trust both the old and the new one.

mod renewal;
mod rotation;
mod secret;
mod tls;
mod trust_bundle;

pub(crate) use renewal::Renewal;
pub(crate) use tls::without_certificate;
pub(crate) use trust_bundle::TrustBundle;
