//! Registering, logging in, renaming, devices.

use aside_client::{
    BindingKind, Error, Event, LogIn, PasswordReason, TlsError, Transport, v1, v1::ErrorCode,
};

use crate::world::{PASSWORD, Person, World, registering, with_password};

#[tokio::test]
async fn every_transport_and_binding_leads_in() {
    let world = World::with(|config| config.websocket.allow_unbound = true).await;
    let ways = [
        ("tls", Transport::Tls, BindingKind::Exporter),
        ("tls-cert", Transport::Tls, BindingKind::CertSha256),
        ("ws", Transport::WebSocket, BindingKind::Exporter),
        ("ws-cert", Transport::WebSocket, BindingKind::CertSha256),
        ("ws-none", Transport::WebSocket, BindingKind::None),
    ];
    for (handle, transport, binding) in ways {
        let mut options = world.options(handle, handle, registering());
        options.address.transport = transport;
        options.binding = binding;
        let mut person = Person::connect(options.clone()).await.unwrap();
        let lobby = person.join("lobby").await;
        person.client.send(lobby, handle).await.unwrap();
        while person.message().await.1 != handle {}
        person.client.close().await;
        options.log_in = LogIn::Remembered;
        let again = Person::connect(options).await.unwrap();
        assert_eq!(again.client.identity().handle, handle);
    }
    let mut options = world.options("tls-none", "tls-none", registering());
    options.binding = BindingKind::None;
    let refused = Person::connect(options).await.map(|_| ());
    assert!(matches!(refused, Err(Error::Login(_))), "{refused:?}");
}

// cites: IDEM-001, AUTH-023
#[tokio::test]
async fn the_device_key_is_enough_after_the_first_time() {
    let world = World::new().await;
    let first = world.register("alice").await;
    let identity = first.client.identity();
    first.client.close().await;
    let spelt_otherwise = world.options("Alice", "alice", LogIn::Remembered);
    let again = Person::connect(spelt_otherwise).await.unwrap();
    assert_eq!(again.client.identity(), identity);
    again.client.close().await;

    // The pin was remembered too.
    let mut options = world.options("alice", "alice", LogIn::Remembered);
    options.trust = None;
    Person::connect(options).await.unwrap();
}

