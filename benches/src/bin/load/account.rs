//! Who a client is, and the ways it logs in.

use anyhow::{Context as _, Result, bail};
use aside_crypto::{Binding, Signature, SigningKey, Transcript};
use aside_proto::{
    id::DeviceId,
    v1::{self, client_frame::Body, server_frame},
};

use crate::{
    peer::{Peer, SERVER_NAME, fill, hello, random},
    target::Door,
};

const PASSWORD: &str = "load generator";

/// What a client keeps between connections.
#[derive(Clone)]
pub(crate) struct Account {
    handle: String,
    key: SigningKey,
    device: DeviceId,
}

/// What a log-in's proof is made over.
struct Nonces {
    exporter: [u8; 32],
    server: [u8; 32],
    client: [u8; 32],
}

impl Account {
    /// Makes an account of this handle, or one like it; its connection stays logged in.
    pub(crate) async fn register(door: &Door, handle: &str) -> Result<(Self, Peer)> {
        let key = SigningKey::generate(&mut fill);
        let (mut peer, nonces) = greet(door).await?;
        let register = v1::Register {
            handle: handle.to_owned(),
            password: PASSWORD.to_owned(),
            on_conflict: v1::OnConflict::Suffix.into(),
            device: Some(nonces.new_device(&key)),
        };
        let who = authenticated(peer.request(Body::Register(register)).await?)?;
        let device = DeviceId::try_from(&who.device_id[..])?;
        Ok((Self { handle: who.handle, key, device }, peer))
    }

    /// Logs in with the device's key.
    pub(crate) async fn log_in(&self, door: &Door) -> Result<Peer> {
        let (mut peer, nonces) = greet(door).await?;
        let login = v1::DeviceLogin {
            device_id: self.device.to_bytes(),
            proof: Some(proof(&nonces.transcript().sign_login(&self.key, self.device))),
        };
        authenticated(peer.request(Body::DeviceLogin(login)).await?)?;
        Ok(peer)
    }

    /// Logs in with the password, as one more device.
    pub(crate) async fn log_in_by_password(&self, door: &Door) -> Result<Peer> {
        let (mut peer, nonces) = greet(door).await?;
        let login = v1::PasswordLogin {
            handle: self.handle.clone(),
            password: PASSWORD.to_owned(),
            device: Some(nonces.new_device(&SigningKey::generate(&mut fill))),
        };
        authenticated(peer.request(Body::PasswordLogin(login)).await?)?;
        Ok(peer)
    }
}

impl Nonces {
    fn transcript(&self) -> Transcript<'_> {
        Transcript {
            binding: Binding::Exporter(self.exporter),
            server_name: SERVER_NAME,
            server_nonce: &self.server,
            client_nonce: &self.client,
        }
    }

    fn new_device(&self, key: &SigningKey) -> v1::NewDevice {
        v1::NewDevice {
            public_key: key.public_key().as_bytes().to_vec().into(),
            name: "load".to_owned(),
            proof: Some(proof(&self.transcript().sign_bind(key))),
        }
    }
}

/// A connection up to Greeted.
async fn greet(door: &Door) -> Result<(Peer, Nonces)> {
    let mut peer = Peer::dial(door).await?;
    let client = random();
    let server_frame::Body::Greeted(greeted) = peer.request(hello(client)).await? else {
        bail!("no Greeted")
    };
    let server = greeted.server_nonce[..].try_into().context("server nonce")?;
    let nonces = Nonces { exporter: peer.exporter()?, server, client };
    Ok((peer, nonces))
}

fn proof(signature: &Signature) -> v1::DeviceProof {
    v1::DeviceProof {
        binding_type: v1::BindingType::Exporter.into(),
        signature: signature.as_bytes().to_vec().into(),
    }
}

fn authenticated(reply: server_frame::Body) -> Result<v1::Authenticated> {
    match reply {
        server_frame::Body::Authenticated(who) => Ok(who),
        server_frame::Body::Error(error) => bail!("log-in refused: {}", error.message),
        other => bail!("instead of Authenticated came {other:?}"),
    }
}
