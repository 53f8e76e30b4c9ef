//! What brings links and the server forward, in either world.

use std::collections::BTreeMap;

use crate::{link::Link, server::Server};

/// Something that moves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Flow {
    /// What a client wrote arrives.
    ToServer(u64),
    /// What the server wrote arrives at this device.
    ToClient(usize, u64),
    /// The server carries out what it was asked for.
    Work,
    /// A session at the server gets an outcome.
    Answer(u64),
}

/// All that can move: on links of devices that are not cut off, to those that use them.
pub(crate) fn flows(
    links: &BTreeMap<u64, Link>,
    server: Option<&Server>,
    gets_through: impl Fn(usize) -> bool,
    uses: impl Fn(usize, u64) -> bool,
) -> Vec<Flow> {
    let mut flows = Vec::new();
    for (id, link) in links.iter().filter(|(_, link)| gets_through(link.device)) {
        let server = server.filter(|server| server.has(*id));
        let reads = server.is_some_and(|server| link.to_server.len() > 0 && server.reads(*id));
        if reads || (server.is_some() && link.to_server.over().is_some()) {
            flows.push(Flow::ToServer(*id));
        }
        let readable = link.to_client.len() > 0 || link.to_client.over().is_some();
        if readable && !link.stalled && uses(link.device, *id) {
            flows.push(Flow::ToClient(link.device, *id));
        }
    }
    if let Some(server) = server {
        flows.extend((!server.pending().is_empty()).then_some(Flow::Work));
        flows.extend(server.answerable().into_iter().map(Flow::Answer));
    }
    flows
}

/// Forgets links that neither side has any more.
pub(crate) fn forget(
    links: &mut BTreeMap<u64, Link>,
    server: Option<&Server>,
    uses: impl Fn(usize, u64) -> bool,
) {
    links.retain(|id, link| uses(link.device, *id) || server.is_some_and(|server| server.has(*id)));
}
