//! Groups of real devices, with both providers and both suites: what they agree on, and what they refuse.

#![allow(clippy::unwrap_used)] // Every function here is a test's.

mod support;

use aside_mls::{
    AwsLc, Change, ClaimedChange, Crypto, Device, Error, Group, Reason, RustCrypto, SigningKey,
    Suite,
    testing::{Cast, owner},
};
use support::{
    Invitation, Liar, NOW, add, commit, group_id, group_of, her, him, join, members, rejoin,
    reload, say, talk,
};

// cites: MLS-001, MLS-020
#[test]
fn members_of_either_suite_read_each_other() {
    for suite in Suite::ALL {
        let cast = Cast::default();
        let (alice, bob) =
            (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
        let mut groups = group_of(&alice, &[&bob], suite);
        assert_eq!(groups.iter().map(Group::suite).collect::<Vec<_>>(), [suite; 2]);
        talk(&mut groups);
    }
}

// cites: MLS-001
#[test]
fn the_providers_understand_each_other() {
    for suite in Suite::ALL {
        let cast = Cast::default();
        let alice = cast.device::<AwsLc>(1, 1).unwrap();
        let bob = cast.device::<RustCrypto>(2, 2).unwrap();
        let mut hers = alice.create(suite, group_id(), NOW).unwrap();
        let welcome = add(&mut hers, &[&bob.key_package(suite, false, NOW).unwrap()]);
        let mut his = join(&bob, &welcome).unwrap();

        let message = hers.encrypt(b"from AWS-LC", b"1").unwrap();
        assert_eq!(his.decrypt(&message, b"1", her()).unwrap().content, b"from AWS-LC");
        let message = his.encrypt(b"from RustCrypto", b"2").unwrap();
        assert_eq!(hers.decrypt(&message, b"2", him()).unwrap().content, b"from RustCrypto");

        let (sent, header, claim) = commit(&mut his, &Change::default());
        his.apply_pending().unwrap();
        hers.receive_commit(&sent.commit, &header, him(), &claim).unwrap();
        assert_eq!(hers.epoch_authenticator().unwrap(), his.epoch_authenticator().unwrap());
    }
}

// cites: MLS-004
#[test]
fn a_signature_key_is_the_same_with_either_provider() {
    for suite in Suite::ALL {
        let key = SigningKey::generate::<AwsLc>(suite).unwrap();
        let same = SigningKey::from_bytes::<RustCrypto>(suite, &key.to_bytes()).unwrap();
        assert_eq!(key.public(), same.public());
        assert_eq!((key.public().len(), key.public()[0]), (suite.signature_key_bytes(), 4));
        assert!(SigningKey::from_bytes::<AwsLc>(suite, &[0; 7]).is_err());
    }
}

// cites: MLS-002
#[test]
fn the_group_is_the_conversations_in_its_generation() {
    let id = group_id();
    let bytes = id.to_bytes();
    assert_eq!(bytes[..16], *id.conversation.as_bytes());
    assert_eq!(bytes[16..], id.generation.to_be_bytes());

    let cast = Cast::default();
    let (alice, bob) = (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
    let mut hers = alice.create(Suite::P256Aes128, id, NOW).unwrap();
    let welcome = add(&mut hers, &[&bob.key_package(Suite::P256Aes128, false, NOW).unwrap()]);
    let next = aside_mls::GroupId { generation: id.generation + 1, ..id };
    let refused = bob.join(&welcome.welcome, next, (welcome.by, &welcome.commit), None);
    assert_eq!(refused.err(), Some(Reason::WrongGroup.into()));
    let refused = bob.rejoin(&hers.group_info().unwrap(), next, 1, None);
    assert_eq!(refused.err(), Some(Reason::WrongGroup.into()));
    assert!(join(&bob, &welcome).is_ok());
}

#[test]
fn members_have_owners_and_secrets_in_common() {
    let cast = Cast::default();
    let devices: Vec<_> = (1..=3).map(|n| cast.device::<AwsLc>(n, n).unwrap()).collect();
    let groups = group_of(&devices[0], &[&devices[1], &devices[2]], Suite::P256Aes128);
    for group in &groups {
        assert_eq!(members(group), [owner(1, 1), owner(2, 2), owner(3, 3)]);
        assert_eq!(group.export(b"x", b"", 32).unwrap(), groups[0].export(b"x", b"", 32).unwrap());
        assert_ne!(group.export(b"x", b"", 32).unwrap(), group.export(b"y", b"", 32).unwrap());
    }
    let leaves: Vec<_> = groups.iter().map(Group::own_leaf).collect();
    assert_eq!(leaves, [0, 1, 2]);
}

// cites: MLS-018
#[test]
fn messages_of_an_epoch_come_in_any_order_and_once() {
    let cast = Cast::default();
    let (alice, bob) = (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
    let [mut hers, mut his] = pair(&alice, &bob);
    let sent: Vec<_> = (0..9u8).map(|n| hers.encrypt(&[n], &[n]).unwrap()).collect();
    for n in [8, 0, 4, 3, 7, 1, 2, 6] {
        let message = his.decrypt(&sent[n], &[n as u8], her()).unwrap();
        assert_eq!(
            (message.sender, message.leaf, message.content),
            (owner(1, 1), 0, vec![n as u8])
        );
        assert_eq!(his.decrypt(&sent[n], &[n as u8], her()), Err(Reason::Replayed), "{n}");
    }
    assert_eq!(hers.decrypt(&sent[0], &[0], her()), Err(Reason::Own));
    assert_eq!(hers.decrypt(&sent[0], &[0], him()), Err(Reason::Unauthentic));

    let (made, header, claim) = commit(&mut hers, &Change::default());
    hers.apply_pending().unwrap();
    let later = hers.encrypt(b"later", b"9").unwrap();
    assert_eq!(his.decrypt(&later, b"9", her()), Err(Reason::FutureEpoch));
    his.receive_commit(&made.commit, &header, her(), &claim).unwrap();
    assert_eq!(his.decrypt(&sent[5], &[5], her()), Err(Reason::StaleEpoch));
    assert_eq!(his.receive_commit(&made.commit, &header, her(), &claim), Err(Reason::StaleEpoch));
    assert_eq!(his.decrypt(&later, b"9", her()).unwrap().content, b"later");
}

#[test]
fn a_message_beyond_a_thousand_missing_ones_waits_for_them() {
    let cast = Cast::default();
    let (alice, bob) = (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
    let [mut hers, mut his] = pair(&alice, &bob);
    let sent: Vec<_> = (0..=1025).map(|_| hers.encrypt(b"", b"").unwrap()).collect();
    assert_eq!(his.decrypt(&sent[1025], b"", her()), Err(Reason::TooFarAhead));
    his.decrypt(&sent[0], b"", her()).unwrap();
    his.decrypt(&sent[1025], b"", her()).unwrap();
}

// cites: MLS-014, MLS-023
#[test]
fn a_message_under_another_header_or_changed_is_refused_and_costs_nothing() {
    let cast = Cast::default();
    let (alice, bob) = (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
    let [mut hers, mut his] = pair(&alice, &bob);
    for round in 0..3 {
        let before = hers.encrypt(b"before", b"0").unwrap();
        his.decrypt(&before, b"0", her()).unwrap();
        let message = hers.encrypt(b"hello", b"1").unwrap();
        assert_eq!(his.decrypt(&message, b"2", her()), Err(Reason::HeaderMismatch));
        // The end of the ciphertext: whom it is from still decrypts, and names the key.
        let mut changed = message.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(his.decrypt(&changed, b"1", her()), Err(Reason::Tampered));
        assert_eq!(his.decrypt(&before, b"0", her()), Err(Reason::Replayed), "{round}");
        assert_eq!(his.decrypt(&message, b"1", her()).unwrap().content, b"hello");
    }
}

// cites: MLS-019
#[test]
fn of_two_commits_one_wins_and_the_loser_makes_its_own_again() {
    let cast = Cast::default();
    let devices: Vec<_> = (1..=3).map(|n| cast.device::<AwsLc>(n, n).unwrap()).collect();
    let mut groups = group_of(&devices[0], &[&devices[1]], Suite::P256Aes128);
    let carol = devices[2].key_package(Suite::P256Aes128, false, NOW).unwrap();
    let epoch = groups[0].epoch();

    let change = Change { add: vec![groups[1].key_package(&carol).unwrap()], ..Change::default() };
    commit(&mut groups[1], &change);
    assert_eq!((groups[1].epoch(), groups[1].has_pending()), (epoch, true));
    assert_eq!(groups[1].commit(&change, b"", NOW).err(), Some(Error::CommitPending));
    let (won, header, claim) = commit(&mut groups[0], &Change::default());
    groups[0].apply_pending().unwrap();
    assert_eq!(groups[0].apply_pending(), Err(Error::NoCommitPending));

    // The loser follows, and what it had made is void.
    let effect = groups[1].receive_commit(&won.commit, &header, her(), &claim).unwrap();
    assert_eq!((effect.committer, effect.change), (owner(1, 1), claim));
    assert!(!groups[1].has_pending());
    let (again, header, claim) = commit(&mut groups[1], &change);
    assert_eq!(claim.epoch, epoch + 1);
    groups[0].receive_commit(&again.commit, &header, him(), &claim).unwrap();
    // One's own commit is accepted by hearing of it, too.
    groups[1].receive_commit(&again.commit, &header, him(), &claim).unwrap();
    let invitation = Invitation { by: him(), welcome: again.welcome.unwrap(), commit: claim };
    groups.push(join(&devices[2], &invitation).unwrap());
    talk(&mut groups);
}

// cites: MLS-019
#[test]
fn a_commit_that_is_cleared_never_was() {
    let cast = Cast::default();
    let (alice, bob) = (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
    let [mut hers, mut his] = pair(&alice, &bob);
    let (made, header, claim) = commit(&mut hers, &Change::default());
    say(&mut hers, &mut his);
    hers.clear_pending();
    assert_eq!(hers.apply_pending(), Err(Error::NoCommitPending));
    // Were it in the log after all, this device could not follow its own commit.
    assert_eq!(hers.receive_commit(&made.commit, &header, her(), &claim), Err(Reason::Own));
    say(&mut hers, &mut his);
    say(&mut his, &mut hers);
}

// cites: MLS-014, MLS-015, MLS-023
#[test]
fn a_commit_that_is_not_what_its_header_claims_is_refused_and_costs_nothing() {
    let cast = Cast::default();
    let devices: Vec<_> = (1..=4).map(|n| cast.device::<AwsLc>(n, n).unwrap()).collect();
    let mut groups = group_of(&devices[0], &[&devices[1], &devices[2]], Suite::P256Aes128);
    let dave = devices[3].key_package(Suite::P256Aes128, false, NOW).unwrap();
    let change =
        Change { add: vec![groups[0].key_package(&dave).unwrap()], remove: [owner(3, 3)].into() };
    let (made, header, claim) = commit(&mut groups[0], &change);
    assert_eq!(claim.added, [owner(4, 4)].into());
    let none = std::collections::BTreeSet::new();
    for false_claim in [
        ClaimedChange { epoch: claim.epoch + 1, ..claim.clone() },
        ClaimedChange { added: none.clone(), ..claim.clone() },
        ClaimedChange { added: [owner(3, 3)].into(), ..claim.clone() },
        ClaimedChange { removed: none, ..claim.clone() },
        ClaimedChange { removed: [owner(1, 1)].into(), ..claim.clone() },
    ] {
        let refused = groups[1].receive_commit(&made.commit, &header, her(), &false_claim);
        assert_eq!(refused, Err(Reason::ClaimMismatch), "{false_claim:?}");
    }
    let refused = groups[1].receive_commit(&made.commit, b"another", her(), &claim);
    assert_eq!(refused, Err(Reason::HeaderMismatch));
    let effect = groups[1].receive_commit(&made.commit, &header, her(), &claim).unwrap();
    assert_eq!((effect.change, effect.external, effect.removed_us), (claim, false, false));
}

#[test]
fn who_is_removed_reads_no_more() {
    let cast = Cast::default();
    let (alice, bob) = (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
    let [mut hers, mut his] = pair(&alice, &bob);
    his.save().unwrap();
    let stored = bob.take_changes().groups.remove(&his.id()).flatten().unwrap();
    let mut without_the_commit = bob.load(&stored).unwrap();

    let change = Change { remove: [owner(2, 2)].into(), ..Change::default() };
    let (made, header, claim) = commit(&mut hers, &change);
    hers.apply_pending().unwrap();
    let secret = hers.encrypt(b"he is gone", b"1").unwrap();
    assert_eq!(without_the_commit.decrypt(&secret, b"1", her()), Err(Reason::FutureEpoch));

    assert!(his.receive_commit(&made.commit, &header, her(), &claim).unwrap().removed_us);
    his.confirm_removal().unwrap();
    assert_eq!(his.decrypt(&secret, b"1", her()), Err(Reason::NotAMember));
    assert_eq!(his.encrypt(b"?", b"2"), Err(Error::NotAMember));
    assert_eq!(his.commit(&Change::default(), b"", NOW), Err(Error::NotAMember));
    assert_eq!(his.group_info(), Err(Reason::NotAMember));
    his.save().unwrap();
    assert_eq!(bob.take_changes().groups.remove(&his.id()), Some(None), "its state is deleted");

    let again = hers.commit(&change, b"", NOW);
    assert_eq!(again, Err(Error::NotInGroup(owner(2, 2))));
}

// cites: MLS-010, MLS-012, MLS-013
#[test]
fn a_device_joins_again_and_so_does_another_of_its_user() {
    let cast = Cast::default();
    let (alice, bob) = (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
    let [mut hers, _] = pair(&alice, &bob);
    let join = |device: &Device, groups: &mut [&mut Group]| {
        let rejoin = rejoin(device, groups[0]).unwrap();
        let claim = rejoin.claim().clone();
        let (joined, made) = rejoin.commit(b"join").unwrap();
        for group in groups {
            let effect = group
                .receive_commit(&made.commit, b"join", *claim.added.first().unwrap(), &claim)
                .unwrap();
            assert_eq!((effect.external, &effect.change), (true, &claim));
            assert_eq!(claim.added, [effect.committer].into());
        }
        (joined, claim.removed)
    };
    let (again, removed) = join(&bob, &mut [&mut hers]);
    assert_eq!(removed, [owner(2, 2)].into());
    assert_eq!(members(&hers), [owner(1, 1), owner(2, 2)]);
    talk(&mut [hers, again]);

    let [mut hers, mut his] = pair(&alice, &bob);
    let (other, removed) = join(&cast.device(2, 22).unwrap(), &mut [&mut hers, &mut his]);
    assert_eq!(removed, [].into());
    assert_eq!(members(&hers), [owner(1, 1), owner(2, 2), owner(2, 22)]);
    talk(&mut [hers, his, other]);
}

// cites: MLS-009, MLS-012
#[test]
fn who_is_not_approved_or_a_stranger_does_not_join_on_its_own() {
    let cast = Cast::default();
    let (alice, bob) = (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
    let [mut hers, mut his] = pair(&alice, &bob);
    let [mut her_other, _] = pair(&alice, &bob);

    // An honest client finds out by itself.
    let stranger = cast.device::<AwsLc>(9, 9).unwrap();
    let refused = rejoin(&stranger, &hers).unwrap().commit(b"");
    assert_eq!(refused.err(), Some(Reason::ExternalCommitRefused.into()));
    cast.revoke(owner(2, 2));
    let refused = rejoin(&bob, &hers).unwrap().commit(b"");
    assert_eq!(refused.err(), Some(Reason::CredentialRefused.into()));

    // One that tells itself otherwise is refused by the others, if it is a stranger.
    let liar = Liar::device(&cast, owner(9, 9), owner(1, 9).user);
    let (_, made) = rejoin(&liar, &hers).unwrap().commit(b"let me in").unwrap();
    let claim = ClaimedChange { epoch: 1, added: [owner(9, 9)].into(), ..Default::default() };
    let refused = hers.receive_commit(&made.commit, b"let me in", owner(9, 9), &claim);
    assert_eq!(refused, Err(Reason::ExternalCommitRefused));
    // One that was revoked may have come in before: it is followed, and nothing is encrypted to it.
    let liar = Liar::device(&cast, him(), owner(1, 2).user);
    let (_, made) = rejoin(&liar, &her_other).unwrap().commit(b"let me in").unwrap();
    let claim = ClaimedChange { epoch: 1, added: [him()].into(), removed: [him()].into() };
    her_other.receive_commit(&made.commit, b"let me in", him(), &claim).unwrap();
    let refused = her_other.encrypt(b"psst", b"header");
    assert_eq!(refused, Err(Error::NotApproved([him()].into())));
    let (made, header, claim) =
        commit(&mut hers, &Change { remove: [him()].into(), ..Change::default() });
    assert!(his.receive_commit(&made.commit, &header, her(), &claim).unwrap().removed_us);
}

// cites: MLS-009, MLS-025, MLS-027
#[test]
fn a_revoked_device_is_not_let_in_and_lets_nobody_in() {
    let cast = Cast::default();
    let (alice, bob) = (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
    let (carol, dave) = (cast.device::<AwsLc>(3, 3).unwrap(), cast.device::<AwsLc>(4, 4).unwrap());
    let [mut hers, _] = pair(&alice, &bob);
    let key_package = hers.key_package(&carol.key_package(hers.suite(), false, NOW).unwrap());
    cast.revoke(owner(3, 3));
    let change = Change { add: vec![key_package.unwrap()], ..Change::default() };
    let refused = hers.commit(&change, b"", NOW);
    assert_eq!(refused, Err(Error::KeyPackages(vec![(0, Reason::CredentialRefused)])));

    let invitation = add(&mut hers, &[&dave.key_package(Suite::P256Aes128, false, NOW).unwrap()]);
    let [mut her_other, mut his_other] = pair(&alice, &bob);
    let (made, header, claim) = commit(&mut his_other, &Change::default());
    let [mut third, mut his_third] = pair(&alice, &bob);
    let eve = cast.device::<AwsLc>(5, 5).unwrap().key_package(hers.suite(), false, NOW).unwrap();
    let change = Change { add: vec![his_third.key_package(&eve).unwrap()], ..Change::default() };
    let adding = commit(&mut his_third, &change);
    cast.revoke(owner(2, 2));
    // It may have been made before: nothing is encrypted to its maker.
    her_other.receive_commit(&made.commit, &header, him(), &claim).unwrap();
    assert_eq!(her_other.encrypt(b"psst", b"header"), Err(Error::NotApproved([him()].into())));
    // But whoever it lets in, an approved device has to.
    let refused = third.receive_commit(&adding.0.commit, &adding.1, him(), &adding.2);
    assert_eq!(refused, Err(Reason::CredentialRefused));

    // It is still known, so that it can be removed, and a group is joined that it has not been removed from.
    assert_eq!(members(&hers), [owner(1, 1), owner(2, 2), owner(4, 4)]);
    let mut daves = join(&dave, &invitation).unwrap();
    let change = Change { remove: [owner(2, 2)].into(), ..Change::default() };
    let (made, header, claim) = commit(&mut daves, &change);
    hers.receive_commit(&made.commit, &header, owner(4, 4), &claim).unwrap();
    daves.apply_pending().unwrap();
    say(&mut hers, &mut daves);
}

// cites: MLS-010
#[test]
fn a_device_is_in_a_group_once() {
    let cast = Cast::default();
    let (alice, bob) = (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
    let [mut hers, _] = pair(&alice, &bob);
    let second = hers.key_package(&bob.key_package(hers.suite(), false, NOW).unwrap()).unwrap();
    let change = Change { add: vec![second], ..Change::default() };
    let refused = hers.commit(&change, b"", NOW);
    assert_eq!(refused, Err(Error::KeyPackages(vec![(0, Reason::Invalid)])));
}

// cites: MLS-016
#[test]
fn one_key_package_out_of_its_lifetime_does_not_fail_the_others() {
    const DAYS: u64 = 24 * 60 * 60;
    let cast = Cast::default();
    let devices: Vec<_> = (1..=4).map(|n| cast.device::<AwsLc>(n, n).unwrap()).collect();
    let mut hers = devices[0].create(Suite::P256Aes128, group_id(), NOW).unwrap();
    let made_at = [NOW - 84 * DAYS - 1, NOW - 84 * DAYS, NOW + 60 * 60 + 1];
    let mut add: Vec<_> = devices[1..]
        .iter()
        .zip(made_at)
        .map(|(device, at)| device.key_package(Suite::P256Aes128, false, at).unwrap())
        .map(|bytes| hers.key_package(&bytes).unwrap())
        .collect();
    let change = Change { add: add.clone(), ..Change::default() };
    let refused = vec![(0, Reason::Expired), (2, Reason::Expired)];
    assert_eq!(hers.commit(&change, b"", NOW), Err(Error::KeyPackages(refused)));

    let good = add.remove(1);
    assert_eq!(good.owner(), owner(3, 3));
    let (made, _, claim) = commit(&mut hers, &Change { add: vec![good], ..Change::default() });
    hers.apply_pending().unwrap();
    // Who joins later does not care when the others' KeyPackages ended.
    let invitation = Invitation { by: her(), welcome: made.welcome.unwrap(), commit: claim };
    let mut his = join(&devices[2], &invitation).unwrap();
    let late = devices[1].key_package(Suite::P256Aes128, false, NOW + 400 * DAYS).unwrap();
    let change = Change { add: vec![his.key_package(&late).unwrap()], ..Change::default() };
    let header = b"late".to_vec();
    let claim = his.claim(&change);
    let made = his.commit(&change, &header, NOW + 400 * DAYS).unwrap();
    hers.receive_commit(&made.commit, &header, owner(3, 3), &claim).unwrap();
    his.apply_pending().unwrap();
    let (by, welcome) = (owner(3, 3), made.welcome.unwrap());
    let invitation = Invitation { by, welcome, commit: claim };
    let late = join(&devices[1], &invitation).unwrap();
    talk(&mut [hers, his, late]);
}

// cites: MLS-017
#[test]
fn a_last_resort_is_used_again_and_any_other_once() {
    let cast = Cast::default();
    let (alice, bob) = (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
    for (last_resort, again) in [(true, None), (false, Some(Reason::UnknownKeyPackage.into()))] {
        let key_package = bob.key_package(Suite::P256Aes128, last_resort, NOW).unwrap();
        assert_eq!(bob.take_changes().key_packages.values().filter(|p| p.is_some()).count(), 1);
        let welcome = || {
            let mut hers = alice.create(Suite::P256Aes128, group_id(), NOW).unwrap();
            add(&mut hers, &[&key_package])
        };
        let (first, second) = (welcome(), welcome());
        let mut his = join(&bob, &first).unwrap();
        join(&bob, &first).expect("its secrets stay until a group is saved");
        his.save().unwrap();
        let deleted = bob.take_changes().key_packages.values().filter(|p| p.is_none()).count();
        assert_eq!(deleted, usize::from(!last_resort));
        assert_eq!(join(&bob, &second).err(), again);
    }
}

#[test]
fn key_packages_are_loaded_and_forgotten() {
    let cast = Cast::default();
    let (alice, bob) =
        (cast.device::<AwsLc>(1, 1).unwrap(), support::Known::new(&cast, owner(2, 2)));
    let key_package = bob.device([]).key_package(Suite::P256Aes128, false, NOW);
    assert!(key_package.is_ok(), "for a device whose store was lost");
    let before = bob.device([]);
    let key_package = before.key_package(Suite::P256Aes128, false, NOW).unwrap();
    let stored: Vec<_> = before
        .take_changes()
        .key_packages
        .into_iter()
        .filter_map(|(id, p)| Some((id, p?)))
        .collect();
    let mut hers = alice.create(Suite::P256Aes128, group_id(), NOW).unwrap();
    let welcome = add(&mut hers, &[&key_package]);

    let unknown = join(&bob.device([]), &welcome);
    assert_eq!(unknown.err(), Some(Reason::UnknownKeyPackage.into()));
    let device = bob.device(stored);
    device.forget_expired_key_packages(NOW + 1);
    assert!(device.take_changes().is_empty());
    let mut his = join(&device, &welcome).unwrap();
    device.forget_expired_key_packages(NOW + 200 * 24 * 60 * 60);
    assert_eq!(device.take_changes().key_packages.len(), 1);
    say(&mut hers, &mut his);
    let garbage = [(vec![1], zeroize::Zeroizing::new(vec![1, 2, 3]))];
    assert_eq!(bob.try_device(garbage).err(), Some(Error::State));
}

#[test]
fn a_group_that_is_stored_and_loaded_at_every_step_is_the_same() {
    for suite in Suite::ALL {
        let cast = Cast::default();
        let (alice, bob) =
            (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
        let mut groups = group_of(&alice, &[&bob], suite);
        let [hers, his] = &mut groups[..] else { unreachable!() };
        let again = |hers: &mut Group, his: &mut Group| {
            reload(&alice, hers);
            reload(&bob, his);
        };
        again(hers, his);
        say(hers, his);
        again(hers, his);
        say(his, hers);
        let skipped = hers.encrypt(b"skipped", b"1").unwrap();
        say(hers, his);
        again(hers, his);
        assert_eq!(his.decrypt(&skipped, b"1", her()).unwrap().content, b"skipped");
        again(hers, his);
        assert_eq!(his.decrypt(&skipped, b"1", her()), Err(Reason::Replayed));
        let (made, header, claim) = commit(hers, &Change::default());
        again(hers, his);
        assert!(hers.has_pending());
        hers.apply_pending().unwrap();
        his.receive_commit(&made.commit, &header, her(), &claim).unwrap();
        again(hers, his);
        say(hers, his);
        say(his, hers);
        assert_eq!(hers.epoch_authenticator().unwrap(), his.epoch_authenticator().unwrap());
    }
}

#[test]
fn what_is_not_a_stored_state_is_refused() {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let mut hers = alice.create(Suite::P256Aes128, group_id(), NOW).unwrap();
    hers.save().unwrap();
    let state = alice.take_changes().groups.remove(&group_id()).flatten().unwrap();
    for length in [0, 1, 3, 22, 23, state.len() / 2, state.len() - 1] {
        assert_eq!(alice.load(&state[..length]).err(), Some(Error::State), "{length}");
    }
    let mut later = state.clone();
    later[0] = 3;
    assert_eq!(alice.load(&later).err(), Some(Error::State), "of a later version");
    assert!(alice.load(&state).is_ok());
}

#[test]
fn secrets_do_not_show() {
    let cast = Cast::default();
    let (alice, bob) = (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
    let [mut hers, mut his] = pair(&alice, &bob);
    hers.save().unwrap();
    let message = hers.encrypt(b"hello", b"").unwrap();
    let key = SigningKey::generate::<AwsLc>(Suite::P256Aes128).unwrap();
    let message = his.decrypt(&message, b"", her()).unwrap();
    insta::assert_debug_snapshot!((hers.id(), &hers, alice.take_changes(), key, message));
}

#[test]
fn limits_are_refused_before_anything_is_made() {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let mut hers = alice.create(Suite::P256Aes128, group_id(), NOW).unwrap();
    let longest = vec![0; aside_mls::LARGEST_BUCKET - 1];
    assert!(hers.encrypt(&longest, b"").is_ok());
    assert_eq!(hers.encrypt(&vec![0; aside_mls::LARGEST_BUCKET], b""), Err(Error::TooLong));
    let keyless = Device::<AwsLc>::new(Vec::new(), Vec::new(), cast.judge(), []).unwrap();
    assert_eq!(keyless.key_package(Suite::P256Aes128, false, NOW), Err(Error::NoKey));
}

fn pair<P: Crypto>(alice: &Device<P>, bob: &Device<P>) -> [Group<P>; 2] {
    let groups = group_of(alice, &[bob], Suite::P256Aes128);
    groups.try_into().expect("two devices have two groups")
}
