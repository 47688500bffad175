//! TLS at the listener: the certificate and its key, read again when their files change, and the handshake, bounded in time. Only what this
//! program's one provider (ring) offers is spoken: TLS 1.2 and 1.3. Connections and what is said over them are the listener's.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::problem::Problem;
use crate::file_mark::FileMark;

/// The largest file of certificates or of a key, in bytes.
const PEM_BYTES: u64 = 1 << 20;
/// Bytes that are read of a request that came plainly.
const HEAD_BYTES: usize = 8 << 10;
/// Pause between two looks whether the files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The first byte of whatever a client that speaks TLS sends.
const HANDSHAKE: u8 = 0x16;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{key}: {}: {source}", path.display())]
    Io {
        /// The key of the configuration that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{key}: {}: {message}", path.display())]
    Malformed {
        /// The key of the configuration that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The two do not go together.
    #[error("http.tls_key: {} is not the key of the certificate in {}: {source}", key.display(), cert.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library says.
        source: rustls::Error,
    },
}

/// A certificate and its key, as their files say.
pub(crate) struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    now: Mutex<Loaded>,
}

struct Loaded {
    marks: [Option<FileMark>; 2],
    looked: Instant,
    config: Arc<ServerConfig>,
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// [`CertificateError`], by what stands against it.
    pub(crate) fn load(cert: &Path, key: &Path) -> Result<Self, CertificateError> {
        let marks = [FileMark::of(cert), FileMark::of(key)];
        let config = Arc::new(read(cert, key)?);
        Ok(Self { cert: cert.to_owned(), key: key.to_owned(), now: Mutex::new(Loaded { marks, looked: Instant::now(), config }) })
    }

    /// What the next connection is greeted with. Blocks a moment where the files have changed.
    fn acceptor(&self) -> TlsAcceptor {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.looked.elapsed() >= LOOK_EVERY {
            now.looked = Instant::now();
            self.look(&mut now);
        }
        TlsAcceptor::from(now.config.clone())
    }

    /// Who renews a certificate writes two files, one after the other: while they do not go together, the old ones serve.
    fn look(&self, now: &mut Loaded) {
        let marks = [FileMark::of(&self.cert), FileMark::of(&self.key)];
        if now.marks == marks {
            return;
        }
        now.marks = marks;
        match read(&self.cert, &self.key) {
            Ok(config) => {
                tracing::info!("{}: new connections are greeted with this certificate", self.cert.display());
                now.config = Arc::new(config);
            }
            Err(error) => tracing::error!("the certificate stays as it was: {error}"),
        }
    }

    /// A connection, once the client has shown that it speaks TLS; `None`: it does not, or not in this time, and was told so where it can
    /// be.
    pub(super) async fn greet(&self, mut stream: TcpStream, within: Duration) -> Option<TlsStream<TcpStream>> {
        let greeted = tokio::time::timeout(within, async {
            let mut first = [0];
            if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
                refuse_plain(&mut stream).await?;
                return Ok(None);
            }
            let acceptor = tokio::task::block_in_place(|| self.acceptor());
            acceptor.accept(stream).await.map(Some)
        });
        match greeted.await {
            Ok(Ok(stream)) => stream,
            // Clients that do not trust the certificate, and whoever knocks at ports.
            Ok(Err(error)) => {
                tracing::debug!("a handshake failed: {error}");
                None
            }
            Err(_) => {
                tracing::debug!("a handshake took longer than {} ms (http.read_timeout_ms)", within.as_millis());
                None
            }
        }
    }
}

/// Tells a client that speaks plain HTTP what to do.
async fn refuse_plain(stream: &mut TcpStream) -> io::Result<()> {
    // What it has sent is read first: a connection that is closed over unread bytes takes its answer with it.
    let mut asked = vec![0; HEAD_BYTES];
    let _ = stream.read(&mut asked).await?;
    let problem = Problem::refused(StatusCode::BAD_REQUEST, "this port speaks TLS; write the address with https://");
    let body = serde_json::Value::Object(problem.document().clone()).to_string();
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

fn read(cert: &Path, key: &Path) -> Result<ServerConfig, CertificateError> {
    let chain = certificates("http.tls_cert", cert)?;
    let private = private_key("http.tls_key", key)?;
    let mismatch = |source| CertificateError::Mismatch { cert: cert.to_owned(), key: key.to_owned(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(mismatch)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let bytes = bytes_of(key, path)?;
    let malformed = |message: String| CertificateError::Malformed { key, path: path.to_owned(), message };
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|error| malformed(format!("not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(malformed("there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)".to_owned()));
    }
    Ok(chain)
}

fn private_key(key: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let bytes = bytes_of(key, path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| CertificateError::Malformed {
        key,
        path: path.to_owned(),
        message: "there is no private key in it (PEM, -----BEGIN PRIVATE KEY-----, without a passphrase)".to_owned(),
    })
}

fn bytes_of(key: &'static str, path: &Path) -> Result<Vec<u8>, CertificateError> {
    let failed = |source| CertificateError::Io { key, path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(PEM_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > PEM_BYTES {
        let message = format!("larger than the {PEM_BYTES} bytes that a file of PEM may have");
        return Err(CertificateError::Malformed { key, path: path.to_owned(), message });
    }
    Ok(bytes)
}
