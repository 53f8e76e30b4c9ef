//! So many clients logged in and silent: what does one cost the server?

use anyhow::Result;
use serde_json::{Value, json};

use crate::{peer::Peer, target::Target};

/// Log-ins under way at once.
const CONCURRENT: usize = 32;

pub(crate) async fn run(target: &Target, clients: usize) -> Result<Value> {
    let before = target.usage()?;
    let mut peers = Vec::with_capacity(clients);
    while peers.len() < clients {
        let batch = CONCURRENT.min(clients - peers.len());
        let first = peers.len();
        let logins = (0..batch).map(|n| login(target, first + n));
        peers.extend(futures_util::future::try_join_all(logins).await?);
    }
    // The last of them has been served when it gets a reply: nothing is left to settle.
    let after = target.usage()?;
    Ok(json!({
        "workload": "idle",
        "clients": clients,
        "server_pss_kib": after.pss_kib,
        "server_pss_before_kib": before.pss_kib,
        "kib_a_client": (after.pss_kib.saturating_sub(before.pss_kib)) as f64 / clients as f64,
        "login_cpu_us": (after.cpu_ms - before.cpu_ms) as f64 * 1000.0 / clients as f64,
    }))
}

async fn login(target: &Target, number: usize) -> Result<Peer> {
    Peer::register(target, &format!("idle{number}")).await
}
