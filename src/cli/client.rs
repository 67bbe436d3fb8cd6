//! The client of the control socket.
//!
//! Owns: requests and answers over the Unix socket. Must not: print.

use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{CliError, Exit};
use crate::api::types::{AS_HEADER, ErrorBody, Event};

/// The way to the daemon.
#[derive(Debug)]
pub(super) struct Client {
    socket: PathBuf,
    act_as: Option<String>,
}

impl Client {
    pub(super) fn new(socket: &Path, act_as: Option<String>) -> Self {
        Self { socket: socket.to_path_buf(), act_as }
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.ask(Method::GET, path, None::<&()>).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, CliError> {
        self.ask(Method::POST, path, body).await
    }

    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, CliError> {
        let answer = self.send(method, path, body).await?;
        let body = answer.into_body().collect().await.map_err(|error| broken_off(&error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| not_understood(&error))
    }

    /// Asks for something that takes its time; `see` gets each line but the last, which is given back.
    pub(super) async fn follow(&self, path: &str, mut see: impl FnMut(&Event)) -> Result<Event, CliError> {
        let mut answer = self.send(Method::POST, path, None::<&()>).await?.into_body();
        let mut rest: Vec<u8> = Vec::new();
        let mut last = None;
        while let Some(frame) = answer.frame().await {
            let frame = frame.map_err(|error| broken_off(&error))?;
            rest.extend(frame.data_ref().map(|data| &data[..]).unwrap_or_default());
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let event: Event = serde_json::from_slice(&line).map_err(|error| not_understood(&error))?;
                see(&event);
                last = Some(event);
            }
        }
        match last {
            Some(Event::Failed(body)) => Err(refused(body)),
            Some(Event::Progress { .. } | Event::Looked(_)) | None => Err(CliError::new(
                Exit::Failed,
                "the daemon stopped before this was done; it goes on when it runs again",
            )),
            Some(event) => Ok(event),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Response<Incoming>, CliError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken_off(&error))?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}")).header("host", "contactd");
        if let Some(user) = &self.act_as {
            request = request.header(AS_HEADER, user);
        }
        let bytes = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                serde_json::to_vec(body).map_err(|error| CliError::usage(error.to_string()))?
            }
            None => Vec::new(),
        };
        let request = request
            .body(Full::new(Bytes::from(bytes)))
            .map_err(|_| CliError::usage("an argument can't be sent: it has characters that no name has"))?;
        let answer = sender.send_request(request).await.map_err(|error| broken_off(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| broken_off(&error))?.to_bytes();
        let told = serde_json::from_slice(&body).unwrap_or_else(|_| ErrorBody {
            error: format!("the daemon answers {status}: {}", String::from_utf8_lossy(&body)),
            code: "broken".to_owned(),
        });
        Err(refused(told))
    }

    fn unreachable(&self, error: &std::io::Error) -> CliError {
        let socket = self.socket.display();
        let hint = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "run the command as the daemon's user or by sudo",
            _ => "start it (`systemctl start contactd`, or `contactd serve`), or say where its socket is (--socket)",
        };
        CliError::new(Exit::Unreachable, format!("the daemon can't be reached at {socket} ({error}); {hint}"))
    }
}

fn refused(body: ErrorBody) -> CliError {
    let exit = match body.code.as_str() {
        "needs_person" => Exit::Waits,
        "stopping" => Exit::Unreachable,
        _ => Exit::Failed,
    };
    CliError::new(exit, body.error)
}

fn broken_off(error: &hyper::Error) -> CliError {
    CliError::new(Exit::Unreachable, format!("the daemon broke off ({error}); see its log, and try again"))
}

fn not_understood(error: &serde_json::Error) -> CliError {
    CliError::new(Exit::Failed, format!("the daemon's answer is not understood ({error}); is it of another version?"))
}

/// A part of a path, with what has a meaning in one written otherwise.
pub(super) fn part(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
