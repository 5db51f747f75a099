//! The certificates in their Secret, and what follows when they change.

use super::authority::{Certificates, Pair, Schedule, rotate};
use super::{SECRET, Serving, server_config};
use crate::context::{Context, Key};
use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use personaguard_api::names;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

const AUTHORITY: (&str, &str) = ("authority.crt", "authority.key");
const NEXT: (&str, &str) = ("next-authority.crt", "next-authority.key");
const SERVING: (&str, &str) = ("tls.crt", "tls.key");
/// Authorities that signed before, one PEM after the other.
const FORMER: &str = "former-authorities.crt";

/// Brings the certificates up to date and puts them into use: once, and then as often as they are
/// due. The first round must succeed before reports are taken.
pub(crate) async fn keep(context: &Context, serving: &Serving) -> Result<Duration> {
    let schedule = Schedule::default();
    let api: Api<Secret> =
        Api::namespaced(context.cluster.client.clone(), &context.settings.place.namespace);
    let hosts = vec![context.settings.report_host(), "localhost".to_owned()];
    let secret = api.get_opt(SECRET).await.context("reading the Secret of the certificates")?;
    let there = secret.as_ref().and_then(read);
    let now = Timestamp::now();
    let certificates =
        rotate(there.clone(), &hosts, schedule, now).context("making certificates")?;
    if there.as_ref() != Some(&certificates) {
        // A version that is named: of two operators only one succeeds.
        context.cluster.check()?;
        let wanted =
            wanted(&certificates, secret.and_then(|secret| secret.metadata.resource_version));
        let params = PostParams {
            field_manager: Some(names::FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        if wanted.metadata.resource_version.is_some() {
            api.replace(SECRET, &params, &wanted).await
        } else {
            api.create(&params, &wanted).await
        }
        .context("writing the Secret of the certificates")?;
        tracing::info!(until = %certificates.serving.until, "certificates were renewed");
    }
    serving.reload_from_config(server_config(
        &certificates.serving.certificate,
        &certificates.serving.key,
    )?);
    context.metrics.certificate_expiry.set(certificates.serving.until.as_second());
    let bundle = certificates.bundle();
    let before = std::mem::replace(
        &mut *context.authorities.write().unwrap_or_else(PoisonError::into_inner),
        bundle.clone(),
    );
    if before != bundle && !before.is_empty() {
        for scope in context.scopes() {
            context.queue.push(Key::Scope(scope));
        }
    }
    let again: SignedDuration = certificates.look_again(schedule, now);
    Ok(Duration::try_from(again).unwrap_or(Duration::from_secs(60)))
}

fn read(secret: &Secret) -> Option<Certificates> {
    let data = secret.data.as_ref()?;
    let text = |key: &str| data.get(key).and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
    let pair = |(certificate, key): (&str, &str)| Pair::read(&text(certificate)?, &text(key)?);
    let former = text(FORMER).unwrap_or_default();
    const END: &str = "-----END CERTIFICATE-----";
    let former = former.split_inclusive(END).map(str::trim).filter(|pem| pem.ends_with(END));
    Some(Certificates {
        authority: pair(AUTHORITY)?,
        next: pair(NEXT),
        former: former.map(|pem| format!("{pem}\n")).collect(),
        serving: pair(SERVING)?,
    })
}

fn wanted(certificates: &Certificates, version: Option<String>) -> Secret {
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
mod tests {
    use super::*;

    #[test]
    fn the_secret_reads_back_as_it_was_written() {
        let hosts = ["a.svc".to_owned()];
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let schedule = Schedule {
            authority: SignedDuration::from_hours(90),
            serving: SignedDuration::from_hours(30),
            overlap: SignedDuration::from_hours(10),
        };
        let mut certificates = rotate(None, &hosts, schedule, start).unwrap();
        for hour in [61, 72, 73] {
            certificates = rotate(
                Some(certificates),
                &hosts,
                schedule,
                start + SignedDuration::from_hours(hour),
            )
            .unwrap();
            assert_eq!(
                read(&wanted(&certificates, None)),
                Some(certificates.clone()),
                "hour {hour}"
            );
        }
        assert_eq!(certificates.former.len(), 1);
    }
}
