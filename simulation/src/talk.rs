//! What a device does with its session and its link, whatever else it is.

use anyhow::{Result, bail, ensure};
use aside_crypto::{Binding, PublicKey, SigningKey};
use aside_proto::{
    id::{DeviceId, IdempotencyKey},
    v1::{self, ErrorCode},
};
use aside_session::{
    Now,
    client::{CloseReason, Config, Framing, Login, Session},
};

use crate::{
    clock::Clock,
    link::{Ending, Link},
    rng::Rng,
    server::SERVER_NAME,
};

/// A session on a connection whose TLS handshake is done.
pub(crate) fn open(
    capabilities: &[&str],
    log_key: Option<PublicKey>,
    binding: [u8; 32],
    (clock, rng): (&Clock, &mut Rng),
) -> Session {
    let config = Config {
        server_name: SERVER_NAME.to_owned(),
        user_agent: "simulation".to_owned(),
        capabilities: capabilities.iter().map(|it| (*it).to_owned()).collect(),
        binding: Binding::Exporter(binding),
        log_key,
    };
    Session::new(config, Framing::Stream, rng.bytes(), clock.now())
}

/// Bytes have come, or the end.
pub(crate) fn receive(session: &mut Session, link: &Link, bytes: &[u8], now: Now) {
    session.handle_bytes(now, bytes);
    if let Some(ending) = link.to_client.over() {
        session.handle_eof(ending == Ending::Clean);
    }
}

/// Writes what the session has to say.
pub(crate) fn transmit(session: &mut Session, link: &mut Link) {
    while let Some(frame) = session.poll_transmit() {
        link.to_server.write(&frame);
    }
}

/// Who logs in.
pub(crate) struct Account<'a> {
    /// Once it has logged in.
    pub(crate) device: Option<DeviceId>,
    /// Of the one that makes the account; the others log in by password.
    pub(crate) register_key: Option<IdempotencyKey>,
    pub(crate) handle: &'a str,
    pub(crate) device_name: &'a str,
}

impl Account<'_> {
    /// Logs in, if the connection still stands.
    pub(crate) fn log_in(&self, session: &mut Session, key: &SigningKey, now: Now) -> Result<()> {
        if session.is_closed() {
            // Greeted was the last that came.
            return Ok(());
        }
        let (handle, device_name) = (self.handle, self.device_name);
        let password = "correct horse battery";
        let login = match (self.device, self.register_key) {
            (Some(device_id), _) => Login::Device { device_id },
            (None, Some(key)) => {
                let on_conflict = v1::OnConflict::Reject;
                Login::Register { key, handle, password, on_conflict, device_name }
            }
            (None, None) => Login::Password { handle, password, device_name },
        };
        Ok(session.log_in(now, &login, key)?)
    }
}

/// Connections close for some reasons and for no others.
pub(crate) fn check_closed(reason: &CloseReason) -> Result<()> {
    match reason {
        CloseReason::Violation(violation) => bail!("the server breaks the protocol: {violation}"),
        CloseReason::Refused(error) => {
            let ordinary = matches!(
                error.code(),
                ErrorCode::IdleTimeout | ErrorCode::HandshakeTimeout | ErrorCode::ShuttingDown
            );
            ensure!(ordinary, "the server closes the connection: {error:?}");
        }
        CloseReason::Ended { .. } | CloseReason::Unresponsive | CloseReason::Requested => {}
    }
    Ok(())
}
