//! Whom a group believes, whom it encrypts to, and what would lead it back.

#![allow(clippy::unwrap_used)] // Every function here is a test's.

mod support;

use aside_mls::{
    AwsLc, Change, ClaimedChange, Device, Error, Group, MAX_LEAVES, MAX_MISSING, Owner, Reason,
    Suite,
    testing::{Cast, owner},
};
use support::{
    Invitation, NOW, add, commit, group_id, group_of, her, him, join, members, rejoin, reload, say,
    talk,
};

const SUITE: Suite = Suite::P256Aes128;

// cites: MLS-027
#[test]
fn nothing_is_encrypted_to_who_is_not_approved_until_a_commit_removes_them() {
    let Play { cast, groups, .. } = Play::of(3);
    let [mut hers, mut his, mut carols] = <[Group; 3]>::try_from(groups).unwrap();
    let carol = owner(3, 3);
    cast.revoke(him());
    assert_eq!(hers.encrypt(b"for whom?", b""), Err(Error::NotApproved([him()].into())));
    assert_eq!(his.encrypt(b"still here?", b""), Err(Error::NotApproved([him()].into())));
    let refused = hers.commit(&Change::default(), b"", NOW);
    assert_eq!(refused, Err(Error::NotApproved([him()].into())));
    cast.revoke(carol);
    let one_of_two = Change { remove: [him()].into(), ..Change::default() };
    let refused = hers.commit(&one_of_two, b"", NOW);
    assert_eq!(refused, Err(Error::NotApproved([carol].into())));

    let both = Change { remove: [him(), carol].into(), ..Change::default() };
    let (made, header, claim) = commit(&mut hers, &both);
    hers.apply_pending().unwrap();
    assert!(hers.encrypt(b"for myself", b"").is_ok());
    assert!(carols.receive_commit(&made.commit, &header, her(), &claim).unwrap().removed_us);
}

// cites: MLS-010, MLS-015
#[test]
fn another_users_device_of_the_same_id_is_another() {
    let Play { cast, devices, groups } = Play::of(2);
    let [mut hers, mut his] = <[Group; 2]>::try_from(groups).unwrap();
    let same_id = cast.device::<AwsLc>(9, 2).unwrap();
    let key_package = same_id.key_package(SUITE, false, NOW).unwrap();
    let key_package = hers.key_package(&key_package).unwrap();
    let change = Change { add: vec![key_package.clone()], remove: [him()].into() };
    let (made, header, claim) = commit(&mut hers, &change);
    assert_eq!((&claim.added, &claim.removed), (&[owner(9, 2)].into(), &[him()].into()));
    let as_if_he_joined_again = ClaimedChange { added: [him()].into(), ..claim.clone() };
    let refused = his.receive_commit(&made.commit, &header, her(), &as_if_he_joined_again);
    assert_eq!(refused, Err(Reason::ClaimMismatch));
    hers.clear_pending();

    let change = Change { add: vec![key_package], ..Change::default() };
    let (made, header, claim) = commit(&mut hers, &change);
    his.receive_commit(&made.commit, &header, her(), &claim).unwrap();
    hers.apply_pending().unwrap();
    assert_eq!(members(&his), [her(), him(), owner(9, 2)]);
    // Who joins again removes its own leaf, not the other's.
    assert_eq!(rejoin(&devices[1], &hers).unwrap().claim().removed, [him()].into());
    assert_eq!(rejoin(&same_id, &hers).unwrap().claim().removed, [owner(9, 2)].into());
}

// cites: MLS-028, MLS-029
#[test]
fn a_header_names_the_sender_that_there_is() {
    let Play { groups, .. } = Play::of(3);
    let [mut hers, mut his, mut carols] = <[Group; 3]>::try_from(groups).unwrap();
    let message = hers.encrypt(b"hello", b"").unwrap();
    assert_eq!(his.decrypt(&message, b"", owner(3, 3)), Err(Reason::SenderMismatch));
    assert_eq!(his.decrypt(&message, b"", him()), Err(Reason::SenderMismatch));
    assert_eq!(his.decrypt(&message, b"", owner(3, 1)), Err(Reason::SenderMismatch));
    assert_eq!(his.decrypt(&message, b"", her()).unwrap().sender, her());

    // What comes from one's own leaf is one's own only if the header says so too.
    assert_eq!(hers.decrypt(&message, b"", her()), Err(Reason::Own));
    assert_eq!(hers.decrypt(&message, b"", him()), Err(Reason::Unauthentic));

    let (made, header, claim) = commit(&mut hers, &Change::default());
    let refused = carols.receive_commit(&made.commit, &header, him(), &claim);
    assert_eq!(refused, Err(Reason::SenderMismatch));
    carols.receive_commit(&made.commit, &header, her(), &claim).unwrap();
    hers.clear_pending();
    let refused = hers.receive_commit(&made.commit, &header, him(), &claim);
    assert_eq!(refused, Err(Reason::Unauthentic));
    let refused = hers.receive_commit(&made.commit, &header, her(), &claim);
    assert_eq!(refused, Err(Reason::Own));
}

