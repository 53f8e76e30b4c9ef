//! What is checked of every request before its arguments, in this order: that it is known, its phase, its capability, the
//! token's scopes, the attempts left, and its idempotency key.

use aside_proto::{
    id::IdempotencyKey,
    limits::{MAX_CLOCK_SKEW_MS, MAX_FAILED_ATTEMPTS},
    request,
    v1::{self, client_frame::Body},
};

use super::{
    Refusal,
    phase::{Context, Phase},
    tokens,
};

/// The capability that is always in force.
const CORE: &str = "core";

/// A request that is known, allowed here, and has an idempotency key if and only if it is mutating.
/// Not `Debug`: there may be a password in it.
pub(super) struct Admitted {
    pub(super) body: Body,
    key: Option<IdempotencyKey>,
}

impl Admitted {
    /// The key of a mutating request.
    pub(super) fn key(&self) -> IdempotencyKey {
        self.key.expect("a mutating request is admitted with its key only")
    }
}

/// Log-ins and password changes that failed on this connection (AUTH-040).
#[derive(Debug, Default)]
pub(super) struct Attempts(u32);

impl Attempts {
    /// Counts a refusal, if it is of the kind that counts.
    pub(super) fn note(&mut self, refusal: &Refusal) {
        if matches!(refusal.code, v1::ErrorCode::AuthenticationFailed | v1::ErrorCode::ProofInvalid)
        {
            self.0 = self.0.saturating_add(1);
        }
    }

    fn exhausted(&self) -> bool {
        self.0 >= MAX_FAILED_ATTEMPTS
    }
}

/// Admits a request, or says why not.
pub(super) fn admit(
    context: &Context<'_>,
    phase: &Phase,
    attempts: &Attempts,
    frame: v1::ClientFrame,
) -> Result<Admitted, Refusal> {
    let Some(body) = frame.body else {
        return Err(Refusal::new(
            v1::ErrorCode::Unsupported,
            "The frame holds no request that this server knows.",
        ));
    };
    let info = request::info(&body);
    if !phase.public().is_some_and(|phase| info.phases.contains(&phase)) {
        return Err(Refusal::of(v1::ErrorCode::WrongPhase));
    }
    if info.capability != CORE && !phase.capabilities().iter().any(|c| c == info.capability) {
        let message = format!("The capability {} is not in force.", info.capability);
        return Err(Refusal::new(v1::ErrorCode::Unsupported, message));
    }
    tokens::within_scopes(phase.grant(), info)?;
    if is_attempt(&body) && attempts.exhausted() {
        return Err(Refusal::too_many_attempts());
    }
    if matches!(body, Body::Register(_))
        && context.config.registration != v1::RegistrationMode::Open
    {
        return Err(Refusal::of(v1::ErrorCode::RegistrationClosed));
    }
    let key = idempotency_key(context, info.mutating, &frame.idempotency_key)?;
    Ok(Admitted { body, key })
}

/// Whether a request lets its sender guess at a password, a key or a secret.
pub(super) fn is_attempt(body: &Body) -> bool {
    matches!(
        body,
        Body::Register(_)
            | Body::PasswordLogin(_)
            | Body::DeviceLogin(_)
            | Body::TokenLogin(_)
            | Body::ChangePassword(_)
    )
}

/// IDEM-002, IDEM-003, IDEM-004, IDEM-009.
fn idempotency_key(
    context: &Context<'_>,
    mutating: bool,
    bytes: &[u8],
) -> Result<Option<IdempotencyKey>, Refusal> {
    let invalid = |message| Err(Refusal::new(v1::ErrorCode::IdempotencyKeyInvalid, message));
    if !mutating {
        return match bytes {
            [] => Ok(None),
            _ => invalid("A request that is not mutating has no idempotency key."),
        };
    }
    let Ok(key) = IdempotencyKey::try_from(bytes) else {
        return invalid("A mutating request has an idempotency key of 16 bytes.");
    };
    let Some(time_ms) = key.time_ms() else {
        return invalid("An idempotency key is a UUIDv7.");
    };
    let now_ms = context.now.unix_ms;
    let window_ms = context.config.limits.idempotency_window_s.saturating_mul(1000);
    if time_ms > now_ms.saturating_add(MAX_CLOCK_SKEW_MS) {
        return invalid("The idempotency key's time is over 24 hours ahead of the server's clock.");
    }
    if time_ms.saturating_add(window_ms) < now_ms {
        return Err(Refusal::of(v1::ErrorCode::RequestIdExpired));
    }
    Ok(Some(key))
}
