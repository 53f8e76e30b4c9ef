//! What a client's files give away, and to whom.

use aside_client::{
    Error, Guard, LogIn, RecoveryPhrase, StateError, Strength, Unlock, new_recovery_phrase,
};

use crate::world::{Person, World, verified_text};

async fn user(world: &World, handle: &str) -> Person {
    let person = world.register(handle).await;
    let phrase: RecoveryPhrase = new_recovery_phrase(Strength::Bits128);
    person.client.begin_identity(&phrase).await.expect("the log begins");
    person
}

/// Whether any file of somebody's state holds a text.
fn holds(world: &World, computer: &str, text: &str) -> bool {
    let mut dirs = vec![world.computer(computer)];
    while let Some(dir) = dirs.pop() {
        for file in std::fs::read_dir(dir).expect("it is there") {
            let path = file.expect("it is there").path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap_or_default();
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                return true;
            }
        }
    }
    false
}

// cites: STORE-006
#[tokio::test]
async fn no_file_of_either_has_what_two_users_said() {
    let world = World::new().await;
    let (alice, mut bob) = (user(&world, "alice").await, user(&world, "bob").await);
    let direct = alice.client.open_direct("bob").await.unwrap().conversation;
    alice.client.send(direct, "in nobody's sight").await.unwrap();
    assert_eq!(bob.message().await.1, "in nobody's sight");
    // Words are looked for, and what was found is kept.
    for person in [&alice, &bob] {
        person.client.search_local("sight", None, None).await.unwrap();
    }
    let lobby = alice.join("lobby").await;
    alice.client.send(lobby, "in everybody's sight").await.unwrap();
    let hidden = |computer| !holds(&world, computer, "nobody's sight");
    assert!(hidden("alice") && hidden("bob"), "while they are open");
    alice.client.close().await;
    bob.client.close().await;
    assert!(hidden("alice") && hidden("bob"), "and once they are closed");
    assert!(holds(&world, "alice", "everybody's sight"), "this is how it would be found");
    let bob = world.come_back("bob").await.unwrap();
    let kept = bob.client.history(direct, None, 10).await.unwrap();
    let texts: Vec<_> = kept.iter().filter_map(verified_text).collect();
    assert_eq!(texts, ["in nobody's sight"]);
}

// cites: STORE-003, STORE-008
#[tokio::test]
async fn a_passphrase_is_set_by_whoever_has_the_state_and_asked_of_all_after() {
    let world = World::new().await;
    let alice = user(&world, "alice").await;
    let options = || world.options("alice", "alice", LogIn::Remembered);
    let passphrase = || "eight days a week".to_owned().into();
    let refused = Guard::change(&options(), Some(passphrase())).await;
    assert!(matches!(refused, Err(Error::State(StateError::InUse(_)))), "{refused:?}");
    alice.client.close().await;
    assert_eq!(Guard::change(&options(), Some(passphrase())).await.unwrap(), Guard::Passphrase);

    let shut = Person::connect(options()).await.err();
    assert!(matches!(shut, Some(Error::State(StateError::PassphraseNeeded(_)))), "{shut:?}");
    let mut opened = options();
    opened.unlock = Unlock::Passphrase(passphrase());
    let alice = Person::connect(opened).await.unwrap();
    assert_eq!(alice.client.identity().handle, "alice");
}
