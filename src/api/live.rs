//! Answers that come while something is done: one JSON object per line.
//!
//! Owns: the stream of [`Event`]s, progress first and the outcome last. Must not: know what is done.

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::mpsc;

use super::types::Event;
use super::{ApiError, show};
use crate::engine::{Handle, Progress};

/// Streams how far `done` is by its handle, and then what it came to. With `stops`, a caller who goes away ends it.
pub(super) fn events(
    handle: Handle,
    stops: bool,
    done: impl Future<Output = Result<Event, ApiError>> + Send + 'static,
) -> Response {
    telling(handle, stops, mpsc::unbounded_channel().1, done)
}

/// The same with what is told meanwhile. The last event has all of that once more, so that a caller who reads slowly may get
/// only the first of it before.
pub(super) fn telling(
    handle: Handle,
    stops: bool,
    mut told: mpsc::UnboundedReceiver<Event>,
    done: impl Future<Output = Result<Event, ApiError>> + Send + 'static,
) -> Response {
    let (line, lines) = mpsc::channel::<Event>(16);
    tokio::spawn(async move {
        let mut progress = handle.watch();
        let mut done = Box::pin(done);
        let mut whole = true;
        loop {
            let (event, is_told) = tokio::select! {
                biased;
                Some(event) = told.recv(), if whole => (event, true),
                outcome = &mut done => {
                    let event = outcome.unwrap_or_else(|error| Event::Failed(error.body()));
                    let _ = line.send(event).await;
                    return;
                }
                Ok(()) = progress.changed() => (shown(*progress.borrow_and_update()), false),
            };
            // Who reads slowly gets fewer lines, and doesn't hold up the run.
            if line.try_send(event).is_err() {
                whole &= !is_told;
                if line.is_closed() && stops {
                    handle.stop();
                }
            }
        }
    });
    let body = stream::unfold(lines, |mut lines| async move {
        let event = lines.recv().await?;
        let mut text = serde_json::to_vec(&event).unwrap_or_default();
        text.push(b'\n');
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), lines))
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(body)).into_response()
}

fn shown(progress: Progress) -> Event {
    let Progress { phase, read, tally } = progress;
    Event::Progress { phase: phase.word().to_owned(), read, tally: show::tally(tally) }
}
