//! What the mock servers share below HTTP: listeners, cut connections, forms.
//!
//! Owns: sockets, and how an answer or the lack of one goes out. Must not: know what a request means.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How an answer goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Whole,
    Torn,
    Nothing,
}

/// An answer before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    /// No body.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// A header more.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A body of this type.
    pub(crate) fn content(status: u16, kind: &str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::empty(status) }.with("content-type", kind)
    }

    /// A body of JSON.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::content(status, "application/json; charset=UTF-8", body.to_string())
    }

    /// A page for people.
    pub(crate) fn html(status: u16, title: &str, text: &str) -> Self {
        let page =
            format!("<!DOCTYPE html><html><head><title>{title}</title></head><body><p>{text}</p></body></html>\n");
        Self::content(status, "text/html; charset=UTF-8", page)
    }
}

/// Sends an answer; a cut one is only marked here, and [`accept`] does it.
pub(crate) fn respond(reply: Reply, cut: Cut) -> Response<Body> {
    let body = match cut {
        Cut::Torn => Body::new(Torn { half: Some(reply.body.slice(..reply.body.len() / 2)) }),
        Cut::Whole | Cut::Nothing => Body::from(reply.body.clone()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    if cut == Cut::Torn {
        response.headers_mut().insert("content-length", HeaderValue::from(reply.body.len() + 1));
    }
    response.extensions_mut().insert(cut);
    response
}

/// A listener on 127.0.0.1; port 0 lets the system choose.
pub(crate) async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// Its origin, without a last slash.
pub(crate) fn url(listener: &TcpListener) -> io::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// Takes connections and serves each in a task of its own; they end with this future.
pub(crate) async fn accept(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An accept fails for the one connection (it is gone already) or for want of descriptors; then wait a little.
                match accepted {
                    Ok((stream, _)) => { connections.spawn(connection(stream, router.clone())); }
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection. An error from the service closes it without an answer, which a plain axum server cannot do.
async fn connection(stream: TcpStream, router: Router) {
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let answer = router.call(request);
        async move {
            let response: Response<Body> = answer.await.map_err(io::Error::other)?;
            match response.extensions().get::<Cut>() {
                Some(Cut::Nothing) => Err(io::Error::other("cut by the mock")),
                _ => Ok(response),
            }
        }
    });
    // The client hanging up, and our own cuts, end here.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The first half of a body, then an error that closes the connection.
struct Torn {
    half: Option<Bytes>,
}

impl hyper::body::Body for Torn {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, io::Error>>> {
        let half = self.half.take().map(hyper::body::Frame::data);
        Poll::Ready(Some(half.ok_or_else(|| io::Error::other("torn by the mock"))))
    }
}

/// The pairs of a query or a form, in order. A plus that was not percent-encoded is a blank, as it is everywhere.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

/// Text without percent-encoding; what is none stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Text as it may stand in a query (RFC 3986 §2.3).
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{encode, pairs};

    #[test]
    fn a_plus_is_a_blank_unless_encoded() {
        let expected = [("a".to_owned(), "x y+z".to_owned()), ("b".to_owned(), String::new())];
        assert_eq!(pairs("a=x+y%2Bz&b"), expected);
        assert_eq!(pairs(&format!("a={}&b=", encode("x y+z"))), expected);
        assert_eq!(pairs("a=%zz%é")[0].1, "%zz%é");
    }
}