// cites: MLS-016
#[test]
fn a_device_joins_again_when_all_key_packages_are_long_over() {
    const LONG_AGO: u64 = 1_000_000_000;
    let cast = Cast::default();
    let [alice, bob, carol] = [1, 2, 3].map(|n| cast.device::<AwsLc>(n, n).unwrap());
    let mut hers = alice.create(SUITE, group_id(), LONG_AGO).unwrap();
    let add = [&bob, &carol].map(|device| {
        let key_package = device.key_package(SUITE, false, LONG_AGO).unwrap();
        hers.key_package(&key_package).unwrap()
    });
    hers.commit(&Change { add: add.into(), ..Change::default() }, b"", LONG_AGO).unwrap();
    hers.apply_pending().unwrap();

    let rejoin = rejoin(&bob, &hers).unwrap();
    let claim = rejoin.claim().clone();
    let (his, made) = rejoin.commit(b"").unwrap();
    hers.receive_commit(&made.commit, b"", him(), &claim).unwrap();
    talk(&mut [hers, his]);
}

// cites: MLS-030, MLS-031
#[test]
fn an_old_welcome_or_group_info_does_not_lead_back() {
    let cast = Cast::default();
    let [alice, bob, carol] = [1, 2, 3].map(|n| cast.device::<AwsLc>(n, n).unwrap());
    let mut hers = alice.create(SUITE, group_id(), NOW).unwrap();
    let Invitation { by, welcome, commit: claim } =
        add(&mut hers, &[&bob.key_package(SUITE, true, NOW).unwrap()]);
    let join =
        |claim: &ClaimedChange, held| bob.join(&welcome, group_id(), (by, claim), held).err();
    let said = |epoch| ClaimedChange { epoch, ..claim.clone() };
    assert_eq!(join(&said(1), None), Some(Reason::StaleEpoch.into()));
    assert_eq!(join(&said(u64::MAX), None), Some(Reason::Invalid.into()));
    for held in [1, 2] {
        assert_eq!(join(&claim, Some(held)), Some(Reason::StaleEpoch.into()), "{held} is held");
    }
    let of_others = ClaimedChange { added: [owner(3, 3), owner(9, 2)].into(), ..claim.clone() };
    assert_eq!(join(&of_others, None), Some(Reason::ClaimMismatch.into()));
    assert_eq!(join(&claim, Some(0)), None);

    let group_info = hers.group_info().unwrap();
    let rejoin = |epoch, held| bob.rejoin(&group_info, group_id(), epoch, held).err();
    assert_eq!(rejoin(2, None), Some(Reason::StaleEpoch.into()));
    assert_eq!(rejoin(0, None), Some(Reason::FutureEpoch.into()));
    assert_eq!(rejoin(1, Some(2)), Some(Reason::StaleEpoch.into()));
    assert_eq!(rejoin(1, Some(1)), None, "it leads to the epoch after");

    // A Welcome for a commit that is yet to come, by the log's word.
    let later = add(&mut hers, &[&carol.key_package(SUITE, false, NOW).unwrap()]);
    let too_early = ClaimedChange { epoch: 0, ..later.commit.clone() };
    let refused = carol.join(&later.welcome, group_id(), (by, &too_early), None);
    assert_eq!(refused.err(), Some(Reason::FutureEpoch.into()));
}

