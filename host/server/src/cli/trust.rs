//! Which hosts the command line trusts over TLS: those whose certificate is vouched for by the machine's own roots, or by a file that was named.
//! What is asked of them is the client's.

use std::{fs, path::Path, sync::Arc};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::CliError;

/// How connections are made. The roots are read at each run: it is the operator's machine that says whom to trust.
///
/// # Errors
/// [`CliError::Failed`], if a file was named and holds no certificate.
pub(super) fn config(ca: Option<&Path>) -> Result<TlsConfig, CliError> {
    let roots = match ca {
        Some(path) => named(path)?,
        // What cannot be read is not trusted; a host that needed it is told of as one that is not.
        None => rustls_native_certs::load_native_certs().certs,
    };
    let roots: Vec<Certificate<'static>> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .build())
}

fn named(path: &Path) -> Result<Vec<CertificateDer<'static>>, CliError> {
    let failed = |error: String| CliError::Failed(format!("--ca: {}: {error}", path.display()));
    let text = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|error| failed(format!("not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(failed("there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)".to_owned()));
    }
    Ok(certificates)
}

/// Why a host is not trusted, if that is what stands against it.
pub(super) fn distrust(error: &ureq::Error) -> Option<String> {
    let error = match error {
        ureq::Error::Rustls(error) => error,
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref::<rustls::Error>()?,
        _ => return None,
    };
    match error {
        rustls::Error::InvalidCertificate(why) => Some(why.to_string()),
        _ => None,
    }
}
