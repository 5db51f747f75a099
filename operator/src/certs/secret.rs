//! The Secret that holds the certificates.

use super::rotation::{Certificates, CertifiedKey};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use std::collections::BTreeMap;

/// Name of the Secret, in the operator's namespace.
pub(super) const SECRET: &str = "personaguard-reports-tls";

/// Keys of certificate and private key.
type Keys = (&'static str, &'static str);
const AUTHORITY: Keys = ("authority.crt", "authority.key");
const NEXT: Keys = ("next-authority.crt", "next-authority.key");
const SERVING: Keys = ("tls.crt", "tls.key");
/// Key of the authorities that signed before, as concatenated PEM.
const FORMER: &str = "former-authorities.crt";
const END: &str = "-----END CERTIFICATE-----";

pub(super) fn read(secret: &Secret) -> Option<Certificates> {
    let data = secret.data.as_ref()?;
    let text = |key: &str| data.get(key).and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
    let pair = |(certificate, key): Keys| CertifiedKey::parse(&text(certificate)?, &text(key)?);
    let former = text(FORMER).unwrap_or_default();
    let former = former.split_inclusive(END).map(str::trim).filter(|pem| pem.ends_with(END));
    Some(Certificates {
        authority: pair(AUTHORITY)?,
        next: pair(NEXT),
        former: former.map(|pem| format!("{pem}\n")).collect(),
        serving: pair(SERVING)?,
    })
}

pub(super) fn write(certificates: &Certificates, version: Option<String>) -> Secret {
    let mut data = BTreeMap::new();
    let mut put =
        |key: &str, text: &str| data.insert(key.to_owned(), ByteString(text.as_bytes().to_vec()));
    let pairs = [
        (AUTHORITY, Some(&certificates.authority)),
        (NEXT, certificates.next.as_ref()),
        (SERVING, Some(&certificates.serving)),
    ];
    for ((certificate, key), pair) in pairs {
        if let Some(pair) = pair {
            put(certificate, &pair.certificate);
            put(key, &pair.key);
        }
    }
    put(FORMER, &certificates.former.concat());
    Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.to_owned()),
            resource_version: version,
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests;
