//! Approving a device by six digits that the user compares on both (APPROVE-001 to APPROVE-017).

use std::time::Duration;

use aside_crypto::{
    APPROVAL_PAUSE_MS, ApprovalAttempts, Certificate, Change, Code, DeviceLog, Judgement, Signer,
};
use aside_proto::{
    id::DeviceId,
    v1::{ApprovalEndReason, client_frame, server_frame::Body},
};
use aside_session::client::approval::{
    Answering, Asking, Comparing, Deciding, Ended, Joining, Said, Step,
};
use tokio::{
    runtime::Handle,
    sync::{
        broadcast::{self, error::RecvError},
        oneshot,
    },
    time::timeout,
};

use super::{Client, identity::is_active};
use crate::{
    Device, Error,
    driver::{Approvals, Call, Command, Heard, unix_ms},
    random,
    trust::KnownLog,
};

/// How long a device that asked may take to reveal what it had committed to. It does so by itself.
const REVEAL_PATIENCE: Duration = Duration::from_secs(60);

/// This device has asked to be approved. Dropping it gives up.
#[derive(Debug)]
pub struct ApprovalRequest {
    certificate: Certificate,
    /// None once it went further, or is over.
    asking: Option<(Talk, Asking)>,
    reached: u32,
}

/// Six digits that this device shows, and another should. Dropping it gives up.
#[derive(Debug)]
pub struct Comparison {
    talk: Talk,
    side: Side,
}

/// Which of the two devices this is.
#[derive(Debug)]
enum Side {
    New(Comparing),
    Approving(Deciding),
}

/// The way to other devices.
#[derive(Debug)]
struct Talk {
    client: Client,
    heard: broadcast::Receiver<Heard>,
    /// What is said if this is dropped.
    farewell: Farewell,
}

#[derive(Debug)]
struct Farewell(Option<(Client, Said)>);

impl Client {
    /// Asks the user's approved devices to approve this one. It goes on asking, whichever of them connects or looks for it, until
    /// one has [`answered`](ApprovalRequest::answered).
    ///
    /// # Errors
    /// [`Error::NoIdentity`] if the user has no device log, [`Error::AlreadyApproved`], [`Error::ApprovalPaused`] after too many
    /// that came to nothing; [`StateError::Copy`](crate::StateError::Copy) where this client has but a copy of the state.
    pub async fn ask_for_approval(&self) -> Result<ApprovalRequest, Error> {
        let certificate = self.certificate().await?;
        // Not kept: whose log it is, the digits will say (APPROVE-008).
        let log = self.fetch_log(self.identity().user).await?.replay()?.ok_or(Error::NoIdentity)?;
        if has_certificate(&log, &certificate) {
            return Err(Error::AlreadyApproved);
        }
        self.check_pause().await?;
        let mut talk = self.talk().await?;
        let asking = Asking::begin(&certificate, &mut random::fill);
        let reached = self.relay(&asking.commitment()).await?;
        talk.on_leaving(asking.leave());
        Ok(ApprovalRequest { certificate, asking: Some((talk, asking)), reached })
    }

    /// The devices that ask to be approved, as far as this one was told since it was started. [`Event::DeviceAsks`] tells of each
    /// when it begins.
    ///
    /// # Errors
    /// [`Error::Gone`].
    ///
    /// [`Event::DeviceAsks`]: crate::Event::DeviceAsks
    pub async fn asking_devices(&self) -> Result<Vec<DeviceId>, Error> {
        let (done, asking) = oneshot::channel();
        self.command(Command::Approvals(Approvals::Asking(done))).await?;
        asking.await.map_err(|_| Error::Gone)
    }

    /// Has those devices ask again that asked before this one was connected (APPROVE-012).
    ///
    /// # Errors
    /// As [`devices`](Self::devices) and [`device_log`](Self::device_log).
    pub async fn look_for_asking_devices(&self) -> Result<(), Error> {
        let log = self.own_device_log().await?.ok_or(Error::NoIdentity)?;
        let may_ask =
            |device: &Device| device.online && !device.current && !is_active(&log, device.id);
        for device in self.devices().await?.into_iter().filter(may_ask) {
            self.relay(&Said::looking(device.id)).await?;
        }
        Ok(())
    }

