//! The listener and its connections: bounded in number and in how long they may dawdle, and all of them brought to an end at the stop.
//! What a request is answered is the router's.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot, watch},
    task::JoinSet,
};
use trackside_engine::{OnStop, Tasks};

use super::{stopped, tls::Certificate};
use crate::config;

/// Bytes of a request's line and headers.
const HEAD_BYTES: usize = 64 << 10;
/// Pause after an accept that failed for want of something: file descriptors, memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else does.
    #[error(
        "port {} is in use by another program, perhaps another host; choose another with --listen {}:PORT (0 takes a free one)",
        .0.port(),
        .0.ip()
    )]
    InUse(SocketAddr),
    /// Whatever else the system says.
    #[error("failed to listen on {address}: {source}; choose another address with --listen")]
    Io {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// An address that is listened on, nobody served yet.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    /// What connections are greeted with; `None`: they speak plainly.
    tls: Option<Arc<Certificate>>,
}

impl Listener {
    /// Listens; for TLS, where there is a certificate.
    ///
    /// # Errors
    /// [`BindError`], by what stands against it.
    pub(crate) async fn bind(address: SocketAddr, tls: Option<Certificate>) -> Result<Self, BindError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            _ => BindError::Io { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, tls: tls.map(Arc::new) })
    }

    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How addresses of it begin.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// What brings streams to their end, and tells when they have come to it.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The host stops.
    pub stopping: watch::Receiver<bool>,
    /// The places of the WebSockets.
    pub sockets: Arc<Semaphore>,
}

/// A listener that is served.
pub struct Server {
    stop: watch::Sender<bool>,
    done: oneshot::Receiver<()>,
}

impl Server {
    /// Serves; the router is made once it is known what tells its streams of the stop.
    pub(crate) fn start(listener: Listener, limits: &config::Http, tasks: &Tasks, router: impl FnOnce(Ending) -> Router) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (finished, done) = oneshot::channel();
        let ending = Ending { stopping: stopping.clone(), sockets: Arc::new(Semaphore::new(limits.sockets)) };
        let Listener { listener, tls, .. } = listener;
        let serving = Serving { router: router(ending.clone()), tls, limits: limits.clone(), stopping, sockets: ending.sockets };
        tasks.spawn("http", OnStop::Drain, async move {
            serving.run(listener).await;
            // Nobody waits if the stop was not asked for here.
            let _ = finished.send(());
        });
        Self { stop, done }
    }

    /// Accepts no more, tells streams and those who wait, and gives requests under way the grace period to be answered.
    pub async fn stop(self, grace: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(grace, self.done).await.is_err() {
            tracing::warn!("requests were still under way after {} ms and are cut", grace.as_millis());
        }
    }
}

struct Serving {
    router: Router,
    tls: Option<Arc<Certificate>>,
    limits: config::Http,
    stopping: watch::Receiver<bool>,
    sockets: Arc<Semaphore>,
}

impl Serving {
    async fn run(mut self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let mut connections = JoinSet::new();
        loop {
            while let Some(ended) = connections.try_join_next() {
                note(ended);
            }
            let accepted = tokio::select! {
                biased;
                () = stopped(&mut self.stopping) => break,
                accepted = accept(&listener, &places) => accepted,
            };
            match accepted {
                Ok((stream, place)) => {
                    let (router, limits, stopping) = (self.router.clone(), self.limits.clone(), self.stopping.clone());
                    let tls = self.tls.clone();
                    connections.spawn(async move {
                        greet(stream, tls, router, &limits, stopping).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!("a connection could not be accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
        // A WebSocket is no connection of these any more; all of them are told of the stop, and leave their places.
        let places = u32::try_from(self.limits.sockets).unwrap_or(u32::MAX);
        // Nobody closes the semaphore.
        let _ = self.sockets.acquire_many(places).await;
    }
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!("a connection was cut: {error}");
    }
}

/// A connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // An answer is small and complete: waiting for more to send with it would only delay it.
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

/// Serves one connection, after its handshake where there is one. Meanwhile it has its place like any other.
async fn greet(
    stream: TcpStream,
    tls: Option<Arc<Certificate>>,
    router: Router,
    limits: &config::Http,
    mut stopping: watch::Receiver<bool>,
) {
    let Some(tls) = tls else { return serve(stream, router, limits, stopping).await };
    let greeted = tokio::select! {
        biased;
        () = stopped(&mut stopping) => None,
        greeted = tls.greet(stream, Duration::from_millis(limits.read_timeout_ms)) => greeted,
    };
    if let Some(stream) = greeted {
        serve(stream, router, limits, stopping).await;
    }
}

/// Serves one connection until its client leaves or the host stops; then what is under way is finished.
async fn serve<S>(stream: S, router: Router, limits: &config::Http, mut stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.read_timeout_ms))
        .max_header_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended_with(ended),
        () = stopped(&mut stopping) => {}
    }
    connection.as_mut().graceful_shutdown();
    ended_with(connection.await);
}

/// Clients come and go; how is worth a line for whoever hunts a fault only.
fn ended_with(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!("a connection ended early: {error}");
    }
}
