//! This device's certificate, and the MLS keys that it names.

use aside_crypto::{Certificate, MlsKey};

use crate::{Error, Identity, StateError, random, store::Store};

/// The certificate, made at the first call, with an MLS key for each suite.
pub(crate) async fn of_this_device(store: &Store, me: &Identity) -> Result<Certificate, Error> {
    store.check_own()?;
    let login_key = store.account().await?.device_key;
    loop {
        let kept = store.device_certificate().await?;
        if let Some(kept) = &kept
            && (kept.user(), kept.device()) == (me.user, me.device)
            && *kept.login_key() == login_key.public_key()
        {
            return Ok(kept.clone());
        }
        let keys = random::mls_keys();
        let public = keys
            .each_ref()
            .map(|key| MlsKey { suite: key.suite().number(), public_key: key.public().to_vec() });
        let certificate = Certificate::issue(me.user, me.device, &login_key, &public)
            .map_err(|_| StateError::Damaged("the keys of this device"))?;
        store.keep_device_certificate(kept.as_ref(), &certificate, &keys).await?;
    }
}