    /// Answers a device that asks, when the user wants to let it in (APPROVE-013), and gives the digits that it shows, too.
    ///
    /// # Errors
    /// [`Error::NotApproved`] if this device is not approved itself, [`Error::NobodyAsks`], [`Error::ApprovalPaused`],
    /// [`Error::ApprovalEnded`], [`Error::ApprovalLost`], [`StateError::Copy`](crate::StateError::Copy); as
    /// [`device_log`](Self::device_log).
    pub async fn approve(&self, device: DeviceId) -> Result<Comparison, Error> {
        self.store.check_own()?;
        let log = self.own_device_log().await?.ok_or(Error::NoIdentity)?;
        if !is_active(&log, self.identity().device) {
            return Err(Error::NotApproved);
        }
        self.check_pause().await?;
        let mut talk = self.talk().await?;
        let (done, asked) = oneshot::channel();
        self.command(Command::Approvals(Approvals::Take(device, done))).await?;
        let asked = asked.await.map_err(|_| Error::Gone)?.ok_or(Error::NobodyAsks)?;
        let (answering, answer) = Answering::begin(device, asked, &log, &mut random::fill);
        self.note_attempt().await?;
        talk.on_leaving(answering.end(ApprovalEndReason::Left));
        if self.relay(&answer).await? == 0 {
            return Err(Error::ApprovalLost);
        }
        let revealed = timeout(REVEAL_PATIENCE, talk.revealed(answering, &log)).await;
        let deciding = revealed.map_err(|_| Error::ApprovalLost)??;
        Ok(Comparison { talk, side: Side::Approving(deciding) })
    }

    async fn talk(&self) -> Result<Talk, Error> {
        let (done, heard) = oneshot::channel();
        self.command(Command::Approvals(Approvals::Listen(done))).await?;
        let heard = heard.await.map_err(|_| Error::Gone)?;
        Ok(Talk { client: self.clone(), heard, farewell: Farewell(None) })
    }

    /// Relays something; gives how many connections it reached.
    async fn relay(&self, said: &Said) -> Result<u32, Error> {
        match self.call(client_frame::Body::Relay(said.request())).await? {
            Body::Relayed(relayed) => Ok(relayed.connections),
            _ => Err(Error::Gone),
        }
    }

    /// APPROVE-010: whether there may be another, as they stand.
    async fn check_pause(&self) -> Result<ApprovalAttempts, Error> {
        let (attempts, now_ms) = (self.store.approval_attempts().await?, unix_ms());
        if attempts.may_begin(now_ms) {
            return Ok(attempts);
        }
        let until_ms = attempts.last_ms.saturating_add(APPROVAL_PAUSE_MS);
        let wait = Duration::from_millis(until_ms.saturating_sub(now_ms));
        Err(Error::ApprovalPaused { wait })
    }

    /// Counts one as failed, until its user says otherwise: before anything is sent that decides the digits.
    async fn note_attempt(&self) -> Result<(), Error> {
        loop {
            let were = self.check_pause().await?;
            let mut are = were;
            are.failed(unix_ms());
            if self.store.note_approval_attempts(were, are).await? {
                return Ok(());
            }
        }
    }

    /// The user said that the digits are the same.
    async fn note_confirmed(&self) -> Result<(), Error> {
        loop {
            let were = self.store.approval_attempts().await?;
            let mut are = were;
            are.confirmed();
            if self.store.note_approval_attempts(were, are).await? {
                return Ok(());
            }
        }
    }
}

impl ApprovalRequest {
    /// How many connections of approved devices were told. If there were none, it waits for one to look for it.
    #[must_use]
    pub const fn reached(&self) -> u32 {
        self.reached
    }

    /// Waits until a device has answered, and gives the digits to compare. May be dropped at any time, and called again; once it has
    /// given something it gives nothing more.
    ///
    /// # Errors
    /// [`Error::ApprovalEnded`], [`Error::ApprovalLost`], [`Error::Gone`].
    pub async fn answered(&mut self) -> Result<Comparison, Error> {
        loop {
            let (talk, _) = self.asking.as_mut().ok_or(Error::Gone)?;
            let heard = talk.next().await?;
            let (mut talk, asking) = self.asking.take().ok_or(Error::Gone)?;
            let (asking, said) = match heard {
                Heard::Said(from, message) => match asking.handle(from, &message) {
                    Step::Stays(asking, said) => (asking, said),
                    Step::Goes(comparing, reveal) => return talk.reveal(comparing, reveal).await,
                    Step::Ends(why, said) => return Err(talk.ends((why, said)).await),
                },
                // An answer may have been missed, and a commitment is answered once: begun anew.
                Heard::Online => {
                    let anew = Asking::begin(&self.certificate, &mut random::fill);
                    talk.on_leaving(anew.leave());
                    let commitment = anew.commitment();
                    (anew, Some(commitment))
                }
                Heard::LogChanged | Heard::Offline => (asking, None),
            };
            let client = talk.client.clone();
            self.asking = Some((talk, asking));
            if let Some(said) = said {
                client.relay(&said).await?;
            }
        }
    }

