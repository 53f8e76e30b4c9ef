use aside_crypto::{Binding, RotationError, Transcript, sign_rotation};
use aside_proto::{
    frame::FrameError,
    id::{ConversationId, DeviceId, UserId},
    limits,
};
use prost::Message as _;
use server_frame::Body;

use super::*;
use crate::client::{Watermark, Watermarks};

const NOW: Now = Now { monotonic_ms: 1_000, unix_ms: 1_700_000_000_000 };
const BINDING: Binding = Binding::Exporter([3; 32]);
const EFFECT: IdempotencyKey = IdempotencyKey::new([5; 16]);

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

fn later(ms: u64) -> Now {
    Now { monotonic_ms: NOW.monotonic_ms + ms, ..NOW }
}

fn config() -> Config {
    Config {
        server_name: "Chat.Example".into(),
        user_agent: "test/1".into(),
        capabilities: vec!["talk".into()],
        binding: BINDING,
        log_key: None,
    }
}

fn new() -> Session {
    Session::new(config(), Framing::Stream, [1; 32], NOW)
}

fn greeted() -> v1::Greeted {
    v1::Greeted {
        version: 1,
        capabilities: vec!["talk".into()],
        server_nonce: vec![2; 32].into(),
        server_time_ms: NOW.unix_ms,
        limits: Some(limits::DEFAULT),
        log_key: Some(log_key(7)),
        binding_types: vec![1, 2],
        registration: 1,
        user_agent: String::new(),
    }
}

fn log_key(byte: u8) -> v1::LogKey {
    let public_key = key(byte).public_key().as_bytes().to_vec().into();
    v1::LogKey { public_key, rotations: vec![] }
}

fn authenticated() -> Body {
    Body::Authenticated(v1::Authenticated {
        user_id: vec![1; 16].into(),
        device_id: vec![2; 16].into(),
        handle: "alice".into(),
    })
}

fn wire(reply_to: u64, body: Body) -> Bytes {
    frame::encode(&v1::ServerFrame { reply_to, body: Some(body) })
}

fn error(code: i32) -> v1::Error {
    v1::Error { code, message: "so it is".into(), ..Default::default() }
}

fn sent(session: &mut Session) -> Vec<v1::ClientFrame> {
    std::iter::from_fn(|| session.poll_transmit())
        .map(|bytes| frame::decode(frame::body(&bytes)).unwrap())
        .collect()
}

