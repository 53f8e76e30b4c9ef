//! One task a connection: it feeds the session, runs what the session asks for, and writes what comes out.

use std::{
    future::poll_fn,
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use aside_proto::v1::ErrorCode;
use aside_session::server::{Action, CloseReason, Outcome, Session, Ticket};
use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::{
    app::{App, Identity, Origin},
    hub::Attachment,
    push::CloseSignal,
    transport::{Received, Transport},
};

/// Above so many queued bytes no further reply and no event is taken: the client must read first.
const HIGH_WATER_BYTES: usize = 64 * 1024;
/// When clients of a server that is being stopped may come back (CLOSE-004).
const SHUTDOWN_RETRY_MS: u64 = 1_000;
/// How long a client may take to close after the server has (CLOSE-001), and how long it may take nothing of what it is sent.
const CLOSE_GRACE: Duration = Duration::from_secs(5);
/// How often it may be so slow: a minute in all.
const CLOSE_ROUNDS: usize = 12;

/// Serves a connection until it ends.
pub(crate) async fn run<T: Transport>(
    app: Arc<App>,
    address: IpAddr,
    transport: T,
    session: Session,
    attachment: Attachment,
) {
    let mut driver = Driver {
        timer: Box::pin(sleep_until(Instant::now())),
        timer_at: 0,
        app,
        address,
        transport,
        session,
        attachment,
        running: FuturesUnordered::new(),
        told_to_close: false,
        journal_ready: None,
    };
    let ended = poll_fn(|cx| driver.poll(cx)).await;
    if let Some((_, device)) = driver.session.identity() {
        driver.app.seen.add(device);
    }
    match ended {
        Ok(reason) => driver.close(reason).await,
        Err(error) => tracing::debug!(%address, %error, "connection lost"),
    }
}

/// A request that is being carried out.
struct Running {
    ticket: Ticket,
    outcome: BoxFuture<'static, Outcome>,
}

impl Future for Running {
    type Output = (Ticket, Outcome);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(self.outcome.as_mut().poll(cx));
        Poll::Ready((self.ticket, outcome))
    }
}

struct Driver<T> {
    app: Arc<App>,
    address: IpAddr,
    transport: T,
    session: Session,
    attachment: Attachment,
    running: FuturesUnordered<Running>,
    told_to_close: bool,
    /// Set while the journal has as much to write as it should: nothing more is read meanwhile.
    journal_ready: Option<BoxFuture<'static, ()>>,
    timer: Pin<Box<Sleep>>,
    /// When the timer fires, by the server's monotonic clock.
    timer_at: u64,
}

impl<T: Transport> Driver<T> {
    /// Goes round until nothing moves: outcomes in, requests out, frames out, bytes in.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<CloseReason>> {
        loop {
            self.take_outcomes(cx);
            self.heed_signal(cx);
            self.heed_timer(cx);
            // A frame taken out may let the session hand out another request.
            while self.begin_requests(cx) | self.gather_frames(cx) {}
            let was_full = self.transport.queued_bytes() >= HIGH_WATER_BYTES;
            let flushed = self.transport.poll_flush(cx)?.is_ready();
            if let Some(reason) = self.session.closing() {
                // What is queued is flushed by `close`, within its deadline.
                return Poll::Ready(Ok(reason));
            }
            if flushed && was_full {
                continue;
            }
            if self.receive(cx)?.is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn take_outcomes(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some((ticket, outcome))) = self.running.poll_next_unpin(cx) {
            self.session.handle_outcome(self.app.now(), ticket, outcome);
        }
    }

    fn heed_signal(&mut self, cx: &mut Context<'_>) {
        if self.told_to_close {
            return;
        }
        let Some(signal) = self.attachment.queue.signalled(cx.waker()) else { return };
        self.told_to_close = true;
        let (code, message, retry_after_ms) = match signal {
            CloseSignal::DeviceRevoked => {
                (ErrorCode::DeviceIsRevoked, "This device was revoked.", 0)
            }
            CloseSignal::ShuttingDown => {
                (ErrorCode::ShuttingDown, "The server is being stopped.", SHUTDOWN_RETRY_MS)
            }
        };
        self.session.close(code, message, retry_after_ms);
    }

