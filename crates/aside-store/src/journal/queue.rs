//! What waits to be written: in the order of the calls, bounded in bytes.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::sync::{Notify, oneshot};

use super::op::Op;
use crate::error::{Refused, StoreError};

/// Most operations in one transaction: how long one may hold up those behind it.
const MAX_BATCH_OPS: usize = 1024;
/// Most bytes in one transaction.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// [`Queue::ready`] waits while as much as a batch is waiting …
const READY_BELOW_BYTES: usize = MAX_BATCH_BYTES;
/// … and whoever does not wait is refused when so much is.
const MAX_QUEUE_BYTES: usize = 8 * READY_BELOW_BYTES;

const _: () = assert!(READY_BELOW_BYTES < MAX_QUEUE_BYTES);

/// The answer to a write: ready when it is durable, or when it is known to have had no effect. The write goes on
/// if the answer is dropped.
#[derive(Debug)]
#[must_use = "the write happens without, but whether it succeeded is known only by waiting"]
pub struct Reply<T>(oneshot::Receiver<Result<T, Refused>>);

impl<T> Reply<T> {
    pub(super) fn new() -> (oneshot::Sender<Result<T, Refused>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }
}

impl<T> Future for Reply<T> {
    type Output = Result<T, Refused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(Refused::Failed(StoreError::Closed))))
    }
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
    failed: Notify,
}

#[derive(Default)]
struct State {
    ops: VecDeque<Op>,
    bytes: usize,
    closed: bool,
    /// The writer was gone before the queue was closed.
    failed: bool,
}

impl Queue {
    /// Appends an operation, or answers it with why not.
    pub(super) fn push(&self, op: Op) {
        let bytes = op.cost();
        let refusal = {
            let mut state = self.state();
            if state.closed {
                Refused::Failed(StoreError::Closed)
            } else if state.bytes + bytes > MAX_QUEUE_BYTES {
                Refused::Busy
            } else {
                state.bytes += bytes;
                state.ops.push_back(op);
                drop(state);
                self.filled.notify_one();
                return;
            }
        };
        op.refuse(refusal);
    }

    /// Whether less than a batch is waiting.
    pub(super) fn is_ready(&self) -> bool {
        let state = self.state();
        state.closed || state.bytes < READY_BELOW_BYTES
    }

    /// Waits until less than a batch is waiting.
    pub(super) async fn ready(&self) {
        loop {
            let drained = self.drained.notified();
            if self.is_ready() {
                return;
            }
            drained.await;
        }
    }

    /// The next batch: all that waits, up to its bounds. None when the queue is closed and empty.
    pub(super) async fn next_batch(&self) -> Option<Vec<Op>> {
        loop {
            {
                let mut state = self.state();
                if !state.ops.is_empty() {
                    let batch = state.take_batch();
                    drop(state);
                    self.drained.notify_waiters();
                    return Some(batch);
                }
                if state.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Lets nothing more in. What is in stays.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Lets nothing more in, and answers what is in with "closed": the writer is gone.
    pub(super) fn abandon(&self) {
        let failed = {
            let mut state = self.state();
            state.failed |= !state.closed;
            state.failed
        };
        self.close();
        self.state().ops.clear();
        if failed {
            self.failed.notify_waiters();
        }
    }

    /// Waits until the queue was abandoned before it was closed.
    pub(super) async fn failed(&self) {
        let failed = self.failed.notified();
        if !self.state().failed {
            failed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can leave the state half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_batch(&mut self) -> Vec<Op> {
        let mut bytes = 0;
        let mut count = 0;
        for op in self.ops.iter().take(MAX_BATCH_OPS) {
            bytes += op.cost();
            if bytes > MAX_BATCH_BYTES && count > 0 {
                bytes -= op.cost();
                break;
            }
            count += 1;
        }
        self.bytes -= bytes;
        self.ops.drain(..count).collect()
    }
}