    /// The user gives up: as if this was dropped, but for that it is waited for.
    ///
    /// # Errors
    /// As every request.
    pub async fn leave(mut self) -> Result<(), Error> {
        let Some((mut talk, asking)) = self.asking.take() else { return Ok(()) };
        talk.farewell.0 = None;
        talk.client.relay(&asking.leave()).await.map(drop)
    }
}

impl Comparison {
    /// The digits to show.
    #[must_use]
    pub const fn code(&self) -> Code {
        match &self.side {
            Side::New(comparing) => comparing.code(),
            Side::Approving(deciding) => deciding.code(),
        }
    }

    /// The other device, as the server names it.
    #[must_use]
    pub const fn other(&self) -> DeviceId {
        match &self.side {
            Side::New(comparing) => comparing.by(),
            Side::Approving(deciding) => deciding.device(),
        }
    }

    /// Waits until the other device has ended it: [`Error::ApprovalEnded`]. May be dropped at any time.
    pub async fn ended(&mut self) -> Error {
        loop {
            match self.talk.next().await {
                Ok(heard) => {
                    if let Some(ended) = self.side.handle(&heard) {
                        return self.talk.ends(ended).await;
                    }
                }
                Err(error) => return error,
            }
        }
    }

    /// The user said, on this device, that both show the same digits. On a device that is approved: adds the other to the device
    /// log. On a new one: pins the log, and waits until the other has added this device. Gives the log.
    ///
    /// # Errors
    /// [`Error::ApprovalEnded`] if the other device has ended it; [`Error::DeviceLog`] if the server gives a new device another
    /// log than the approving one has; [`Error::LogEntry`] if there are too many devices.
    pub async fn confirm(self) -> Result<DeviceLog, Error> {
        let Self { mut talk, side } = self;
        while let Ok(heard) = talk.heard.try_recv() {
            if let Some(ended) = side.handle(&heard) {
                return Err(talk.ends(ended).await);
            }
        }
        match side {
            Side::Approving(deciding) => talk.add(deciding.confirmed()).await,
            Side::New(comparing) => talk.join(comparing).await,
        }
    }

    /// The user gives up: as if this was dropped, but for that it is waited for.
    ///
    /// # Errors
    /// As every request.
    pub async fn leave(self) -> Result<(), Error> {
        self.end(ApprovalEndReason::Left).await
    }

    /// The user said that the digits differ: somebody may stand between the devices.
    ///
    /// # Errors
    /// As every request.
    pub async fn reject(self) -> Result<(), Error> {
        self.end(ApprovalEndReason::Different).await
    }

    async fn end(self, reason: ApprovalEndReason) -> Result<(), Error> {
        let Self { mut talk, side } = self;
        talk.farewell.0 = None;
        talk.client.relay(&side.end(reason)).await.map(drop)
    }
}

impl Side {
    fn handle(&self, heard: &Heard) -> Option<Ended> {
        let Heard::Said(from, message) = heard else { return None };
        match self {
            Self::New(comparing) => comparing.handle(*from, message),
            Self::Approving(deciding) => deciding.handle(*from, message),
        }
    }

    fn end(&self, reason: ApprovalEndReason) -> Said {
        match self {
            Self::New(comparing) => comparing.end(reason),
            Self::Approving(deciding) => deciding.end(reason),
        }
    }
}

impl Talk {
    /// What is heard next.
    async fn next(&mut self) -> Result<Heard, Error> {
        loop {
            match self.heard.recv().await {
                Ok(heard) => return Ok(heard),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err(Error::Gone),
            }
        }
    }

    fn on_leaving(&mut self, said: Said) {
        self.farewell.0 = Some((self.client.clone(), said));
    }

    /// It is over: says what is to be said, and gives why.
    async fn ends(&mut self, (why, said): Ended) -> Error {
        self.farewell.0 = None;
        if let Some(said) = said
            && let Err(error) = self.client.relay(&said).await
        {
            return error;
        }
        Error::ApprovalEnded(why)
    }

    /// Waits for what the new device had committed to. What is said while there is no connection is missed.
    async fn revealed(
        &mut self,
        mut answering: Answering,
        log: &DeviceLog,
    ) -> Result<Deciding, Error> {
        loop {
            match self.next().await? {
                Heard::Said(from, message) => match answering.handle(from, &message, log) {
                    Step::Stays(same, _) => answering = same,
                    Step::Goes(deciding, _) => return Ok(deciding),
                    Step::Ends(why, said) => return Err(self.ends((why, said)).await),
                },
                Heard::Offline => return Err(Error::ApprovalLost),
                Heard::LogChanged | Heard::Online => {}
            }
        }
    }