    /// The timer is set anew only when it has fired or is too late: a frame that puts off the idle timeout costs nothing.
    fn heed_timer(&mut self, cx: &mut Context<'_>) {
        while let Some(due) = self.session.next_timeout() {
            let now = self.app.now();
            if due <= now.monotonic_ms {
                self.session.handle_timeout(now);
                continue;
            }
            let set = self.timer_at > now.monotonic_ms && self.timer_at <= due;
            if !set {
                self.timer_at = due;
                let wait = Duration::from_millis(due - now.monotonic_ms);
                self.timer.as_mut().reset(Instant::now() + wait);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return;
            }
            self.timer_at = 0;
        }
    }

    fn begin_requests(&mut self, cx: &mut Context<'_>) -> bool {
        let mut begun = false;
        while let Some(Action::Execute { ticket, command }) = self.session.poll_action() {
            let identity = self.session.identity().map(|(user, device)| Identity { user, device });
            let origin = Origin { address: self.address, attachment: self.attachment.id, identity };
            let outcome = Arc::clone(&self.app).execute(origin, command);
            let mut running = Running { ticket, outcome };
            // Polled here once, so that requests reach the journal in the order in which they were sent (REQ-007).
            match Pin::new(&mut running).poll(cx) {
                Poll::Ready((ticket, outcome)) => {
                    self.session.handle_outcome(self.app.now(), ticket, outcome);
                }
                Poll::Pending => self.running.push(running),
            }
            begun = true;
        }
        begun
    }

    fn gather_frames(&mut self, cx: &mut Context<'_>) -> bool {
        let mut gathered = false;
        while self.transport.queued_bytes() < HIGH_WATER_BYTES
            && let Some(frame) = self.session.poll_transmit().or_else(|| self.next_event(cx))
        {
            self.transport.queue(frame);
            gathered = true;
        }
        gathered
    }

    fn next_event(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        if self.session.is_live() { self.attachment.queue.pop(cx.waker()) } else { None }
    }

    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.session.wants_read() {
            return Poll::Pending;
        }
        ready!(self.journal_ready(cx));
        let now = self.app.now();
        match ready!(self.transport.poll_receive(cx, &mut self.session, now))? {
            Received::Input => {}
            Received::End => self.session.handle_eof(now),
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the journal takes more, so that no client is told SERVER_BUSY for what another has sent.
    fn journal_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.journal_ready.is_none() && !self.app.store.is_ready() {
            let store = self.app.store.clone();
            self.journal_ready = Some(Box::pin(async move { store.ready().await }));
        }
        if let Some(waiting) = &mut self.journal_ready {
            ready!(waiting.as_mut().poll(cx));
            self.journal_ready = None;
        }
        Poll::Ready(())
    }

    /// Last frames, close_notify, half-close, bounded drain, close (CLOSE-001).
    async fn close(self, reason: CloseReason) {
        let Self { address, mut transport, mut session, attachment, running, .. } = self;
        // Nobody waits for what is still running, and it must not hold up others; what it wrote to the journal stays.
        // The user is no longer online, and nothing is gathered for the connection any more.
        drop((running, attachment));
        while let Some(frame) = session.poll_transmit() {
            transport.queue(frame);
        }
        let ended = match finish(&mut transport, reason.websocket_status()).await {
            Ok(()) => timeout(CLOSE_GRACE, poll_fn(|cx| transport.poll_drain(cx))).await.is_ok(),
            Err(_) => false,
        };
        tracing::debug!(%address, ?reason, orderly = ended, "connection closed");
    }
}

/// Sends what is queued and ends the sending side, as long as the client takes some of it now and then.
async fn finish(transport: &mut impl Transport, status: u16) -> io::Result<()> {
    let mut left = usize::MAX;
    for _ in 0..CLOSE_ROUNDS {
        if transport.queued_bytes() >= left {
            break;
        }
        left = transport.queued_bytes();
        if let Ok(done) =
            timeout(CLOSE_GRACE, poll_fn(|cx| transport.poll_finish(cx, status))).await
        {
            return done;
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
