//! What accounts let others see.

use super::{Actor, Lab, Must as _, list};
use crate::{Effect, PresenceSettings, SetPresence};

list![
    what_is_set_is_told_once_and_outlives_the_process,
    an_attachment_says_what_its_user_has_set,
    private_watermarks_are_the_users_own,
    a_mark_in_the_batch_of_a_setting_follows_it,
];

fn settings(hidden: bool, status_text: &str, private_receipts: bool) -> PresenceSettings {
    PresenceSettings { hidden, status_text: status_text.to_owned(), private_receipts }
}

fn setting(who: Actor, settings: PresenceSettings) -> SetPresence {
    SetPresence { user: who.user, device: who.device, attachment: 7, settings }
}

// cites: PRES-001, PRES-004
async fn what_is_set_is_told_once_and_outlives_the_process(lab: Lab) {
    let alice = lab.register("alice").await;
    lab.effects();
    for settings in [settings(false, "away", false), settings(true, "", true)] {
        for told in [true, false] {
            lab.store.set_presence(setting(alice, settings.clone())).await.must();
            let settings = settings.clone();
            let effect = Effect::PresenceSet { user: alice.user, attachment: 7, settings };
            assert_eq!(lab.effects(), if told { vec![effect] } else { Vec::new() });
        }
    }
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    lab.store.set_presence(setting(alice, settings(true, "", true))).await.must();
    assert_eq!(lab.effects(), [], "it is as it was");
}

// cites: PRES-001
async fn an_attachment_says_what_its_user_has_set(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    lab.store.set_presence(setting(alice, settings(true, "here", false))).await.must();
    lab.effects();
    for (who, expected) in
        [(alice, settings(true, "here", false)), (bob, settings(false, "", false))]
    {
        lab.store.attach(who.user, who.device, 1).await.must();
        let effects = lab.effects();
        let [Effect::Attached { settings, .. }] = &effects[..] else {
            unreachable!("one attachment, not {effects:?}")
        };
        assert_eq!(*settings, expected);
    }
}

// cites: PRES-016, PRES-017
async fn private_watermarks_are_the_users_own(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    lab.join(bob, room).await;
    let told = async |head: u64| {
        lab.send(alice, room, "news").await;
        lab.effects();
        assert_eq!(lab.mark(bob, room, (head, head)).await, (head, head));
        let effects = lab.effects();
        let [Effect::WatermarkMoved { to_members, .. }] = effects[..] else {
            unreachable!("one move, not {effects:?}")
        };
        let seen = lab.watermarks(alice, room).await;
        assert_eq!(seen.len(), 1 + usize::from(to_members), "{seen:?}");
        assert_eq!(lab.watermarks(bob, room).await.len(), 2);
        to_members
    };
    assert!(told(4).await);
    lab.store.set_presence(setting(bob, settings(false, "", true))).await.must();
    assert!(!told(5).await);
    lab.store.set_presence(setting(bob, settings(false, "", false))).await.must();
    assert!(told(6).await);
}

// cites: PRES-016
async fn a_mark_in_the_batch_of_a_setting_follows_it(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "three").await;
    lab.send(alice, room, "four").await;
    lab.effects();
    let (before, set, after) = (
        lab.store.mark(lab.marking(alice, room, (3, 3))),
        lab.store.set_presence(setting(alice, settings(false, "", true))),
        lab.store.mark(lab.marking(alice, room, (4, 4))),
    );
    before.await.must();
    set.await.must();
    after.await.must();
    let told: Vec<_> = lab
        .effects()
        .iter()
        .filter_map(|effect| match effect {
            Effect::WatermarkMoved { read_seq, to_members, .. } => Some((*read_seq, *to_members)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(3, true), (4, false)]);
}
