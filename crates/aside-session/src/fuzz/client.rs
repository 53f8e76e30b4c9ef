//! A client against a hostile server: its session, the follower of a log, the messages it sends, and its timeline.

mod past;
mod server;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aside_crypto::{Hash, chain_next};
use aside_proto::{
    id::IdempotencyKey,
    limits::CLIENT_MAX_FRAME_BYTES,
    v1::{self, client_frame, server_frame},
};
use bytes::Bytes;
use past::Past;
use server::{CONVERSATION, Hostile};

use super::Reader;
use crate::{
    Now,
    client::{
        CloseReason, Draft, Event, Framing, Login, RequestId, Session, SignatureStatus,
        approval::{self, ApprovalMessage},
        log::{Accepted, Follower, Place, Refusal, Start},
        timeline::{Said, Timeline},
    },
};

/// Requests that may be in flight, and a ping.
const MAX_HELD_REQUESTS: usize = 256 + 1;
/// What a session may hold: a frame that has not come whole.
const MAX_HELD_BYTES: usize = CLIENT_MAX_FRAME_BYTES + 4;
/// Entries that the timeline keeps here.
const MAX_SHOWN: usize = 8;

/// Fuzzes a client: decodes what a hostile server says, and when, from the bytes, and checks after each that nothing was believed
/// that must not be: no entry is let through whose chain value does not follow from the one before, no log is vouched for but by a
/// head that the log key signed, no message is acknowledged that is not the one sent, no reply answers what was not asked; and that
/// no more is held than may be.
///
/// # Panics
/// If one of these does not hold.
pub fn client_session(data: &[u8]) {
    let mut input = Reader(data);
    let mut client = Client::new(input.byte());
    while !input.is_empty() {
        client.step(&mut input);
        client.check();
    }
}

struct Client {
    session: Session,
    now: Now,
    hostile: Hostile,
    follower: Follower,
    /// The last entry let through, by what this target computes itself; none where the follower has begun in the middle.
    place: Option<Place>,
    tampered: bool,
    /// A reading back that is under way.
    past: Option<Past>,
    timeline: Timeline,
    drafts: VecDeque<Draft>,
    asked: BTreeMap<RequestId, Asked>,
    answered: BTreeSet<RequestId>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Connected,
    Greeted,
    Authenticated,
    Closed,
}

#[derive(Clone, Copy)]
enum Asked {
    /// From this seq on.
    Fetch(u64),
    /// The same, to read back.
    Past,
    Message(IdempotencyKey),
    Keys,
}

impl Client {
    fn new(flags: u8) -> Self {
        let start = match flags & 3 {
            3 => Start::At(u64::from(flags >> 4)),
            _ => Start::Beginning,
        };
        let follower = Follower::new(CONVERSATION, start);
        let (drafts, asked, answered) = Default::default();
        let mut client = Self {
            session: Session::new(server::config(), Framing::Stream, [7; 32], server::NOW),
            now: server::NOW,
            hostile: Hostile::default(),
            place: follower.place(),
            follower,
            tampered: false,
            past: None,
            timeline: Timeline::with_limits(MAX_SHOWN, 512),
            drafts,
            asked,
            answered,
            stage: Stage::Connected,
        };
        client.drain();
        if flags & 4 != 0 {
            client.hostile.greet();
            client.take_frames();
            client.log_in();
            client.hostile.authenticate();
            client.take_frames();
        }
        client
    }

    fn step(&mut self, input: &mut Reader<'_>) {
        match input.byte() % 16 {
            0 => {
                let length = usize::from(input.byte());
                self.session.handle_bytes(self.now, input.bytes(length));
            }
            1 => {
                let length = usize::from(input.byte());
                let body = input.bytes(length);
                self.hostile.say_body(body);
            }
            2..=4 => self.hostile.reply(input),
            5..=7 => self.hostile.push(input),
            8 => self.hostile.tell(input),
            9 => self.poll_fetch(),
            10 => self.send(input.byte()),
            11 => self.request_keys(),
            12 => self.pass_time(input.byte()),
            13 => self.log_in(),
            14 => match input.byte() % 4 {
                0 => self.read_back(input.byte()),
                1 => self.poll_past(),
                _ => self.follower.request_head(),
            },
            _ => self.reconnect(input.byte()),
        }
        self.take_frames();
    }

    fn check(&self) {
        let (requests, bytes) = self.session.held();
        assert!(requests <= MAX_HELD_REQUESTS && bytes <= MAX_HELD_BYTES, "{requests}, {bytes}");
        assert_eq!(self.session.is_closed(), self.stage == Stage::Closed);
        assert!(self.timeline.seqs().count() <= MAX_SHOWN);
        // Never a chain value but the one computed here.
        assert_eq!(self.follower.place(), self.place);
        if self.follower.is_vouched_for()
            && let Some(place) = self.place.filter(|place| place.seq > 0)
        {
            assert!(self.hostile.has_signed(&place), "nobody signed {place:?}");
            assert!(!self.tampered);
        }
    }

