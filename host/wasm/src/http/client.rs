//! Owns connecting: a name is resolved once, its addresses are looked at, and one of those is dialled; then TLS, with the roots that this
//! machine and the operator trust. Leaves what is sent over a connection to `send`.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};
use trackside_model::outside::Request;
use wasmtime_wasi_http::{
    Error,
    p2::bindings::http::types::{DnsErrorPayload, ErrorCode, TlsAlertReceivedPayload},
};

use super::address::{is_nobodys, is_public};
use crate::options::OutgoingOptions;

/// Why what plugins send cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// The operator's certificates.
    #[error("outgoing.ca_file {}: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS itself.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Why there is no connection.
pub(super) enum Unreached {
    /// The name leads to this machine or a private network alone, which is not granted.
    NotGranted,
    /// It was tried.
    Failed(Error),
}

/// How all plugins' requests are connected.
pub(crate) struct Client {
    resolve: Vec<(String, IpAddr)>,
    /// What the operator trusts besides this machine's roots.
    trusted: Vec<CertificateDer<'static>>,
    /// Made when it is first needed: reading this machine's roots takes milliseconds.
    tls: OnceLock<Result<TlsConnector, OutgoingError>>,
}

impl Client {
    /// Reads the operator's certificates.
    ///
    /// # Errors
    /// [`OutgoingError`], if they cannot be read.
    pub(crate) fn new(options: &OutgoingOptions) -> Result<Self, OutgoingError> {
        let trusted = match &options.ca_file {
            Some(path) => certificates(path).map_err(|reason| OutgoingError::CaFile { path: path.clone(), reason })?,
            None => Vec::new(),
        };
        Ok(Self { resolve: options.resolve.clone(), trusted, tls: OnceLock::new() })
    }

    /// Connects to where a request goes. Nothing but the addresses that were looked at is dialled.
    pub(super) async fn connect(&self, to: &Request, private: bool) -> Result<Box<dyn Stream>, Unreached> {
        let addresses = self.addresses(&to.host, to.port).await.map_err(Unreached::Failed)?;
        let dialled: Vec<SocketAddr> =
            addresses.iter().filter(|address| !is_nobodys(address.ip()) && (private || is_public(address.ip()))).copied().collect();
        if dialled.is_empty() {
            let forbidden = !private && addresses.iter().any(|address| !is_nobodys(address.ip()));
            return Err(if forbidden { Unreached::NotGranted } else { Unreached::Failed(Error::DestinationIpUnroutable) });
        }
        let stream = dial(&dialled).await.map_err(|error| Unreached::Failed(Error::Connect(error)))?;
        if to.plain {
            return Ok(Box::new(stream));
        }
        let tls = self.tls.get_or_init(|| self.connector()).as_ref().map_err(|error| {
            tracing::error!("{error}");
            Unreached::Failed(Error::ConfigurationError)
        })?;
        let name = ServerName::try_from(to.host.clone()).map_err(|_| Unreached::Failed(Error::HttpRequestUriInvalid))?;
        let encrypted = tls.connect(name, stream).await.map_err(|error| Unreached::Failed(Error::Tls(error)))?;
        Ok(Box::new(encrypted))
    }

    /// Where a name leads, asked once: what the operator says, else the system.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let given: Vec<SocketAddr> = self
            .resolve
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(host))
            .map(|(_, address)| SocketAddr::new(*address, port))
            .collect();
        if !given.is_empty() {
            return Ok(given);
        }
        match lookup_host((host, port)).await {
            Ok(found) => Ok(found.collect()),
            Err(error) => Err(Error::DnsError { rcode: Some(error.to_string()), info_code: None }),
        }
    }

    fn connector(&self) -> Result<TlsConnector, OutgoingError> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!("certificates of this machine that cannot be read: {error}");
        }
        roots.add_parsable_certificates(found.certs);
        for certificate in &self.trusted {
            roots.add(certificate.clone()).map_err(|error| OutgoingError::Tls(error.to_string()))?;
        }
        if roots.is_empty() {
            tracing::warn!(
                "this machine has no root certificates, so that no https host is trusted; name a file of them as outgoing.ca_file"
            );
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| OutgoingError::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err("it holds no certificate; give a file of certificates in PEM".to_owned()),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("cannot be read: {error}; give a file of certificates in PEM")),
    }
}

/// The first address that takes the connection.
async fn dial(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

/// A connection that was not made, to a guest.
pub(super) fn code_of_connect(error: &io::Error) -> ErrorCode {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorCode::ConnectionRefused,
        io::ErrorKind::TimedOut => ErrorCode::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => ErrorCode::DestinationIpUnroutable,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => ErrorCode::ConnectionTerminated,
        io::ErrorKind::AddrNotAvailable => {
            ErrorCode::DnsError(DnsErrorPayload { rcode: Some("there is no address".to_owned()), info_code: None })
        }
        _ => ErrorCode::DestinationUnavailable,
    }
}

/// TLS that did not come about, to a guest.
pub(super) fn code_of_tls(error: &io::Error) -> ErrorCode {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => ErrorCode::TlsCertificateError,
        Some(rustls::Error::AlertReceived(alert)) => ErrorCode::TlsAlertReceived(TlsAlertReceivedPayload {
            alert_id: Some((*alert).into()),
            alert_message: Some(format!("{alert:?}")),
        }),
        Some(_) => ErrorCode::TlsProtocolError,
        None => ErrorCode::ConnectionTerminated,
    }
}
