//! Greeted, and how a log-in makes it Authenticated.
//!
//! ```text
//! Register, PasswordLogin ── proof verified ──> Binding ── LoggedIn ─────────────┐
//! DeviceLogin ──────────────────────────────> Finding ── Device, proof verified ─┼─> Attaching ── Attached ──> Authenticated
//! TokenLogin ──────────────────────────> FindingToken ── Token, secret verified ─┘
//! ```

use aside_crypto::{Binding, PublicKey, Signature};
use aside_proto::{
    id::{DeviceId, IdempotencyKey, UserId},
    limits::SIGNATURE_BYTES,
    name::Name,
    v1::{self, client_frame::Body, server_frame},
};

use super::{
    Command, DeviceBinding, DeviceRecord, DeviceState, Outcome, Refusal,
    admission::Admitted,
    arguments::{self, DevicePaths},
    hello::Greeted,
    phase::{Authenticated, Context, Phase, Verdict, out_of_place},
    tokens::{Grant, TokenClaim},
};

/// A log-in is being worked on; further requests wait.
#[derive(Debug)]
pub(super) struct LoggingIn {
    greeted: Greeted,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// Register or PasswordLogin was handed out.
    Binding,
    /// FindDevice was handed out.
    Finding(Claim),
    /// FindToken was handed out.
    FindingToken(TokenClaim),
    /// Attach was handed out.
    Attaching(Identified),
}

/// Who it is.
#[derive(Debug, Clone, Copy)]
struct Identified {
    user_id: UserId,
    device_id: DeviceId,
    /// If it is a token.
    grant: Option<Grant>,
}

/// A DeviceLogin whose proof can be verified once the device's key is known.
#[derive(Debug)]
struct Claim {
    device_id: DeviceId,
    binding: Binding,
    signature: Signature,
}

/// What a step of a log-in comes to.
enum Progress {
    /// Who it is is known: the connection is to be attached.
    Attach(Identified),
    /// It is attached.
    Done(Identified, Name),
}

impl Greeted {
    pub(super) fn handle(self, context: &Context<'_>, request: Admitted) -> (Phase, Verdict) {
        let begun = match request.body {
            Body::Register(ref register) => {
                self.register(context, request.key(), register).map(|c| (Step::Binding, c))
            }
            Body::PasswordLogin(ref login) => {
                self.password_login(context, login).map(|c| (Step::Binding, c))
            }
            Body::DeviceLogin(ref login) => self.device_login(context, login),
            Body::TokenLogin(ref login) => token_login(login),
            Body::Ping(ref ping) => {
                return (Phase::Greeted(self), arguments::ping(ping));
            }
            _ => Err(Refusal::of(v1::ErrorCode::WrongPhase)),
        };
        match begun {
            Ok((step, command)) => {
                let logging_in = LoggingIn { greeted: self, step };
                (Phase::LoggingIn(logging_in), Verdict::Execute(command))
            }
            Err(refusal) => (Phase::Greeted(self), Verdict::Refuse(refusal)),
        }
    }

    fn register(
        &self,
        context: &Context<'_>,
        key: IdempotencyKey,
        request: &v1::Register,
    ) -> Result<Command, Refusal> {
        let limits = &context.config.limits;
        Ok(Command::Register {
            key,
            handle: arguments::handle(limits, &request.handle)?,
            password: arguments::new_password(limits, &request.password)?,
            on_conflict: arguments::on_conflict(request.on_conflict, "register.on_conflict")?,
            device: self.device(context, request.device.as_ref(), &arguments::REGISTER_DEVICE)?,
        })
    }

    fn password_login(
        &self,
        context: &Context<'_>,
        request: &v1::PasswordLogin,
    ) -> Result<Command, Refusal> {
        let device = request.device.as_ref();
        Ok(Command::PasswordLogin {
            // AUTH-020: what can't be a handle is an unknown one.
            handle: arguments::handle(&context.config.limits, &request.handle).ok(),
            password: arguments::given_password(&request.password),
            device: self.device(context, device, &arguments::PASSWORD_LOGIN_DEVICE)?,
        })
    }

    fn device_login(
        &self,
        context: &Context<'_>,
        request: &v1::DeviceLogin,
    ) -> Result<(Step, Command), Refusal> {
        let device_id = arguments::id(&request.device_id, "device_login.device_id")?;
        let proof = request.proof.clone().unwrap_or_default();
        let binding = binding(context, &proof)?;
        let signature = signature(&proof, "device_login.proof.signature")?;
        let claim = Claim { device_id, binding, signature };
        Ok((Step::Finding(claim), Command::FindDevice { device_id }))
    }

    /// The device of Register or PasswordLogin, with its proof verified (AUTH-001).
    fn device(
        &self,
        context: &Context<'_>,
        device: Option<&v1::NewDevice>,
        paths: &DevicePaths,
    ) -> Result<DeviceBinding, Refusal> {
        let device = device.cloned().unwrap_or_default();
        let public_key = arguments::public_key(&device.public_key, paths.public_key)?;
        let name = arguments::device_name(device.name, paths.name)?;
        let proof = device.proof.unwrap_or_default();
        let transcript = self.transcript(context, binding(context, &proof)?);
        let signature = signature(&proof, paths.signature)?;
        transcript
            .verify_bind(&public_key, &signature)
            .map_err(|_| Refusal::of(v1::ErrorCode::ProofInvalid))?;
        Ok(DeviceBinding { public_key, name })
    }