    /// Gives the session what the server has said, in the pieces it came in.
    fn take_frames(&mut self) {
        while let Some(frame) = self.hostile.pop() {
            self.session.handle_bytes(self.now, &frame);
            self.drain();
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(frame) = self.session.poll_transmit() {
            self.hostile.hear(&frame);
        }
        while let Some(event) = self.session.poll_event() {
            assert!(self.stage != Stage::Closed, "an event after the last");
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Greeted(greeting) => {
                self.advance(Stage::Connected, Stage::Greeted);
                assert!(aside_proto::limits::check(&greeting.limits).is_ok());
                assert_eq!(greeting.log_key, server::log_key(), "another key than the pinned one");
            }
            Event::Authenticated { .. } => self.advance(Stage::Greeted, Stage::Authenticated),
            Event::LoginRefused(_) => assert_eq!(self.stage, Stage::Greeted),
            Event::Reply { id, result } => {
                assert!(self.answered.insert(id), "a request is answered twice");
                let asked = self.asked.remove(&id).expect("a reply has its request");
                self.handle_reply(asked, result);
            }
            Event::Pushed(entry) => {
                let accepted = self.follower.handle_pushed(&entry);
                self.tampered |= accepted.is_err();
                self.accept(accepted.ok().flatten().into_iter().collect());
            }
            Event::Gap { conversation, head_seq } if conversation == CONVERSATION => {
                self.follower.handle_head_seq(head_seq);
            }
            Event::Gap { .. }
            | Event::WatermarkMoved { .. }
            | Event::DeviceLogChanged { .. }
            | Event::InboxItem { .. }
            | Event::KeyPackagesLow { .. }
            | Event::ForkCheckMismatch { .. }
            | Event::Invited { .. }
            | Event::Live(_) => {}
            Event::Relayed { payload, .. } => {
                // What can be read is said again as it was meant.
                if let Some(message) = ApprovalMessage::decode(&payload) {
                    let said = approval::Said { to: None, message };
                    let again = ApprovalMessage::decode(&said.request().payload);
                    assert_eq!(again.as_ref(), Some(&said.message));
                }
            }
            Event::Closed(reason) => {
                self.stage = Stage::Closed;
                assert!(!matches!(reason, CloseReason::Requested), "nobody asked for it");
            }
        }
    }

    fn advance(&mut self, from: Stage, to: Stage) {
        assert_eq!(self.stage, from);
        self.stage = to;
    }

    fn handle_reply(&mut self, asked: Asked, result: Result<server_frame::Body, v1::Error>) {
        match (asked, result) {
            (Asked::Fetch(from_seq), Ok(server_frame::Body::Fetched(fetched))) => {
                // A follower that began in the middle takes the chain value before on the server's word, and proves it later.
                if let (None, Ok(chain)) = (self.place, fetched.prev_chain[..].try_into()) {
                    self.place = Some(Place { seq: from_seq - 1, chain });
                }
                let accepted = self.follower.handle_fetched(&server::log_key(), &fetched);
                self.tampered |= accepted.is_err();
                if self.follower.place().is_none() {
                    self.place = None;
                }
                self.accept(accepted.unwrap_or_default());
            }
            (Asked::Past, Ok(server_frame::Body::Fetched(fetched))) => self.read_page(&fetched),
            (Asked::Past, Err(error)) => self.read_nothing(&error),
            (Asked::Fetch(_), Err(error)) => match self.follower.handle_refused(&error) {
                Ok(Refusal::Trimmed { first_seq, .. }) => {
                    let anchor: Hash = error.anchor[..].try_into().expect("an anchor is a hash");
                    let seq = first_seq - 1;
                    if self.place.is_none_or(|place| place.seq < seq) {
                        self.place = Some(Place { seq, chain: anchor });
                    }
                }
                Ok(Refusal::Other) => {}
                Err(_) => self.tampered = true,
            },
            (Asked::Message(id), Ok(server_frame::Body::Sent(sent))) => {
                let at = self.drafts.iter().position(|draft| draft.message_id == id);
                let draft = at.and_then(|at| self.drafts.remove(at)).expect("it was sent");
                let own = aside_crypto::payload_hash(&draft.salt, &draft.payload);
                assert_eq!(draft.check(&sent).is_ok(), sent.payload_hash[..] == own);
            }
            (Asked::Keys, Ok(server_frame::Body::DeviceKeys(_))) | (_, Err(_)) => {}
            (_, Ok(body)) => unreachable!("that answers nothing that was asked: {body:?}"),
        }
    }

    /// Entries that were let through.
    fn accept(&mut self, accepted: Vec<Accepted>) {
        assert!(accepted.is_empty() || !self.tampered, "an entry after tampering");
        for entry in accepted {
            let before = self.place.expect("the chain before an entry is known");
            assert_eq!(entry.seq, before.seq + 1, "entries come in order, each once");
            let raw = &entry.entry;
            let payload_hash = match <[u8; 32]>::try_from(&raw.salt[..]) {
                Ok(salt) => aside_crypto::payload_hash(&salt, &raw.payload),
                // Redacted, or said to be: whether anything names it shows later (LOG-013).
                Err(_) => {
                    assert!(raw.salt.is_empty() && raw.payload.is_empty());
                    assert_eq!(raw.payload_hash[..], entry.payload_hash);
                    entry.payload_hash
                }
            };
            let chain = chain_next(&before.chain, &raw.header, &payload_hash);
            assert_eq!((entry.chain_before, entry.chain), (before.chain, chain));
            self.place = Some(Place { seq: entry.seq, chain });
            self.show(&entry);
        }
    }

    fn show(&mut self, entry: &Accepted) {
        let key = server::device_key();
        if SignatureStatus::of(entry, Some(&key)) != SignatureStatus::Verified {
            return;
        }
        let sender = entry.sender.expect("what verifies has a sender");
        assert_eq!((sender.user, sender.device), (key.user, key.device));
        let id = (sender.user, sender.device, sender.message_id);
        let payload = Some(&entry.entry.payload[..]).filter(|payload| !payload.is_empty());
        self.timeline.insert(Said::new(entry.seq, id, payload));
    }
}

// What the client does of itself.
impl Client {
    fn request(&mut self, asked: Asked, key: Option<IdempotencyKey>, body: client_frame::Body) {
        let may = self.session.may_request();
        match self.session.request(self.now, key, body) {
            Ok(id) => {
                assert!(may);
                self.asked.insert(id, asked);
            }
            Err(_) => assert!(!may, "what may be asked is"),
        }
    }

