//! TLS configurations of the report server.

use anyhow::Result;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ResolvesServerCertUsingSni;
use std::sync::Arc;

/// Refuses every handshake.
pub(crate) fn without_certificate() -> Arc<ServerConfig> {
    let resolver = Arc::new(ResolvesServerCertUsingSni::new());
    Arc::new(ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver))
}

/// Presents one certificate; both arguments are PEM.
pub(super) fn with_certificate(certificate: &str, key: &str) -> Result<Arc<ServerConfig>> {
    let chain =
        CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