fn events(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// What happens on `body` as the reply to, or event at, `reply_to`.
fn receive(session: &mut Session, reply_to: u64, body: Body) -> Vec<Event> {
    session.handle_bytes(NOW, &wire(reply_to, body));
    events(session)
}

fn violation(events: &[Event]) -> &Violation {
    match events {
        [Event::Closed(CloseReason::Violation(violation))] => violation,
        other => panic!("{other:?}"),
    }
}

fn in_greeted() -> Session {
    let mut session = new();
    sent(&mut session);
    receive(&mut session, 1, Body::Greeted(greeted()));
    session
}

fn in_authenticated() -> Session {
    let mut session = in_greeted();
    session.log_in(NOW, &Login::Device { device_id: DeviceId::new([2; 16]) }, &key(9)).unwrap();
    sent(&mut session);
    receive(&mut session, 2, authenticated());
    session
}

fn list() -> client_frame::Body {
    client_frame::Body::ListDevices(v1::ListDevices {})
}

fn join() -> client_frame::Body {
    client_frame::Body::Join(v1::Join { conversation_id: vec![6; 16].into() })
}

// cites: HELLO-001, HELLO-010, REQ-001
#[test]
fn hello_goes_first_and_once() {
    let mut session = new();
    let frames = sent(&mut session);
    let [v1::ClientFrame { request_id: 1, body: Some(client_frame::Body::Hello(hello)), .. }] =
        &frames[..]
    else {
        panic!("{frames:?}")
    };
    assert_eq!(hello.server_name, "chat.example");
    assert_eq!(hello.versions, [1]);
    assert_eq!(hello.client_nonce[..], [1; 32]);
    assert_eq!(session.request(NOW, None, list()), Err(RequestError::Phase));
    receive(&mut session, 1, Body::Greeted(greeted()));
    assert_eq!(session.request(NOW, None, list()), Err(RequestError::Phase));
    let again = client_frame::Body::Hello(v1::Hello::default());
    assert_eq!(in_authenticated().request(NOW, None, again), Err(RequestError::Phase));
}

// cites: EXT-003
#[test]
fn grease_is_sent_now_and_then_and_is_grease() {
    let hello = |nonce| {
        let mut session = Session::new(config(), Framing::Stream, nonce, NOW);
        match sent(&mut session).remove(0).body {
            Some(client_frame::Body::Hello(hello)) => hello,
            other => panic!("{other:?}"),
        }
    };
    let mut nonce = [8; 32];
    nonce[1] = 0xb7;
    assert_eq!(hello(nonce).versions, [1, 0xbaba]);
    assert_eq!(hello(nonce).capabilities, ["talk", "grease-b7"]);
    assert_eq!(hello([1; 32]).versions, [1]);
}

// cites: AUTH-005, CONV-003
#[test]
fn each_log_in_is_proven_for_this_connection() {
    let transcript = Transcript {
        binding: BINDING,
        server_name: "chat.example",
        server_nonce: &[2; 32],
        client_nonce: &[1; 32],
    };
    let (device, device_key) = (DeviceId::new([4; 16]), key(9));
    let logins = [
        Login::Register {
            key: EFFECT,
            handle: "alice",
            password: "secret",
            on_conflict: v1::OnConflict::Reject,
            device_name: "laptop",
        },
        Login::Password { handle: "alice", password: "secret", device_name: "laptop" },
        Login::Device { device_id: device },
    ];
    for login in logins {
        let mut session = in_greeted();
        session.log_in(NOW, &login, &device_key).unwrap();
        let frame = sent(&mut session).remove(0);
        let (proof, new_device) = match frame.body.unwrap() {
            client_frame::Body::Register(register) => {
                assert_eq!(frame.idempotency_key, EFFECT.to_bytes());
                (register.device.clone().unwrap().proof.unwrap(), register.device)
            }
            client_frame::Body::PasswordLogin(login) => {
                assert!(frame.idempotency_key.is_empty());
                (login.device.clone().unwrap().proof.unwrap(), login.device)
            }
            client_frame::Body::DeviceLogin(login) => (login.proof.unwrap(), None),
            other => panic!("{other:?}"),
        };
        assert_eq!(proof.binding_type(), v1::BindingType::Exporter);
        let signature = proof.signature[..].try_into().unwrap();
        let public_key = device_key.public_key();
        let verified = match new_device {
            Some(bound) => {
                assert_eq!(bound.public_key[..], public_key.as_bytes()[..]);
                assert_eq!(bound.name, "laptop");
                transcript.verify_bind(&public_key, &signature)
            }
            None => transcript.verify_login(&public_key, device, &signature),
        };
        assert_eq!(verified, Ok(()), "{login:?}");
    }
}

// cites: AUTH-004
#[test]
fn a_binding_that_is_not_offered_is_not_replaced_by_another() {
    let mut session = new();
    let only_none = v1::Greeted { binding_types: vec![3, 99], ..greeted() };
    receive(&mut session, 1, Body::Greeted(only_none));
    sent(&mut session);
    let login = Login::Device { device_id: DeviceId::new([2; 16]) };
    assert_eq!(session.log_in(NOW, &login, &key(9)), Err(LoginError::BindingNotOffered));
    assert_eq!(sent(&mut session), []);
}

// cites: AUTH-041
#[test]
fn a_failed_log_in_may_be_followed_by_another() {
    let mut session = in_greeted();
    let login = Login::Password { handle: "alice", password: "wrong", device_name: "laptop" };
    session.log_in(NOW, &login, &key(9)).unwrap();
    let twice = session.log_in(NOW, &login, &key(9));
    assert_eq!(twice, Err(LoginError::Request(RequestError::InFlight)));
    let refusal = error(v1::ErrorCode::AuthenticationFailed.into());
    let happened = receive(&mut session, 2, Body::Error(refusal.clone()));
    assert_eq!(happened, [Event::LoginRefused(refusal)]);
    session.log_in(NOW, &login, &key(9)).unwrap();
    let happened = receive(&mut session, 3, authenticated());
    let expected = Event::Authenticated {
        user_id: UserId::new([1; 16]),
        device_id: DeviceId::new([2; 16]),
        handle: "alice".into(),
    };
    assert_eq!(happened, [expected]);
}

// cites: HELLO-008, HELLO-011, HELLO-014
#[test]
fn a_greeting_that_breaks_the_protocol_ends_the_connection() {
    let judge = |greeted: v1::Greeted| {
        let events = receive(&mut new(), 1, Body::Greeted(greeted));
        violation(&events).clone()
    };
    assert_eq!(judge(v1::Greeted { version: 2, ..greeted() }), Violation::Version(2));
    let short = v1::Greeted { server_nonce: vec![2; 31].into(), ..greeted() };
    assert_eq!(judge(short), Violation::Nonce(31));
    assert!(matches!(judge(v1::Greeted { limits: None, ..greeted() }), Violation::Limits(_)));
    assert!(matches!(judge(v1::Greeted { log_key: None, ..greeted() }), Violation::LogKey(_)));
}

// cites: HEAD-004, HEAD-007
#[test]
fn another_log_key_is_accepted_only_by_rotation() {
    let judge = |log_key: v1::LogKey| {
        let config = Config { log_key: Some(key(7).public_key()), ..config() };
        let mut session = Session::new(config, Framing::Stream, [1; 32], NOW);
        let greeted = v1::Greeted { log_key: Some(log_key), ..greeted() };
        receive(&mut session, 1, Body::Greeted(greeted)).remove(0)
    };
    let rotated = |from: u8| {
        let rotation = sign_rotation(&key(from), &key(8).public_key());
        let rotations = vec![v1::LogKeyRotation {
            old_key: rotation.old.as_bytes().to_vec().into(),
            new_key: rotation.new.as_bytes().to_vec().into(),
            signature: rotation.signature.as_bytes().to_vec().into(),
        }];
        v1::LogKey { rotations, ..log_key(8) }
    };
    assert!(matches!(judge(log_key(7)), Event::Greeted(_)));
    let Event::Greeted(greeting) = judge(rotated(7)) else { panic!() };
    assert_eq!(greeting.log_key, key(8).public_key());
    let unrelated = Violation::Rotation(RotationError::Unrelated);
    for log_key in [log_key(8), rotated(6)] {
        assert_eq!(judge(log_key), Event::Closed(unrelated.clone().into()));
    }
}

// cites: REQ-001, REQ-003, IDEM-001, IDEM-009
#[test]
fn requests_are_numbered_keyed_and_answered() {
    let mut session = in_authenticated();
    let first = session.request(NOW, None, list()).unwrap();
    let second = session.request(NOW, Some(EFFECT), join()).unwrap();
    assert_ne!(first, second);
    assert_eq!(session.request(NOW, None, join()), Err(RequestError::Key("join")));
    assert_eq!(session.request(NOW, Some(EFFECT), list()), Err(RequestError::Key("list_devices")));
    let frames = sent(&mut session);
    assert_eq!(frames.iter().map(|frame| frame.request_id).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(frames[1].idempotency_key, EFFECT.to_bytes());

    let devices = Body::Devices(v1::Devices::default());
    let happened = receive(&mut session, 3, devices.clone());
    assert_eq!(happened, [Event::Reply { id: first, result: Ok(devices) }]);
    let refusal = error(v1::ErrorCode::NoSuchConversation.into());
    let happened = receive(&mut session, 4, Body::Error(refusal.clone()));
    assert_eq!(happened, [Event::Reply { id: second, result: Err(refusal) }]);
}

// cites: REQ-003
#[test]
fn a_reply_that_answers_nothing_or_wrongly_ends_the_connection() {
    let mut session = in_authenticated();
    let happened = receive(&mut session, 9, Body::Pong(v1::Pong::default()));
    assert_eq!(*violation(&happened), Violation::UnknownReply(9));

    let mut session = in_authenticated();
    session.request(NOW, None, list()).unwrap();
    let happened = receive(&mut session, 3, Body::Left(v1::Left {}));
    assert_eq!(*violation(&happened), Violation::WrongReply("list_devices"));
    assert_eq!(receive(&mut session, 0, authenticated()), [], "nothing follows the end");
}

// cites: HELLO-013
#[test]
fn the_servers_limits_are_kept() {
    let mut session = new();
    let limits = v1::Limits {
        max_in_flight: 2,
        max_frame_bytes: 65536,
        max_payload_bytes: 16384,
        max_leaves: 100,
        max_commit_bytes: 8192,
        max_welcome_bytes: 8192,
        max_group_info_bytes: 8192,
        ..limits::DEFAULT
    };
    receive(&mut session, 1, Body::Greeted(v1::Greeted { limits: Some(limits), ..greeted() }));
    let long = "x".repeat(16384);
    let login = Login::Password { handle: "alice", password: &long, device_name: "laptop" };
    let refused = session.log_in(NOW, &login, &key(9));
    assert!(matches!(refused, Err(LoginError::Request(RequestError::TooLarge { .. }))));

    let login = Login::Device { device_id: DeviceId::new([2; 16]) };
    session.log_in(NOW, &login, &key(9)).unwrap();
    receive(&mut session, 2, authenticated());
    let message = |length| {
        let payload = vec![b'x'; length].into();
        client_frame::Body::SendMessage(v1::SendMessage { payload, ..Default::default() })
    };
    let refused = session.request(NOW, Some(EFFECT), message(65536));
    assert!(matches!(refused, Err(RequestError::TooLarge { limit: 65536, .. })));
    session.request(NOW, Some(EFFECT), message(65000)).unwrap();
    session.request(NOW, None, list()).unwrap();
    assert!(!session.may_request());
    assert_eq!(session.request(NOW, None, list()), Err(RequestError::InFlight));
}

// cites: FRAME-010
#[test]
fn frames_that_are_none_end_the_connection() {
    for (bytes, expected) in [
        (vec![0; 4], FrameError::Empty),
        (vec![1, 0, 0, 1], FrameError::TooLarge { length: (16 << 20) + 1, limit: 16 << 20 }),
    ] {
        let mut session = new();
        session.handle_bytes(NOW, &bytes);
        assert_eq!(*violation(&events(&mut session)), Violation::Frame(expected));
    }
    let mut session = new();
    session.handle_bytes(NOW, &[0, 0, 0, 1, 0xff]);
    assert!(matches!(violation(&events(&mut session)), Violation::Frame(FrameError::Malformed(_))));
    let mut session = Session::new(config(), Framing::Messages, [1; 32], NOW);
    session.handle_message(NOW, Bytes::new());
    assert_eq!(*violation(&events(&mut session)), Violation::Frame(FrameError::Empty));
}

// cites: FRAME-007
#[test]
fn frames_come_cut_in_any_way() {
    let mut bytes = wire(1, Body::Greeted(greeted())).to_vec();
    bytes.extend(wire(0, Body::Gap(v1::Gap { conversation_id: vec![6; 16].into(), head_seq: 5 })));
    let mut session = new();
    bytes.chunks(1).for_each(|byte| session.handle_bytes(NOW, byte));
    let happened = events(&mut session);
    let gap = Event::Gap { conversation: ConversationId::new([6; 16]), head_seq: 5 };
    assert!(matches!(&happened[..], [Event::Greeted(_), last] if *last == gap), "{happened:?}");
}

// cites: CONV-001, DEVLOG-009
#[test]
fn changed_device_logs_are_told_if_they_are_somebodys() {
    let changed = |user: &'static [u8]| {
        let changed = v1::DeviceLogChanged { user_id: user.into(), length: 3 };
        wire(0, Body::DeviceLogChanged(changed))
    };
    let mut session = in_authenticated();
    session.handle_bytes(NOW, &changed(&[3; 16]));
    let user = UserId::new([3; 16]);
    assert_eq!(events(&mut session), [Event::DeviceLogChanged { user, length: 3 }]);
    session.handle_bytes(NOW, &changed(&[3; 15]));
    assert!(session.is_closed());
}

// cites: CONV-001
#[test]
fn moved_watermarks_are_told_if_they_are_somebodys() {
    let moved = |user: &'static [u8]| {
        let user_id = user.into();
        let watermark = Some(v1::Watermark { user_id, delivered_seq: 7, read_seq: 5 });
        let conversation_id = vec![6; 16].into();
        wire(0, Body::WatermarkMoved(v1::WatermarkMoved { conversation_id, watermark }))
    };
    let mut session = in_authenticated();
    session.handle_bytes(NOW, &moved(&[3; 16]));
    let at = Watermarks { delivered_seq: 7, read_seq: 5 };
    let watermark = Watermark { user: UserId::new([3; 16]), at };
    let conversation = ConversationId::new([6; 16]);
    assert_eq!(events(&mut session), [Event::WatermarkMoved { conversation, watermark }]);
    session.handle_bytes(NOW, &moved(&[3; 15]));
    assert!(session.is_closed());
}

