//! Running futures by hand: everything that the simulator awaits is done at once or yields once, so that a run can be polled
//! so many times, left where it stands, gone on with, or dropped.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// More polls than any run needs: one that takes more waits for something that never comes.
const ENDLESS: usize = 5_000_000;

/// Polls a future until it is done. It must wait for nothing outside.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll(future.as_mut(), ENDLESS).expect("a future that waits for nothing outside")
}

/// Polls it so many times; `None` = it is not done yet.
pub fn poll<T>(mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>, times: usize) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..times {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return Some(done);
        }
    }
    None
}
