//! A database that stops at the n-th commit: the machine lost its power, and nothing runs until it is started again.

use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use contactd::store::StoreError;
use contactd::store::driver::{Driver, Rows, Stmt};

/// When the machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Before the commit that comes after so many others.
    Before(u32),
    /// After it took effect, before anybody learned so.
    After(u32),
}

#[derive(Default)]
struct State {
    stop: Option<Stop>,
    dead: bool,
    commits: u64,
}

/// A driver that can stop.
pub struct Crashing<D> {
    inner: Arc<D>,
    state: Arc<Mutex<State>>,
}

impl<D> Clone for Crashing<D> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), state: self.state.clone() }
    }
}

impl<D> Crashing<D> {
    pub fn new(inner: D) -> Self {
        Self { inner: Arc::new(inner), state: Arc::default() }
    }
    /// Stops at a later commit.
    pub fn stop(&self, at: Stop) {
        self.state.lock().unwrap().stop = Some(at);
    }
    /// Starts the machine again; whether it had stopped.
    pub fn restart(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        state.stop = None;
        std::mem::take(&mut state.dead)
    }
    /// Commits that took effect, ever.
    pub fn commits(&self) -> u64 {
        self.state.lock().unwrap().commits
    }
    /// Stops the machine now: a provider was in the middle of a send.
    pub fn kill(&self) {
        self.state.lock().unwrap().dead = true;
    }
}

fn dead() -> StoreError {
    StoreError::Broken("the machine has stopped".to_owned())
}

#[async_trait]
impl<D: Driver> Driver for Crashing<D> {
    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        let writes = batch.iter().any(|s| !s.reads());
        let after = {
            let mut state = self.state.lock().unwrap();
            if state.dead {
                return Err(dead());
            }
            let mut after = false;
            if writes {
                match &mut state.stop {
                    Some(Stop::Before(0)) => {
                        state.dead = true;
                        return Err(dead());
                    }
                    Some(Stop::After(0)) => after = true,
                    Some(Stop::Before(n) | Stop::After(n)) => *n -= 1,
                    None => {}
                }
            }
            after
        };
        let rows = self.inner.run(batch).await;
        let mut state = self.state.lock().unwrap();
        if writes && rows.is_ok() {
            state.commits += 1;
        }
        if after {
            state.dead = true;
            return Err(dead());
        }
        rows
    }
}
