//! Being sure of the server.
//!
//! Owns: whose certificates are believed. Must not: let a connection through whose server is not the one that was named.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::StoreError;
use super::PostgresSettings;

/// How connections are encrypted, if they are.
pub(super) fn connector(settings: &PostgresSettings) -> Result<Option<MakeRustlsConnect>, StoreError> {
    if settings.config.get_ssl_mode() == SslMode::Disable {
        return Ok(None);
    }
    let broken = |error: &dyn std::fmt::Display| StoreError::Broken(format!("no encryption to the database: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(&error))?;
    let config = match &settings.root_cert {
        None => builder.with_platform_verifier().map_err(|error| broken(&error))?.with_no_client_auth(),
        Some(path) => {
            let unread = |error: &dyn std::fmt::Display| {
                StoreError::Broken(format!("can't read the certificates in {} (sslrootcert): {error}", path.display()))
            };
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unread(&error))? {
                let certificate = certificate.map_err(|error| unread(&error))?;
                roots.add(certificate).map_err(|error| unread(&error))?;
            }
            if roots.is_empty() {
                return Err(unread(&"there are none"));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    Ok(Some(MakeRustlsConnect::new(config)))
}
