//! A database that stops at the n-th commit: the machine lost its power, and nothing runs until it is started again. It can
//! also yield before and after each batch, so that whoever polls can stop, or do something else, at any of them.

use std::hash::{DefaultHasher, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use contactd::store::StoreError;
use contactd::store::driver::{Driver, Rows, Stmt, Value};
use serde::{Deserialize, Serialize};

/// When the machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// Before the commit that comes after so many others.
    Before(u32),
    /// After it took effect, before anybody learned so.
    After(u32),
}

/// Pending once.
#[derive(Default)]
pub struct Yield(bool);

impl Future for Yield {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[derive(Default)]
struct State {
    stop: Option<Stop>,
    dead: bool,
    commits: u64,
    trace: Option<DefaultHasher>,
}

/// A driver that can stop.
pub struct Crashing<D> {
    inner: Arc<D>,
    state: Arc<Mutex<State>>,
    stepwise: Arc<AtomicBool>,
}

impl<D> Clone for Crashing<D> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), state: self.state.clone(), stepwise: self.stepwise.clone() }
    }
}

impl<D> Crashing<D> {
    pub fn new(inner: D) -> Self {
        Self { inner: Arc::new(inner), state: Arc::default(), stepwise: Arc::default() }
    }
    /// The database below.
    pub fn inner(&self) -> &D {
        &self.inner
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
    /// From now on each batch yields before it is run and before its answer is given.
    pub fn set_stepwise(&self) {
        self.stepwise.store(true, Ordering::Relaxed);
    }
    /// Yields if it is to be stepped through.
    pub async fn step(&self) {
        if self.stepwise.load(Ordering::Relaxed) {
            Yield::default().await;
        }
    }
    /// From now on every statement that writes goes into a hash.
    pub fn set_traced(&self) {
        self.state.lock().unwrap().trace = Some(DefaultHasher::new());
    }
    /// The hash of what was written since.
    pub fn trace(&self) -> Option<u64> {
        self.state.lock().unwrap().trace.as_ref().map(DefaultHasher::finish)
    }
}

fn dead() -> StoreError {
    StoreError::Broken("the machine has stopped".to_owned())
}

fn hash(stmt: &Stmt, into: &mut DefaultHasher) {
    into.write(stmt.sql.as_bytes());
    for value in &stmt.args {
        match value {
            Value::Null => into.write_u8(0),
            Value::Text(text) => into.write(text.as_bytes()),
            Value::Int(number) => into.write_i64(*number),
            Value::Bool(yes) => into.write_u8(1 + u8::from(*yes)),
            Value::Bytes(bytes) => into.write(bytes),
        }
    }
}

#[async_trait]
impl<D: Driver> Driver for Crashing<D> {
    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        self.step().await;
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
                if let Some(trace) = &mut state.trace {
                    batch.iter().for_each(|stmt| hash(stmt, trace));
                }
            }
            after
        };
        let rows = self.inner.run(batch).await;
        {
            let mut state = self.state.lock().unwrap();
            if writes && rows.is_ok() {
                state.commits += 1;
            }
            if after {
                state.dead = true;
                return Err(dead());
            }
        }
        self.step().await;
        rows
    }
}
