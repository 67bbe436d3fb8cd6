//! What a run is watched and stopped by, from outside.
//!
//! Owns: the stop flag, which a run looks at between its batches, and how far the run has come. Must not: break anything
//! off: what is in flight is finished, and what is stored then is what the next run goes on from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::store::Tally;

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for its turn.
    #[default]
    Waiting,
    /// Finding out what became of earlier sends.
    Settling,
    /// Reading the address book.
    Reading,
    /// Comparing, and changing what differs.
    Applying,
    /// Deleting what is to be deleted, which comes last.
    Deleting,
}

impl Phase {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Settling => "settling",
            Self::Reading => "reading",
            Self::Applying => "applying",
            Self::Deleting => "deleting",
        }
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Where it is.
    pub phase: Phase,
    /// How many records it has read.
    pub read: u64,
    /// What it has counted.
    pub tally: Tally,
}

/// A handle on a run; cheap to clone, the same for all clones.
#[derive(Clone, Debug, Default)]
pub struct Handle(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    stop: AtomicBool,
    progress: watch::Sender<Progress>,
}

impl Handle {
    /// Asks the run to end after the batch in flight, as [`super::SyncError::Stopped`].
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to.
    pub fn is_stopped(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }

    /// How far it has come, now and whenever that changes.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.0.progress.subscribe()
    }

    pub(super) fn tell(&self, change: impl FnOnce(&mut Progress)) {
        self.0.progress.send_if_modified(|progress| {
            let before = *progress;
            change(progress);
            *progress != before
        });
    }
}
