//! The cluster's certificate authority, the certificates that it signs, and the kubeconfigs that
//! hold them.

#[cfg(test)]
mod tests;

use crate::network::Addresses;
use crate::paths::Layout;
use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use serde_json::json;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The first address of the Service range, which is the API server's own Service.
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// The holders of client certificates: file name, user, group.
const CLIENTS: [(&str, &str, &str); 7] = [
    ("admin", "kubernetes-admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("proxy", "system:kube-proxy", ""),
    ("coredns", "personaguard:coredns", ""),
    ("prometheus", "personaguard:prometheus", ""),
    ("apiserver-kubelet", "kube-apiserver-kubelet-client", "system:masters"),
];

/// Writes every key, certificate and kubeconfig into the folder's `pki/`, readable only by the
/// owner.
pub(crate) fn write(layout: &Layout, addresses: Addresses) -> Result<()> {
    let folder = layout.join("pki");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let mut params = parameters("personaguard-local-cluster", "");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?.pem();
    write_secret(&folder.join("ca.crt"), &authority)?;
    write_secret(&folder.join("ca.key"), &key.serialize_pem())?;
    let issuer = Issuer::new(params, key);

    let node = addresses.node;
    let sign = |name: &str, mut params: CertificateParams, usage| -> Result<(String, String)> {
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?.pem();
        write_secret(&folder.join(format!("{name}.crt")), &certificate)?;
        write_secret(&folder.join(format!("{name}.key")), &key.serialize_pem())?;
        Ok((certificate, key.serialize_pem()))
    };

    let mut server = parameters("kube-apiserver", "");
    for name in [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ] {
        server.subject_alt_names.push(SanType::DnsName(name.try_into()?));
    }
    for address in [node, API_SERVICE, Ipv4Addr::LOCALHOST] {
        server.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(address)));
    }
    sign("apiserver", server, ExtendedKeyUsagePurpose::ServerAuth)?;

    let mut kubelet = parameters(&format!("system:node:{}", layout.node()), "system:nodes");
    kubelet.subject_alt_names.push(SanType::DnsName(layout.node().try_into()?));
    kubelet.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(node)));
    sign("kubelet-server", kubelet, ExtendedKeyUsagePurpose::ServerAuth)?;

    let kubelet_user = format!("system:node:{}", layout.node());
    let kubelet = [("kubelet", kubelet_user.as_str(), "system:nodes")];
    for (name, user, group) in CLIENTS.into_iter().chain(kubelet) {
        let (certificate, key) =
            sign(name, parameters(user, group), ExtendedKeyUsagePurpose::ClientAuth)?;
        let config = kubeconfig(&layout.node(), user, node, &authority, &certificate, &key);
        write_secret(&folder.join(format!("{name}.kubeconfig")), &config)?;
        if name == "admin" {
            write_secret(&layout.kubeconfig(), &config)?;
        }
    }

    let tokens = KeyPair::generate()?;
    write_secret(&folder.join("service-account.key"), &tokens.serialize_pem())?;
    write_secret(&folder.join("service-account.pub"), &tokens.public_key_pem())
}

fn parameters(user: &str, group: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, user);
    if !group.is_empty() {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params
}

fn kubeconfig(
    cluster: &str,
    user: &str,
    node: Ipv4Addr,
    authority: &str,
    certificate: &str,
    key: &str,
) -> String {
    // JSON is YAML.
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [{"name": cluster, "cluster": {
            "server": format!("https://{node}:6443"),
            "certificate-authority-data": STANDARD.encode(authority),
        }}],
        "users": [{"name": user, "user": {
            "client-certificate-data": STANDARD.encode(certificate),
            "client-key-data": STANDARD.encode(key),
        }}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
    });
    format!("{config:#}\n")
}

/// Writes a file that only its owner can read, from its creation on.
fn write_secret(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