// cites: MLS-038
#[test]
fn a_group_begins_with_those_who_are_said_to_be_in_it() {
    let cast = Cast::default();
    let [alice, bob, carol] = [1, 2, 3].map(|n| cast.device::<AwsLc>(n, n).unwrap());
    let mut hers = alice.create(SUITE, group_id(), NOW).unwrap();
    let key_packages = [&bob, &carol].map(|device| device.key_package(SUITE, true, NOW).unwrap());
    let Invitation { by, welcome, commit: claim } =
        add(&mut hers, &[&key_packages[0], &key_packages[1]]);
    let join = |added: &[Owner]| {
        let added = added.iter().copied().collect();
        let claim = ClaimedChange { added, ..claim.clone() };
        bob.join(&welcome, group_id(), (by, &claim), None).err()
    };
    let mismatch = Some(Reason::ClaimMismatch.into());
    assert_eq!(join(&[him()]), mismatch, "Carol reads along");
    assert_eq!(join(&[him(), owner(3, 3), owner(4, 4)]), mismatch);
    assert_eq!(join(&[him(), owner(3, 3), her()]), mismatch, "who made it adds herself to nothing");
    let of_carol = bob.join(&welcome, group_id(), (owner(3, 3), &claim), None).err();
    assert_eq!(
        of_carol,
        Some(Reason::SenderMismatch.into()),
        "another made it than the entry says"
    );
    assert_eq!(join(&[him(), owner(3, 3)]), None);
}

// cites: MLS-026
#[test]
fn who_is_not_approved_does_not_invite() {
    let cast = Cast::default();
    let [alice, bob] = [1, 2].map(|n| cast.device::<AwsLc>(n, n).unwrap());
    let mut hers = alice.create(SUITE, group_id(), NOW).unwrap();
    let invitation = add(&mut hers, &[&bob.key_package(SUITE, true, NOW).unwrap()]);
    assert!(join(&bob, &invitation).is_ok() && rejoin(&bob, &hers).is_ok());
    cast.revoke(her());
    let refused = Some(Error::Refused(Reason::CredentialRefused));
    assert_eq!(join(&bob, &invitation).err(), refused);
    assert_eq!(rejoin(&bob, &hers).err(), refused);
}

// cites: MLS-032
#[test]
fn the_fork_check_is_one_for_a_state_of_the_group() {
    let Play { mut groups, .. } = Play::of(2);
    let exported = groups[0].export(b"aside/1 fork-check", b"", 32).unwrap();
    let before = groups[0].fork_check().unwrap();
    assert_eq!((&before[..], groups[1].fork_check()), (&exported[..], Ok(before)));

    // Of two commits of one epoch, each follows its own.
    let made = commit(&mut groups[0], &Change::default());
    commit(&mut groups[1], &Change::default());
    groups.iter_mut().for_each(|group| drop(group.apply_pending().unwrap()));
    let [hers, his] = [0, 1].map(|n| groups[n].fork_check().unwrap());
    assert_eq!(groups[0].epoch(), groups[1].epoch());
    assert!(hers != his && hers != before, "{made:?}");
}

// cites: MLS-033
#[test]
fn of_one_sender_no_more_than_a_thousand_messages_are_missing() {
    const HALF: usize = MAX_MISSING as usize / 2;
    let Play { devices, groups, .. } = Play::of(2);
    let [mut hers, mut his] = <[Group; 2]>::try_from(groups).unwrap();
    let sent: Vec<_> = (0..2 * HALF + 4).map(|_| hers.encrypt(b"", b"").unwrap()).collect();
    his.decrypt(&sent[HALF], b"", her()).unwrap();
    reload(&devices[1], &mut his);
    his.decrypt(&sent[2 * HALF + 1], b"", her()).unwrap();
    // No step is long, but these are 1024 in all, and the next makes them 1025.
    assert_eq!(his.decrypt(&sent[2 * HALF + 3], b"", her()), Err(Reason::TooFarAhead));
    reload(&devices[1], &mut his);
    assert_eq!(his.decrypt(&sent[2 * HALF + 3], b"", her()), Err(Reason::TooFarAhead));
    his.decrypt(&sent[0], b"", her()).unwrap();
    his.decrypt(&sent[2 * HALF + 3], b"", her()).unwrap();

    // Each epoch and each sender is counted by itself.
    let (made, header, claim) = commit(&mut hers, &Change::default());
    hers.apply_pending().unwrap();
    his.receive_commit(&made.commit, &header, her(), &claim).unwrap();
    let sent: Vec<_> = (0..2 * HALF + 3).map(|_| hers.encrypt(b"", b"").unwrap()).collect();
    his.decrypt(&sent[2 * HALF], b"", her()).unwrap();
    assert_eq!(his.decrypt(&sent[2 * HALF + 2], b"", her()), Err(Reason::TooFarAhead));
    say(&mut his, &mut hers);
}