    /// Whether a claim is true, and the device may log in (AUTH-002, AUTH-030 to AUTH-032).
    fn verify(
        &self,
        context: &Context<'_>,
        claim: &Claim,
        record: Option<DeviceRecord>,
    ) -> Result<DeviceRecord, Refusal> {
        let transcript = self.transcript(context, claim.binding);
        // An unknown device costs a verification too, so that time does not tell who exists.
        let key = record.as_ref().map_or_else(nobody, |record| record.public_key);
        let verified = transcript.verify_login(&key, claim.device_id, &claim.signature);
        match (record, verified) {
            (Some(record), Ok(())) => match record.state {
                DeviceState::Active => Ok(record),
                DeviceState::Expired => Err(Refusal::of(v1::ErrorCode::DeviceExpired)),
                DeviceState::Revoked => Err(Refusal::of(v1::ErrorCode::DeviceIsRevoked)),
            },
            (None, _) | (_, Err(_)) => Err(Refusal::authentication_failed()),
        }
    }
}

impl LoggingIn {
    /// The capabilities in force, sorted.
    pub(super) fn capabilities(&self) -> &[String] {
        self.greeted.capabilities()
    }

    pub(super) fn handle(self, context: &Context<'_>, outcome: Outcome) -> (Phase, Verdict) {
        let Self { greeted, step } = self;
        match advance(&greeted, context, step, outcome) {
            Ok(Progress::Attach(who)) => {
                let step = Step::Attaching(who);
                let Identified { user_id, device_id, grant } = who;
                let capabilities = greeted.capabilities().into();
                let reads = grant.is_none_or(|grant| grant.scopes.contains(v1::TokenScope::Read));
                let command = Command::Attach { user_id, device_id, capabilities, reads };
                (Phase::LoggingIn(Self { greeted, step }), Verdict::Execute(command))
            }
            Ok(Progress::Done(Identified { user_id, device_id, grant }, handle)) => {
                let reply = v1::Authenticated {
                    user_id: user_id.to_bytes(),
                    device_id: device_id.to_bytes(),
                    handle: handle.to_string(),
                };
                let capabilities = greeted.into_capabilities();
                let authenticated = Authenticated { user_id, device_id, capabilities, grant };
                let reply = Verdict::Reply(server_frame::Body::Authenticated(reply));
                (Phase::Authenticated(authenticated), reply)
            }
            // AUTH-041.
            Err(refusal) => (Phase::Greeted(greeted), Verdict::Refuse(refusal)),
        }
    }
}

fn advance(
    greeted: &Greeted,
    context: &Context<'_>,
    step: Step,
    outcome: Outcome,
) -> Result<Progress, Refusal> {
    match (step, outcome) {
        (Step::Binding, Outcome::LoggedIn { user_id, device_id }) => {
            Ok(Progress::Attach(Identified { user_id, device_id, grant: None }))
        }
        (Step::Finding(claim), Outcome::Device(record)) => {
            let user_id = greeted.verify(context, &claim, record)?.user_id;
            let device_id = claim.device_id;
            Ok(Progress::Attach(Identified { user_id, device_id, grant: None }))
        }
        (Step::FindingToken(claim), Outcome::Token(record)) => {
            let record = claim.verify(context, record)?;
            let grant = Some(Grant { scopes: record.scopes, expires_ms: record.expires_ms });
            let (user_id, device_id) = (record.user_id, claim.token_id);
            Ok(Progress::Attach(Identified { user_id, device_id, grant }))
        }
        (Step::Attaching(who), Outcome::Attached { handle }) => Ok(Progress::Done(who, handle)),
        (_, Outcome::Refused(refusal)) => Err(refusal),
        _ => Err(out_of_place()),
    }
}

fn token_login(request: &v1::TokenLogin) -> Result<(Step, Command), Refusal> {
    let claim = TokenClaim::new(request)?;
    let token_id = claim.token_id;
    Ok((Step::FindingToken(claim), Command::FindToken { token_id }))
}

/// CONV-001: what is not 64 bytes is no signature at all.
fn signature(proof: &v1::DeviceProof, field: &'static str) -> Result<Signature, Refusal> {
    arguments::fixed::<SIGNATURE_BYTES>(&proof.signature, field)?;
    Signature::try_from(&proof.signature[..])
        .map_err(|error| Refusal::invalid_argument(field, format!("Not possible: {error}.")))
}

/// AUTH-003.
fn binding(context: &Context<'_>, proof: &v1::DeviceProof) -> Result<Binding, Refusal> {
    context
        .transport
        .binding(proof.binding_type)
        .ok_or_else(|| Refusal::of(v1::ErrorCode::BindingNotAllowed))
}

/// The key of no device: P-256's base point.
fn nobody() -> PublicKey {
    #[rustfmt::skip]
    const BASE_POINT: [u8; 65] = [
        0x04, // uncompressed
        0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
        0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
        0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16,
        0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
    ];
    PublicKey::from_bytes(&BASE_POINT).expect("the base point is on the curve")
}
