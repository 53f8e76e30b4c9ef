//! Connected, and how Hello makes it Greeted.

use aside_crypto::{Binding, Transcript};
use aside_proto::{
    VERSION, limits,
    v1::{self, client_frame::Body, server_frame},
};

use super::{
    Config, Refusal,
    admission::Admitted,
    arguments,
    phase::{Context, Phase, Verdict},
};

/// Before Hello.
#[derive(Debug)]
pub(super) struct Connected;

/// After Hello, before log-in.
#[derive(Debug)]
pub(super) struct Greeted {
    client_nonce: [u8; 32],
    /// As the client dialled it; proofs are made over its lower case.
    server_name: Box<str>,
    capabilities: Box<[String]>,
}

impl Connected {
    pub(super) fn handle(self, context: &Context<'_>, request: Admitted) -> (Phase, Verdict) {
        let result = match request.body {
            Body::Hello(hello) => greet(context, hello),
            _ => Err(Refusal::of(v1::ErrorCode::WrongPhase)),
        };
        match result {
            Ok((greeted, reply)) => {
                let reply = Verdict::Reply(server_frame::Body::Greeted(reply));
                (Phase::Greeted(greeted), reply)
            }
            // HELLO-007; refusals of scope connection close whatever the phase.
            Err(refusal) => (Phase::Connected(self), Verdict::Refuse(refusal)),
        }
    }
}

impl Greeted {
    /// The capabilities in force, sorted.
    pub(super) fn capabilities(&self) -> &[String] {
        &self.capabilities
    }

    pub(super) fn into_capabilities(self) -> Box<[String]> {
        self.capabilities
    }

    /// What proofs on this connection are made over.
    pub(super) fn transcript<'a>(
        &'a self,
        context: &Context<'a>,
        binding: Binding,
    ) -> Transcript<'a> {
        Transcript {
            binding,
            server_name: &self.server_name,
            server_nonce: context.server_nonce,
            client_nonce: &self.client_nonce,
        }
    }
}

fn greet(context: &Context<'_>, hello: v1::Hello) -> Result<(Greeted, v1::Greeted), Refusal> {
    let client_nonce = check(&hello)?;
    let config = context.config;
    if !config.server_names.iter().any(|name| name.eq_ignore_ascii_case(&hello.server_name)) {
        return Err(Refusal::of(v1::ErrorCode::ServerNameWrong));
    }
    // This server speaks one version, so the greatest in common is that one (HELLO-003).
    if !hello.versions.contains(&VERSION) {
        return Err(Refusal::of(v1::ErrorCode::VersionUnsupported));
    }
    let capabilities = in_force(config, &hello.capabilities);
    let reply = v1::Greeted {
        version: VERSION,
        capabilities: capabilities.to_vec(),
        server_nonce: context.server_nonce.to_vec().into(),
        server_time_ms: context.now.unix_ms,
        limits: Some(config.limits),
        log_key: Some(config.log_key.clone()),
        binding_types: context.transport.binding_types(),
        registration: config.registration.into(),
        user_agent: config.user_agent.clone(),
    };
    let server_name = hello.server_name.into_boxed_str();
    Ok((Greeted { client_nonce, server_name, capabilities }, reply))
}

/// HELLO-007 and HELLO-012.
fn check(hello: &v1::Hello) -> Result<[u8; 32], Refusal> {
    let name_bytes = hello.server_name.len();
    let rules = [
        (
            hello.versions.len() <= limits::MAX_VERSIONS,
            "hello.versions",
            "A Hello has at most 16 versions.",
        ),
        (
            hello.capabilities.len() <= limits::MAX_CAPABILITIES,
            "hello.capabilities",
            "A Hello has at most 64 capabilities.",
        ),
        (
            hello.capabilities.iter().all(|c| c.len() <= limits::MAX_CAPABILITY_BYTES),
            "hello.capabilities",
            "A capability is at most 64 bytes.",
        ),
        (
            (1..=limits::MAX_SERVER_NAME_BYTES).contains(&name_bytes),
            "hello.server_name",
            "A server name is 1 to 253 bytes.",
        ),
        (
            hello.user_agent.len() <= limits::MAX_USER_AGENT_BYTES,
            "hello.user_agent",
            "A user agent is at most 64 bytes.",
        ),
    ];
    if let Some((_, field, message)) = rules.into_iter().find(|(holds, ..)| !holds) {
        return Err(Refusal::invalid_argument(field, message));
    }
    arguments::fixed(&hello.client_nonce, "hello.client_nonce")
}

/// HELLO-005: the server's are sorted and without repeats, so what is left of them is too.
fn in_force(config: &Config, offered: &[String]) -> Box<[String]> {
    config.capabilities.iter().filter(|&own| offered.contains(own)).cloned().collect()
}