    /// Sends the reveal, after the attempt was counted.
    async fn reveal(
        mut self,
        comparing: Comparing,
        reveal: Option<Said>,
    ) -> Result<Comparison, Error> {
        self.client.note_attempt().await?;
        self.on_leaving(comparing.end(ApprovalEndReason::Left));
        if let Some(reveal) = reveal
            && self.client.relay(&reveal).await? == 0
        {
            return Err(Error::ApprovalLost);
        }
        Ok(Comparison { talk: self, side: Side::New(comparing) })
    }

    /// Adds the new device to the user's log.
    async fn add(mut self, certificate: Certificate) -> Result<DeviceLog, Error> {
        let client = self.client.clone();
        let me = client.identity().device;
        let login_key = client.store.account().await?.device_key;
        client.note_confirmed().await?;
        let add = Change::Add(certificate);
        let added = client.append(|log| {
            let Change::Add(certificate) = &add else { return Ok(None) };
            let sign = || log.sign_next(Signer::Device(me), &login_key, &add);
            Ok((!has_certificate(log, certificate)).then(sign))
        });
        let log = added.await?;
        // The log says it.
        self.farewell.0 = None;
        Ok(log)
    }

    /// Pins the user's log, and waits until this device is in it (APPROVE-008, APPROVE-017).
    async fn join(mut self, comparing: Comparing) -> Result<DeviceLog, Error> {
        let client = self.client.clone();
        client.note_confirmed().await?;
        let invalid = comparing.end(ApprovalEndReason::Invalid);
        let joining = match client.pin_vouched(comparing).await {
            Ok(joining) => joining,
            Err(error) => {
                self.farewell.0 = None;
                client.relay(&invalid).await?;
                return Err(error);
            }
        };
        let certificate = client.certificate().await?;
        loop {
            let log = client.own_device_log().await?.ok_or(Error::NoIdentity)?;
            if has_certificate(&log, &certificate) {
                self.farewell.0 = None;
                return Ok(log);
            }
            if let Some(ended) = self.added_or_ended(&joining).await? {
                return Err(self.ends(ended).await);
            }
        }
    }

    /// Waits until the log may have changed, or the other device ends it.
    async fn added_or_ended(&mut self, joining: &Joining) -> Result<Option<Ended>, Error> {
        loop {
            match self.next().await? {
                Heard::LogChanged | Heard::Online => return Ok(None),
                Heard::Said(from, message) => {
                    if let Some(ended) = joining.handle(from, &message) {
                        return Ok(Some(ended));
                    }
                }
                Heard::Offline => {}
            }
        }
    }
}

impl Client {
    /// Takes the log that the server gives for the user's own if it is the one that the digits vouch for; whatever was pinned at
    /// first contact gives way to it.
    async fn pin_vouched(&self, comparing: Comparing) -> Result<Joining, Error> {
        let me = self.identity().user;
        let received = self.fetch_log(me).await?;
        let log = received.replay()?.ok_or(Error::NoIdentity)?;
        let (_, joining) = comparing.confirmed(&self.server, &log)?;
        loop {
            let known = self.store.device_log(me).await?;
            let same = match &known {
                Some(known) if known.replay(me)?.identity() == log.identity() => Some(known),
                _ => None,
            };
            let judged = received.judge(&self.server, same, false)?;
            let (now, _) = judged.ok_or(Error::NoIdentity)?;
            let now = KnownLog { verified: true, ..now };
            if self.store.keep_device_log(me, known.as_ref(), &now).await? {
                return Ok(joining);
            }
        }
    }
}

/// Whether this very certificate is that of a device of the log's user.
fn has_certificate(log: &DeviceLog, certificate: &Certificate) -> bool {
    let judged = log.judge(certificate.device(), log.head().position);
    matches!(judged, Judgement::Active(active) if active == certificate)
}

impl Drop for Farewell {
    /// It is on its way when this ends; whoever does not hear it finds out by waiting in vain.
    fn drop(&mut self) {
        let Some((client, said)) = self.0.take() else { return };
        let (reply, replied) = oneshot::channel();
        let relay = Call::new(None, client_frame::Body::Relay(said.request()), reply);
        let is_sent = client.is_online() && client.commands.try_send(Command::Call(relay)).is_ok();
        if let (Ok(runtime), true) = (Handle::try_current(), is_sent) {
            // Somebody has to want the reply.
            runtime.spawn(replied);
        }
    }
}
