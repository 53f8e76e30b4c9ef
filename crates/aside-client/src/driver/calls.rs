//! Requests of the program: each is sent until it has a reply, over as many connections as that takes.

use std::{collections::VecDeque, time::Duration};

use aside_proto::{
    id::IdempotencyKey,
    v1::{self, client_frame, server_frame},
};
use tokio::{sync::oneshot, time::Instant};

use crate::{Error, backoff::retry_after};

/// Requests that may wait for a reply; beyond, the callers wait.
const MAX_CALLS: usize = 64;
/// How often a request that the server failed at (INTERNAL) is sent.
const MAX_FAILURES: u32 = 3;

/// A request of the program.
#[derive(Debug)]
pub(crate) struct Call {
    /// With a mutating request, and the same each time it is sent.
    pub(crate) effect: Option<IdempotencyKey>,
    pub(crate) body: client_frame::Body,
    pub(crate) reply: oneshot::Sender<Result<server_frame::Body, Error>>,
    failures: u32,
}

/// The requests that are not in flight.
#[derive(Debug, Default)]
pub(super) struct Calls {
    waiting: VecDeque<Call>,
    in_flight: usize,
    not_before: Option<Instant>,
}

impl Call {
    pub(crate) fn new(
        effect: Option<IdempotencyKey>,
        body: client_frame::Body,
        reply: oneshot::Sender<Result<server_frame::Body, Error>>,
    ) -> Self {
        Self { effect, body, reply, failures: 0 }
    }
}

impl Calls {
    /// Whether another may be taken from the program.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() + self.in_flight < MAX_CALLS
    }

    pub(super) fn push(&mut self, call: Call) {
        self.waiting.push_back(call);
    }

    /// The next to send. Those whose caller went away are dropped.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Call> {
        if self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        self.not_before = None;
        while let Some(call) = self.waiting.pop_front() {
            if !call.reply.is_closed() {
                self.in_flight += 1;
                return Some(call);
            }
        }
        None
    }

    /// When [`poll`](Self::poll) may have one, if not now.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.not_before.filter(|_| !self.waiting.is_empty())
    }

    /// The server refused one: it is put back if it is worth sending again, with how long to wait; else its caller is told.
    pub(super) fn refused(
        &mut self,
        mut call: Call,
        error: v1::Error,
        now: Instant,
    ) -> Option<Duration> {
        self.in_flight -= 1;
        call.failures += u32::from(error.code() == v1::ErrorCode::Internal);
        match retry_after(&error) {
            Some(wait) if call.failures < MAX_FAILURES => {
                self.not_before = Some(now + wait);
                self.waiting.push_front(call);
                Some(wait)
            }
            _ => {
                // The caller may have gone: then nobody wants to know.
                let _ = call.reply.send(Err(error.into()));
                None
            }
        }
    }

    /// The server replied to one.
    pub(super) fn answered(&mut self, call: Call, body: server_frame::Body) {
        self.in_flight -= 1;
        let _ = call.reply.send(Ok(body));
    }

    /// It could not be sent at all.
    pub(super) fn failed(&mut self, call: Call, error: Error) {
        self.in_flight -= 1;
        let _ = call.reply.send(Err(error));
    }

    /// The connection is lost: those in flight, oldest first, are sent again on the next.
    pub(super) fn requeue(&mut self, calls: impl DoubleEndedIterator<Item = Call>) {
        for call in calls.rev() {
            self.waiting.push_front(call);
        }
        self.in_flight = 0;
        self.not_before = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> (Call, oneshot::Receiver<Result<server_frame::Body, Error>>) {
        let (reply, receiver) = oneshot::channel();
        let body = client_frame::Body::ListDevices(v1::ListDevices {});
        (Call::new(Some(IdempotencyKey::new([1; 16])), body, reply), receiver)
    }

    fn error(code: v1::ErrorCode, retry_after_ms: u64) -> v1::Error {
        v1::Error { code: code.into(), retry_after_ms, ..Default::default() }
    }

    // cites: LIM-007
    #[test]
    fn a_request_waits_as_long_as_the_server_asks() {
        let now = Instant::now();
        let mut calls = Calls::default();
        let (call, mut receiver) = call();
        calls.push(call);
        let call = calls.poll(now).unwrap();
        let wait = calls.refused(call, error(v1::ErrorCode::RateLimited, 700), now);
        assert_eq!(wait, Some(Duration::from_millis(700)));
        assert!(calls.poll(now + Duration::from_millis(699)).is_none());
        assert_eq!(calls.wake_at(), Some(now + Duration::from_millis(700)));
        let call = calls.poll(now + Duration::from_millis(700)).unwrap();
        assert_eq!(call.effect, Some(IdempotencyKey::new([1; 16])), "the same effect");
        calls.answered(call, server_frame::Body::Left(v1::Left {}));
        assert!(receiver.try_recv().unwrap().is_ok());
    }

    #[test]
    fn what_can_not_get_better_is_told() {
        let now = Instant::now();
        for (code, wait) in [
            (v1::ErrorCode::NotAMember, 0),
            (v1::ErrorCode::RenameTooSoon, 1),
            (v1::ErrorCode::RateLimited, 3_600_000),
        ] {
            let mut calls = Calls::default();
            let (call, mut receiver) = call();
            calls.push(call);
            let call = calls.poll(now).unwrap();
            assert_eq!(calls.refused(call, error(code, wait), now), None, "{code:?}");
            assert!(receiver.try_recv().unwrap().unwrap_err().is_refusal(code));
        }
    }

    #[test]
    fn a_failing_server_is_not_asked_for_ever() {
        let now = Instant::now();
        let mut calls = Calls::default();
        let (call, mut receiver) = call();
        calls.push(call);
        let mut sent = 0;
        while let Some(call) = calls.poll(now + Duration::from_secs(1) * (sent + 1)) {
            sent += 1;
            calls.refused(call, error(v1::ErrorCode::Internal, 0), now);
        }
        assert_eq!(sent, MAX_FAILURES);
        assert!(receiver.try_recv().unwrap().is_err());
    }

    // cites: IDEM-001, REQ-007
    #[test]
    fn a_lost_connection_keeps_the_order() {
        let now = Instant::now();
        let mut calls = Calls::default();
        let mut receivers = Vec::new();
        for byte in 1..=3 {
            let (mut call, receiver) = call();
            call.effect = Some(IdempotencyKey::new([byte; 16]));
            calls.push(call);
            receivers.push(receiver);
        }
        let in_flight = [calls.poll(now).unwrap(), calls.poll(now).unwrap()];
        calls.requeue(in_flight.into_iter());
        let order: Vec<_> =
            std::iter::from_fn(|| calls.poll(now)).map(|call| call.effect).collect();
        assert_eq!(order, [1, 2, 3].map(|byte| Some(IdempotencyKey::new([byte; 16]))));
    }

    #[test]
    fn nothing_is_sent_for_a_caller_that_went_away() {
        let mut calls = Calls::default();
        calls.push(call().0);
        assert!(calls.poll(Instant::now()).is_none());
    }
}
