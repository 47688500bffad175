//! The world outside: servers on free ports of this machine, over http or https, that remember what came and answer as a test wants.
//! What a host and its plugins make of them is said by the tests.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};

use crate::wait::PATIENCE;

/// An authority that no machine trusts by itself.
pub struct Authority {
    params: rcgen::CertificateParams,
    key: rcgen::KeyPair,
    file: PathBuf,
}

impl Authority {
    /// Makes one, and writes its certificate into this folder.
    ///
    /// # Panics
    /// When it cannot be made or written.
    pub fn new(folder: &Path) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key can be made");
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("nothing is wrong with no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let file = folder.join("authority.pem");
        std::fs::write(&file, params.self_signed(&key).expect("a certificate can be signed").pem()).expect("a file can be written");
        Self { params, key, file }
    }

    /// Its certificate.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A certificate for these names, and its key.
    fn certificate(&self, names: &[&str]) -> (rcgen::Certificate, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().expect("a key can be made");
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let issuer = rcgen::Issuer::from_params(&self.params, &self.key);
        let params = rcgen::CertificateParams::new(names).expect("the names are well formed");
        (params.signed_by(&key, &issuer).expect("a certificate can be signed"), key)
    }

    /// Writes a certificate for these names into `host.pem` in this folder, and its key into `host.key`, where they may be already.
    ///
    /// # Panics
    /// When they cannot be made or written.
    pub fn issue(&self, folder: &Path, names: &[&str]) -> [PathBuf; 2] {
        let (certificate, key) = self.certificate(names);
        let paths = [folder.join("host.pem"), folder.join("host.key")];
        std::fs::write(&paths[0], certificate.pem()).expect("a file can be written");
        std::fs::write(&paths[1], key.serialize_pem()).expect("a file can be written");
        paths
    }

    /// A client that trusts it, and nobody else.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let certificate = self.params.self_signed(&self.key).expect("a certificate can be signed");
        roots.add(certificate.der().clone()).expect("it is a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Arc::new(builder.expect("the provider speaks them").with_root_certificates(roots).with_no_client_auth())
    }

    fn config(&self, names: &[&str]) -> ServerConfig {
        let (certificate, key) = self.certificate(names);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider speaks them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .expect("key and certificate belong together")
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Came {
    /// As it stands in the first line.
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Came {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A status, headers, and a body.
    Whole(u16, Vec<(String, String)>, Vec<u8>),
    /// Nothing, for as long as the other side waits.
    Silence,
    /// A body that begins and never ends, a piece now and then.
    Endless,
}

impl Answer {
    /// A status with a text.
    pub fn text(status: u16, text: &str) -> Self {
        Self::Whole(status, Vec::new(), text.as_bytes().to_vec())
    }

    /// Somewhere else.
    pub fn redirect(to: &str) -> Self {
        Self::Whole(302, vec![("location".to_owned(), to.to_owned())], Vec::new())
    }
}

type Answers = dyn Fn(&Came) -> Answer + Send + Sync;

struct Shared {
    answers: Box<Answers>,
    came: Mutex<Vec<Came>>,
    connections: AtomicU64,
    stopped: AtomicBool,
    tls: Option<Arc<ServerConfig>>,
}

/// A server; stopped when it is dropped.
pub struct Outside {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Outside {
    /// One that speaks http, and answers so.
    pub fn http(answers: impl Fn(&Came) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(None, answers)
    }

    /// One that speaks https under these names, and answers so.
    pub fn https(authority: &Authority, names: &[&str], answers: impl Fn(&Came) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(Some(Arc::new(authority.config(names))), answers)
    }

    fn start(tls: Option<Arc<ServerConfig>>, answers: impl Fn(&Came) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port can be had");
        let address = listener.local_addr().expect("it has an address");
        let shared = Arc::new(Shared {
            answers: Box::new(answers),
            came: Mutex::default(),
            connections: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            tls,
        });
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for connection in listener.incoming() {
                if of_thread.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(connection) = connection else { continue };
                of_thread.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&of_thread);
                // It ends when the other side hangs up, or the server is stopped.
                thread::spawn(move || drop(serve(&shared, connection)));
            }
        });
        Self { shared, address, thread: Some(thread) }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections that were made to it, whether anything came over them or not.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// What came so far, in order.
    pub fn came(&self) -> Vec<Came> {
        self.shared.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // It waits for a connection: this is one.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(shared: &Shared, connection: TcpStream) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    match &shared.tls {
        None => answer(shared, connection.try_clone()?, connection),
        Some(config) => {
            let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            let mut stream = BufReader::new(StreamOwned::new(session, connection));
            let came = read(&mut stream)?;
            reply(shared, &came, stream.get_mut())
        }
    }
}

fn answer(shared: &Shared, reads: TcpStream, mut writes: TcpStream) -> io::Result<()> {
    let came = read(&mut BufReader::new(reads))?;
    reply(shared, &came, &mut writes)
}

fn reply(shared: &Shared, came: &Came, to: &mut impl Write) -> io::Result<()> {
    shared.came.lock().unwrap_or_else(PoisonError::into_inner).push(came.clone());
    match (shared.answers)(came) {
        Answer::Whole(status, headers, body) => {
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            write!(to, "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len())?;
            to.write_all(&body)?;
            to.flush()
        }
        Answer::Silence => {
            while !shared.stopped.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
        Answer::Endless => {
            write!(to, "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n")?;
            while !shared.stopped.load(Ordering::SeqCst) {
                to.write_all(b"5\r\nagain\r\n")?;
                to.flush()?;
                thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
    }
}

fn read(from: &mut impl BufRead) -> io::Result<Came> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Came { method, path, headers, body })
}