#[tokio::test]
async fn a_password_is_asked_for_only_when_it_is_needed() {
    let world = World::new().await;
    let needed = |outcome: Result<Person, Error>| match outcome.map(|_| ()) {
        Err(Error::PasswordNeeded(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(needed(world.come_back("alice").await), PasswordReason::NewDevice);
    let alice = world.register("alice").await;
    let wrong = world.options("alice", "elsewhere", with_password("not the password"));
    let refused = Person::connect(wrong).await.map(|_| ()).unwrap_err();
    assert!(refused.is_refusal(ErrorCode::AuthenticationFailed), "{refused:?}");

    let mut phone = world.options("alice", "phone", with_password(PASSWORD));
    let second = Person::connect(phone.clone()).await.unwrap();
    assert_eq!(second.client.identity().user, alice.client.identity().user);
    assert_ne!(second.client.identity().device, alice.client.identity().device);
    let devices = alice.client.devices().await.unwrap();
    assert_eq!(devices.iter().map(|device| device.current).collect::<Vec<_>>(), [true, false]);

    let mut second = second;
    alice.client.revoke_device(devices[1].id).await.unwrap();
    let ended = second.until(|event| match event {
        Event::Ended(error) => Some(error),
        _ => None,
    });
    assert!(ended.await.is_refusal(ErrorCode::DeviceIsRevoked));
    drop(second);
    phone.log_in = LogIn::Remembered;
    assert_eq!(needed(Person::connect(phone.clone()).await), PasswordReason::Revoked);
    // With the password it becomes a new device, with a new key.
    phone.log_in = with_password(PASSWORD);
    let third = Person::connect(phone).await.unwrap();
    assert_ne!(third.client.identity().device, devices[1].id);
}

#[tokio::test]
async fn a_handle_that_is_taken_is_refused_or_suffixed() {
    let world = World::new().await;
    world.register("alice").await;
    let mut options = world.options("alice", "elsewhere", registering());
    let refused = Person::connect(options.clone()).await.map(|_| ()).unwrap_err();
    assert!(refused.is_refusal(ErrorCode::HandleTaken), "{refused:?}");
    assert!(refused.remedy().is_some());
    let password = PASSWORD.to_owned().into();
    options.log_in = LogIn::Register { password, on_conflict: v1::OnConflict::Suffix };
    let other = Person::connect(options).await.unwrap();
    assert_eq!(other.client.identity().handle, "alice-2");
}

// cites: ACCT-001
#[tokio::test]
async fn after_a_rename_the_account_is_found_by_the_new_handle() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let identity = alice.client.identity();
    let handle = alice.client.rename("Alicia", v1::OnConflict::Reject).await.unwrap();
    assert_eq!(handle, "alicia");
    assert_eq!(alice.client.identity().handle, "alicia");
    alice.client.close().await;
    let options = world.options("alicia", "alice", LogIn::Remembered);
    let again = Person::connect(options).await.unwrap();
    assert_eq!(again.client.identity().user, identity.user);
    assert_eq!(again.client.identity().device, identity.device);
}

// cites: PASS-006
#[tokio::test]
async fn a_changed_password_revokes_the_other_devices() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let phone = world.options("alice", "phone", with_password(PASSWORD));
    let mut second = Person::connect(phone).await.unwrap();
    let new = "another long pass phrase".to_owned().into();
    let wrong = alice.client.change_password(&new, &new).await.unwrap_err();
    assert!(wrong.is_refusal(ErrorCode::AuthenticationFailed));
    let old = PASSWORD.to_owned().into();
    assert_eq!(alice.client.change_password(&old, &new).await.unwrap(), 1);
    second.until(|event| matches!(event, Event::Ended(_)).then_some(())).await;
}

#[tokio::test]
async fn what_a_revoked_device_did_not_get_sent_is_told() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let phone = world.options("alice", "phone", with_password(PASSWORD));
    let second = Person::connect(phone.clone()).await.unwrap();
    let lobby = second.join("lobby").await;
    second.client.close().await;
    alice.client.close().await;

    let World { home, server, address } = world;
    server.stop().await;
    let mut away = phone.clone();
    (away.offline, away.log_in) = (true, LogIn::Remembered);
    let second = Person::connect(away).await.unwrap();
    let queued = second.client.queue(lobby, "from under way").await.unwrap().message_id();
    second.client.close().await;

    let world = World::start_at(home, address, |_| {}).await;
    let alice = world.come_back("alice").await.unwrap();
    let new = "another long pass phrase";
    let old = PASSWORD.to_owned().into();
    alice.client.change_password(&old, &new.to_owned().into()).await.unwrap();
    let mut phone = phone;
    phone.log_in = with_password(new);
    let mut second = Person::connect(phone).await.unwrap();
    let failed = second
        .until(|event| match event {
            Event::MessageFailed { message_id, error: Error::DeviceReplaced, .. } => {
                Some(message_id)
            }
            _ => None,
        })
        .await;
    assert_eq!(failed, queued);
    second.client.close().await;
    let again = Person::connect(world.options("alice", "phone", LogIn::Remembered)).await.unwrap();
    again.client.send(lobby, "said once").await.unwrap();
}

// cites: TLS-006, HEAD-004
#[tokio::test]
async fn a_server_that_is_not_the_one_it_was_is_refused() {
    let world = World::new().await;
    world.register("alice").await.client.close().await;
    let options = world.options("alice", "alice", LogIn::Remembered);
    let pinned = world.server.fingerprint().parse().unwrap();
    let [certificate, key] = ["dev-certificate.pem", "dev-key.pem"]
        .map(|file| world.home.path().join("server").join(file).display().to_string());

    // The same certificate, but another database: the log key is not the one remembered.
    let address = world.address;
    world.server.stop().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = World::start_at(elsewhere, address, |config| {
        config.server.certificate = certificate;
        config.server.key = key;
    })
    .await;
    let refused = Person::connect(options.clone()).await.map(|_| ());
    assert!(matches!(refused, Err(Error::Violation(_))), "{refused:?}");

    // Another certificate than the one pinned, although nothing pins it on the command line.
    let other = other.restart_with(|_| {}).await;
    let mut unsaid = options;
    unsaid.trust = None;
    let refused = Person::connect(unsaid).await.map(|_| ());
    let changed =
        TlsError::FingerprintChanged { pinned, found: other.server.fingerprint().parse().unwrap() };
    assert_eq!(refused.unwrap_err().to_string(), changed.to_string());
}