    fn poll_fetch(&mut self) {
        if !self.session.may_request() {
            return;
        }
        let Some(fetch) = self.follower.poll_fetch() else { return };
        assert!(!self.tampered, "a log that is not trusted is not fetched");
        let body = v1::Fetch {
            conversation_id: CONVERSATION.to_bytes(),
            from_seq: fetch.from_seq,
            max_entries: 0,
            signed_head: fetch.signed_head,
        };
        self.request(Asked::Fetch(fetch.from_seq), None, client_frame::Body::Fetch(body));
    }

    fn send(&mut self, id: u8) {
        let known = self.drafts.iter().any(|draft| draft.message_id.as_bytes()[0] == id);
        if !self.session.may_request() || known {
            return;
        }
        let draft = server::draft(id);
        let body = client_frame::Body::SendMessage(draft.request());
        self.drafts.push_back(draft.clone());
        self.request(Asked::Message(draft.message_id), Some(draft.message_id), body);
    }

    fn request_keys(&mut self) {
        let device_ids = vec![server::device_key().device.to_bytes()];
        let body = client_frame::Body::LookUpDevices(v1::LookUpDevices { device_ids });
        self.request(Asked::Keys, None, body);
    }

    fn log_in(&mut self) {
        let login = Login::Device { device_id: server::device_key().device };
        let logged_in = self.session.log_in(self.now, &login, server::client_key());
        assert!(self.stage == Stage::Greeted || logged_in.is_err());
        self.drain();
    }

    fn pass_time(&mut self, step: u8) {
        let ms = u64::from(step).pow(2) * 100;
        self.now.monotonic_ms += ms;
        self.now.unix_ms += ms;
        self.follower.handle_time(self.now);
        let due = self.session.next_timeout().is_some_and(|at| at <= self.now.monotonic_ms);
        self.session.handle_timeout(self.now);
        let still = self.session.next_timeout().is_some_and(|at| at <= self.now.monotonic_ms);
        assert!(!(due && still) || self.session.is_closed(), "a deadline is met when it comes");
    }

    fn reconnect(&mut self, kind: u8) {
        if kind & 1 != 0 {
            self.session.handle_eof(kind & 2 != 0);
            self.drain();
        }
        if self.stage != Stage::Closed {
            return;
        }
        self.session = Session::new(server::config(), Framing::Stream, [kind; 32], self.now);
        match self.follower.remembered().filter(|_| kind & 4 != 0 && !self.tampered) {
            // A run that begins with what the last one kept.
            Some(remembered) => self.follower = Follower::resume(CONVERSATION, remembered),
            None => self.follower.handle_disconnected(),
        }
        self.past = None;
        self.hostile.disconnected();
        self.stage = Stage::Connected;
        self.drafts.clear();
        self.asked.clear();
        self.answered.clear();
        self.drain();
        self.hostile.greet();
    }
}

/// Bytes of a frame.
fn encode(reply_to: u64, body: server_frame::Body) -> Bytes {
    aside_proto::frame::encode(&v1::ServerFrame { reply_to, body: Some(body) })
}
