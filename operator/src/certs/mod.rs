//! The report server's certificates: an authority of the operator's own, kept in a Secret, rotated
//! with overlap.

mod authority;
mod store;

pub(crate) use store::keep;

use axum_server::tls_rustls::RustlsConfig;

/// Secret in the operator's namespace.
pub(crate) const SECRET: &str = "personaguard-reports-tls";

/// Presents one certificate.
pub(crate) fn server_config(
    certificate: &str,
    key: &str,
) -> anyhow::Result<std::sync::Arc<rustls::ServerConfig>> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain =
        CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let mut config =
        rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(std::sync::Arc::new(config))
}

/// Where the serving certificate is put when it changes.
pub(crate) type Serving = RustlsConfig;
