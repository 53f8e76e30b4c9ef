//! One connection: the session with its transport and its clock.

use std::{
    pin::pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aside_crypto::{Binding, PublicKey};
use aside_proto::{PRIVATE, SYNC, TALK};
use aside_session::{
    Now,
    client::{Config, Event, Framing, Greeting, Session},
};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    Address, BindingKind, Error, Transport, Trust, random, tls,
    transport::{self, Reader, Writer},
};

/// How long name look-up, TCP, TLS and WebSocket may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long close_notify may take to go out.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What does not change between connections.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    pub(crate) address: Address,
    pub(crate) trust: Trust,
    pub(crate) binding: BindingKind,
    pub(crate) user_agent: String,
}

/// A connection, greeted.
pub(crate) struct Link {
    pub(super) session: Session,
    reader: Reader,
    writer: Writer,
    clock: Clock,
}

/// The session's time.
#[derive(Debug, Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Now {
        let monotonic_ms = u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { monotonic_ms, unix_ms: unix_ms() }
    }

    fn instant(self, monotonic_ms: u64) -> Instant {
        self.0 + Duration::from_millis(monotonic_ms)
    }
}

/// Milliseconds since 1970, by this machine's clock.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Dialer {
    /// Connects and says Hello. `log_key` is the server's as it is remembered.
    pub(crate) async fn dial(&self, log_key: Option<PublicKey>) -> Result<(Link, Greeting), Error> {
        let opened = timeout(CONNECT_TIMEOUT, self.open()).await;
        let (binding, reader, writer) = opened.map_err(|_| Error::Unanswered)??;
        let config = Config {
            server_name: self.address.host.clone(),
            user_agent: self.user_agent.clone(),
            capabilities: [TALK, SYNC, PRIVATE].map(str::to_owned).to_vec(),
            binding,
            log_key,
        };
        let framing = match self.address.transport {
            Transport::Tls => Framing::Stream,
            Transport::WebSocket => Framing::Messages,
        };
        let clock = Clock(Instant::now());
        let session = Session::new(config, framing, random::bytes(), clock.now());
        let mut link = Link { session, reader, writer, clock };
        match link.next().await {
            Event::Greeted(greeting) => Ok((link, *greeting)),
            Event::Closed(reason) => Err(reason.into()),
            _ => Err(Error::Unanswered),
        }
    }

    async fn open(&self) -> Result<(Binding, Reader, Writer), Error> {
        let secured = tls::connect(&self.address, &self.trust).await?;
        let binding = match self.binding {
            BindingKind::Exporter => Binding::Exporter(secured.exporter),
            BindingKind::CertSha256 => Binding::CertSha256(secured.fingerprint.0),
            BindingKind::None => Binding::None,
        };
        let opened = transport::open(secured.stream, &self.address).await;
        let (reader, writer) = opened.map_err(Error::WebSocket)?;
        Ok((binding, reader, writer))
    }
}

impl Link {
    /// Sends what is to be sent and waits for the next thing that happens. May be dropped at any time and called again; not
    /// after [`Event::Closed`].
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            while let Some(frame) = self.session.poll_transmit() {
                self.writer.push(frame);
            }
            if let Some(event) = self.session.poll_event() {
                return event;
            }
            let deadline = self.session.next_timeout();
            let at = self.clock.instant(deadline.unwrap_or_default());
            let mut timer = pin!(sleep_until(at));
            tokio::select! {
                received = self.reader.read() => {
                    received.deliver(&mut self.session, self.clock.now());
                }
                written = self.writer.write(), if self.writer.is_pending() => {
                    if written.is_err() {
                        self.session.handle_eof(false);
                    }
                }
                () = &mut timer, if deadline.is_some() => {
                    self.session.handle_timeout(self.clock.now());
                }
            }
        }
    }

    /// The time, as the session takes it.
    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Sends what waits, then close_notify.
    pub(crate) async fn close(mut self) {
        while let Some(frame) = self.session.poll_transmit() {
            self.writer.push(frame);
        }
        // The server treats what did not arrive as lost, and so does the next connection (CLOSE-003).
        let _ = timeout(CLOSE_TIMEOUT, self.writer.close()).await;
    }
}
