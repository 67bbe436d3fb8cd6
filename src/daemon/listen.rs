//! The sockets: the control socket, made here or handed over by systemd, and TCP for health and metrics.
//!
//! Owns: making, taking over and removing sockets. Must not: know what is asked over them.

use std::future::IntoFuture;
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::warn;

use super::DaemonError;
use crate::api::caller::Peer;
use crate::api::{self, App};
use crate::config::Config;
use crate::telemetry::fields;

/// Listens everywhere, until `closed` becomes true.
pub(super) fn all(
    config: &Config,
    app: &Arc<App>,
    closed: &watch::Receiver<bool>,
) -> Result<Vec<JoinHandle<()>>, DaemonError> {
    let mut tasks = Vec::new();
    let failed = |at: &str| {
        let at = at.to_owned();
        move |error: io::Error| DaemonError::Listen { at, why: error.to_string() }
    };
    let path = &config.control.socket;
    let shown = path.display().to_string();
    let (socket, ours) = match ListenFd::from_env().take_unix_listener(0).map_err(failed("the socket from systemd"))? {
        Some(handed) => (handed, None),
        None => (make(path).map_err(failed(&shown))?, Some(path.clone())),
    };
    socket.set_nonblocking(true).map_err(failed(&shown))?;
    let socket = UnixListener::from_std(socket).map_err(failed(&shown))?;
    let router = api::router(Arc::clone(app)).into_make_service_with_connect_info::<Peer>();
    let serve = axum::serve(socket, router).with_graceful_shutdown(until(closed.clone()));
    tasks.push(spawn(serve.into_future(), Gone(ours)));

    for address in &config.http.listen {
        let shown = address.to_string();
        let listener = StdTcpListener::bind(address).map_err(failed(&shown))?;
        listener.set_nonblocking(true).map_err(failed(&shown))?;
        let listener = TcpListener::from_std(listener).map_err(failed(&shown))?;
        let serve =
            axum::serve(listener, api::open_router(Arc::clone(app))).with_graceful_shutdown(until(closed.clone()));
        tasks.push(spawn(serve.into_future(), Gone(None)));
    }
    Ok(tasks)
}

fn spawn(serve: impl Future<Output = io::Result<()>> + Send + 'static, gone: Gone) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = serve.await {
            warn!({ fields::ERROR } = %error, "a listener has ended");
        }
        drop(gone);
    })
}

async fn until(mut closed: watch::Receiver<bool>) {
    let _ = closed.wait_for(|closed| *closed).await;
}

/// Removes our socket when the listener is done; a stale one would make commands hang.
struct Gone(Option<PathBuf>);

impl Drop for Gone {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Makes the socket, for its owner alone. What a dead daemon left is replaced; whoever listens there is left alone.
fn make(path: &Path) -> io::Result<StdUnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        if UnixStream::connect(path).is_ok() {
            let says = "another daemon listens there; stop that one, or give this one a socket of its own";
            return Err(io::Error::new(io::ErrorKind::AddrInUse, says));
        }
        std::fs::remove_file(path)?;
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let listener = StdUnixListener::bind(path)?;
    // Until here others could reach it only if the daemon's mask allows; who calls is checked at each request anyway.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
