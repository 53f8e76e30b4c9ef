//! Bots: tokens, and what they may do.

use std::time::Duration;

use aside_client::{
    BotToken, Error, Event, LogIn, Options,
    v1::{ErrorCode, TokenScope},
};

use crate::world::{Person, World, numbered};

/// How a bot connects, from the same machine as its owner.
fn bot(world: &World, token: &BotToken) -> Options {
    let log_in = LogIn::Token(Box::new(token.clone()));
    let mut options = world.options("alice", "alice", log_in);
    options.address.handle = None;
    options
}

// cites: TOKEN-005
#[tokio::test]
async fn a_bot_talks_beside_its_owner_and_comes_back() {
    let world = World::new().await;
    let (mut alice, bob) = (world.register("alice").await, world.register("bob").await);
    let lobby = alice.join("lobby").await;
    bob.join("lobby").await;
    let scopes = [TokenScope::Read, TokenScope::Send];
    let month = Some(Duration::from_secs(30 * 86_400));
    let issued = alice.client.issue_token("bot", &scopes, month).await.unwrap();
    let expires_ms = issued.expires_ms;
    assert!(!issued.is_cut_short);
    let token: BotToken = issued.token.to_text().parse().unwrap();
    for round in 0..2 {
        let mut bot = Person::connect(bot(&world, &token)).await.unwrap();
        assert_eq!(bot.client.identity().device, token.id());
        assert_eq!(bot.client.identity().user, alice.client.identity().user);
        bob.client.send(lobby, &format!("!ping {round}")).await.unwrap();
        assert_eq!(bot.message().await.1, format!("!ping {round}"));
        bot.client.send(lobby, &format!("pong {round}")).await.unwrap();
        // Alice has verified it, as a message of another device of hers.
        assert_eq!(alice.messages(2).await[1], format!("pong {round}"));
        let refused = bot.client.rename("mallory", aside_client::v1::OnConflict::Reject).await;
        assert!(refused.unwrap_err().is_refusal(ErrorCode::ScopeMissing));
        bot.client.close().await;
    }
    let [listed] = &alice.client.tokens().await.unwrap()[..] else { panic!("one token") };
    assert_eq!((listed.id, listed.name.as_str()), (token.id(), "bot"));
    assert_eq!((&listed.scopes[..], listed.expires_ms), (&scopes[..], expires_ms));
    assert!(listed.last_used_ms.is_some());
    // Whose state is whose does not get mixed up.
    let alice = {
        alice.client.close().await;
        world.come_back("alice").await.unwrap()
    };
    assert_ne!(alice.client.identity().device, token.id());
}

// cites: TOKEN-012
#[tokio::test]
async fn a_bot_whose_token_is_revoked_ends() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let scopes = [TokenScope::Read];
    let issued = alice.client.issue_token("bot", &scopes, None).await.unwrap();
    let token = issued.token;
    let again = alice.client.issue_token("bot", &scopes, None).await.unwrap_err();
    assert!(again.is_refusal(ErrorCode::TokenNameTaken), "{again}");
    let mut running = Person::connect(bot(&world, &token)).await.unwrap();
    alice.client.revoke_token(token.id()).await.unwrap();
    let ended = running.until(|event| match event {
        Event::Ended(error) => Some(error),
        _ => None,
    });
    assert!(ended.await.is_refusal(ErrorCode::DeviceIsRevoked));
    let again = Person::connect(bot(&world, &token)).await.err().unwrap();
    assert!(again.is_refusal(ErrorCode::DeviceIsRevoked), "{again}");
    let nobody = alice.client.revoke_token(token.id()).await.unwrap_err();
    assert!(nobody.is_refusal(ErrorCode::NoSuchToken));
    let no_scope = alice.client.issue_token("bot", &[], None).await.unwrap_err();
    assert!(matches!(no_scope, Error::Refused(refusal) if refusal.field == "issue_token.scopes"));
}

#[tokio::test]
async fn a_token_is_of_the_account_that_is_named_and_lives_as_long_as_it_may() {
    let world = World::with(|config| config.limits.max_token_lifetime_s = 60).await;
    let (alice, _bob) = (world.register("alice").await, world.register("bob").await);
    let hour = Some(Duration::from_secs(3_600));
    let issued = alice.client.issue_token("bot", &[TokenScope::Read], hour).await.unwrap();
    assert!(issued.is_cut_short);
    let named = |handle: &str| {
        let mut options = bot(&world, &issued.token);
        options.address.handle = Some(handle.to_owned());
        options
    };
    let error = Person::connect(named("bob")).await.err().unwrap();
    let Error::OtherAccount { named: asked, of } = &error else { panic!("{error}") };
    assert_eq!((asked.as_str(), of.as_str()), ("bob", "alice"));
    Person::connect(named("Alice")).await.unwrap();
}

// cites: MSG-008, SEARCH-011
#[tokio::test]
async fn what_was_said_is_found_and_verified() {
    let world = World::with(|config| config.limits.max_page_items = 3).await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    let lobby = alice.join("lobby").await;
    alice.say(lobby, &numbered("green tea", 0..8)).await;
    // Bob keeps nothing of it.
    bob.join("lobby").await;
    let found = bob.client.search(Some(lobby), "tea gre*", 7).await.unwrap();
    let texts: Vec<_> = found.iter().map(|found| found.text.clone()).collect();
    let newest_first: Vec<_> = numbered("green tea", 1..8).into_iter().rev().collect();
    assert_eq!(texts, newest_first);
    assert!(found.iter().all(|found| found.verified && !found.edited));

    let message = alice.client.message(lobby, found[0].seq).await.unwrap().as_message().unwrap();
    alice.client.edit(lobby, message, "black tea").await.unwrap().receipt().await.unwrap();
    let found = bob.client.search(None, "\"black tea\"", 7).await.unwrap();
    assert_eq!((found.len(), found[0].text.as_str(), found[0].edited), (1, "black tea", true));
    assert!(found[0].verified && found[0].seq == message.seq);
    let nothing = bob.client.search(None, "*", 7).await.unwrap_err();
    assert!(nothing.is_refusal(ErrorCode::InvalidArgument));
}