// cites: MLS-034
#[test]
fn no_more_are_added_than_a_tree_has_leaves() {
    let Play { cast, groups, .. } = Play::of(2);
    let [mut hers, _] = <[Group; 2]>::try_from(groups).unwrap();
    let carol = cast.device::<AwsLc>(3, 3).unwrap();
    let key_package = hers.key_package(&carol.key_package(SUITE, false, NOW).unwrap()).unwrap();
    let change = |count, remove: &[_]| Change {
        add: vec![key_package.clone(); count],
        remove: remove.iter().copied().collect(),
    };
    let most = MAX_LEAVES as usize;
    let refused = |refused| Err(Error::Refused(refused));
    assert_eq!(hers.commit(&change(most - 1, &[]), b"", NOW), refused(Reason::TooLarge));
    assert_eq!(hers.commit(&change(most, &[him()]), b"", NOW), refused(Reason::TooLarge));
    assert!(hers.commit(&change(1, &[him()]), b"", NOW).is_ok());
}

// cites: MLS-036
#[test]
fn who_is_removed_waits_for_the_others_word() {
    for taken in [true, false] {
        let Play { devices, groups, .. } = Play::of(3);
        let [mut hers, mut his, mut carols] = <[Group; 3]>::try_from(groups).unwrap();
        let before = hers.encrypt(b"before", b"1").unwrap();
        let change = Change { remove: [him()].into(), ..Change::default() };
        let (made, header, claim) = commit(&mut hers, &change);
        assert_eq!(his.confirm_removal(), Err(Error::NotRemoved));
        assert!(his.receive_commit(&made.commit, &header, her(), &claim).unwrap().removed_us);
        assert_eq!(his.decrypt(&before, b"1", her()), Err(Reason::NotAMember));
        reload(&devices[1], &mut his);
        assert_eq!(his.encrypt(b"?", b"2"), Err(Error::NotAMember));
        match taken {
            true => {
                hers.apply_pending().unwrap();
                his.confirm_removal().unwrap();
                his.save().unwrap();
                let state = devices[1].take_changes().groups.remove(&his.id());
                assert_eq!(state, Some(None), "its state is deleted");
                assert_eq!(his.reject_removal(), Err(Error::NotRemoved));
                assert_eq!(his.encrypt(b"?", b"2"), Err(Error::NotAMember));
            }
            false => {
                hers.clear_pending();
                his.reject_removal().unwrap();
                assert_eq!(his.reject_removal(), Err(Error::NotRemoved));
                reload(&devices[1], &mut his);
                assert_eq!(his.decrypt(&before, b"1", her()).unwrap().content, b"before");
                carols.decrypt(&before, b"1", her()).unwrap();
                talk(&mut [hers, his, carols]);
            }
        }
    }
}

#[test]
fn key_packages_that_only_collide_with_each_other_are_named() {
    let Play { cast, groups, .. } = Play::of(2);
    let [mut hers, mut his] = <[Group; 2]>::try_from(groups).unwrap();
    let key_package = |user, device| {
        let device = cast.device::<AwsLc>(user, device).unwrap();
        let [first, second] = [0; 2].map(|_| device.key_package(SUITE, false, NOW).unwrap());
        [first, second].map(|bytes| hers.key_package(&bytes).unwrap())
    };
    let ([carol, carol_again], [dave, _]) = (key_package(3, 3), key_package(4, 4));
    // Bob's new one is good, as his old leaf goes.
    let [bob, _] = key_package(2, 2);
    let add = vec![carol, bob, carol_again, dave];
    let mut change = Change { add, remove: [him()].into() };
    let refused = hers.commit(&change, b"", NOW);
    assert_eq!(refused, Err(Error::KeyPackages(vec![(2, Reason::Invalid)])));
    change.add.remove(2);
    let (made, header, claim) = commit(&mut hers, &change);
    assert!(his.receive_commit(&made.commit, &header, her(), &claim).unwrap().removed_us);
    hers.apply_pending().unwrap();
    assert_eq!(members(&hers).len(), 4);
}

/// A group of this many users with a device each, as each has it.
struct Play {
    cast: Cast,
    devices: Vec<Device>,
    groups: Vec<Group>,
}

impl Play {
    fn of(count: u16) -> Self {
        let cast = Cast::default();
        let devices: Vec<_> = (1..=count).map(|n| cast.device::<AwsLc>(n, n).unwrap()).collect();
        let others: Vec<_> = devices[1..].iter().collect();
        let groups = group_of(&devices[0], &others, SUITE);
        Self { cast, devices, groups }
    }
}