// cites: REQ-010, EXT-005, FRAME-008
#[test]
fn what_is_not_known_is_ignored() {
    let mut session = in_authenticated();
    let unknown_event: &[u8] = &[0xf2, 0x86, 0x0d, 0x02, b'h', b'i'];
    session.handle_bytes(NOW, &[&[0, 0, 0, 6], unknown_event].concat());
    let mut greeted =
        v1::ServerFrame { reply_to: 0, body: Some(Body::Left(v1::Left {})) }.encode_to_vec();
    greeted.extend_from_slice(unknown_event);
    session.handle_bytes(NOW, &[&u32::to_be_bytes(greeted.len() as u32)[..], &greeted].concat());
    assert_eq!(events(&mut session), []);
    assert!(!session.is_closed());
}

// cites: ERR-007
#[test]
fn unknown_codes_end_the_connection_or_fail_the_request() {
    let mut session = in_authenticated();
    let id = session.request(NOW, None, list()).unwrap();
    let happened = receive(&mut session, 3, Body::Error(error(999)));
    assert_eq!(happened, [Event::Reply { id, result: Err(error(999)) }]);
    assert_eq!(receive(&mut session, 0, Body::Error(error(999))), []);
    let happened = receive(&mut session, 0, Body::Error(error(99)));
    assert_eq!(happened, [Event::Closed(CloseReason::Refused(Box::new(error(99))))]);
}

// cites: LIM-003
#[test]
fn a_ping_goes_out_after_a_third_of_the_idle_timeout() {
    let third = u64::from(limits::DEFAULT.idle_timeout_ms / 3);
    let mut session = in_authenticated();
    assert_eq!(session.next_timeout(), Some(later(third).monotonic_ms));
    session.handle_timeout(later(third - 1));
    assert_eq!(sent(&mut session), []);
    session.handle_timeout(later(third));
    let frames = sent(&mut session);
    assert!(matches!(frames[0].body, Some(client_frame::Body::Ping(_))), "{frames:?}");

    // A pong puts the next one off; requests do so too.
    session.handle_bytes(later(third + 5), &wire(3, Body::Pong(v1::Pong::default())));
    assert_eq!(session.next_timeout(), Some(later(2 * third).monotonic_ms));
    session.request(later(third + 9), None, list()).unwrap();
    session.handle_bytes(later(third + 10), &wire(4, Body::Devices(v1::Devices::default())));
    assert_eq!(session.next_timeout(), Some(later(2 * third + 9).monotonic_ms));
}

#[test]
fn a_server_that_stops_answering_is_given_up() {
    let mut session = in_authenticated();
    session.request(NOW, None, list()).unwrap();
    assert_eq!(session.next_timeout(), Some(later(ANSWER_TIMEOUT_MS).monotonic_ms));
    // Anything that comes shows that the connection lives.
    let gap = Body::Gap(v1::Gap { conversation_id: vec![6; 16].into(), head_seq: 5 });
    session.handle_bytes(later(7), &wire(0, gap));
    session.handle_timeout(later(ANSWER_TIMEOUT_MS));
    assert!(!session.is_closed());
    session.handle_timeout(later(ANSWER_TIMEOUT_MS + 7));
    assert_eq!(events(&mut session).pop(), Some(Event::Closed(CloseReason::Unresponsive)));
    assert_eq!(session.next_timeout(), None);
}

// cites: CLOSE-003
#[test]
fn the_end_is_told_once_and_how() {
    for clean in [true, false] {
        let mut session = in_authenticated();
        session.request(NOW, Some(EFFECT), join()).unwrap();
        session.handle_eof(clean);
        session.handle_eof(!clean);
        session.close();
        assert_eq!(events(&mut session), [Event::Closed(CloseReason::Ended { clean })]);
    }
    let mut session = in_authenticated();
    session.close();
    assert_eq!(events(&mut session), [Event::Closed(CloseReason::Requested)]);
}

// cites: RELAY-001
#[test]
fn what_is_relayed_is_told_with_its_sender() {
    let said = |device: &'static [u8]| {
        let said = v1::RelayReceived { device_id: device.into(), payload: "said".into() };
        wire(0, Body::RelayReceived(said))
    };
    let mut session = in_authenticated();
    session.handle_bytes(NOW, &said(&[3; 16]));
    let relayed = Event::Relayed { device: DeviceId::new([3; 16]), payload: "said".into() };
    assert_eq!(events(&mut session), [relayed]);
    session.handle_bytes(NOW, &said(&[3; 15]));
    assert!(session.is_closed());
}
