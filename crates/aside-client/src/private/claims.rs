//! KeyPackages of others: claimed, held against device logs, and used.

use std::collections::BTreeSet;

use aside_crypto::Certificate;
use aside_mls::{Change, Group, KeyPackage, Owner, Reason, Suite};
use aside_proto::{
    id::{DeviceId, UserId},
    v1::{self, client_frame::Body},
};
use bytes::Bytes;

use super::{
    conversation::{Context, Conversation, Hand, Request, Step},
    event::{Event, Goal, GoalError},
    intake::Hold,
};

/// How long to wait before it is asked again whether somebody has a device by now.
const ASK_AGAIN_MS: u64 = 10_000;

/// KeyPackages that were too old, after which no others are claimed.
const MAX_EXPIRED: usize = 128;

impl Conversation {
    /// What is made of KeyPackages, without those that this group refuses; and whose they are.
    pub(super) fn change(
        &mut self,
        cx: &mut Context<'_>,
        group: &Group,
        packages: Vec<(Owner, Bytes)>,
        remove: BTreeSet<Owner>,
    ) -> (Change, Vec<Owner>) {
        let mut change = Change { add: Vec::new(), remove };
        for (owner, bytes) in packages {
            match group.key_package(&bytes) {
                Ok(package) if package.owner() == owner => change.add.push(package),
                Ok(_) => self.leave_out(cx, owner, Reason::CredentialRefused),
                Err(reason) => self.leave_out(cx, owner, reason),
            }
        }
        let leaves = change.add.iter().map(KeyPackage::owner).collect();
        (change, leaves)
    }

    /// A KeyPackage that can't be used. Of a device that nobody approved the user is told: perhaps the server made it up.
    pub(super) fn leave_out(&mut self, cx: &mut Context<'_>, owner: Owner, reason: Reason) {
        self.drop_package(owner, reason);
        if reason == Reason::CredentialRefused
            && !cx.logs.approves(owner)
            && self.hand.left_out.insert(owner)
        {
            cx.tell(self.id, Event::DeviceLeftOut { device: owner });
        }
    }

    pub(super) fn drop_package(&mut self, owner: Owner, reason: Reason) {
        self.hand.packages.remove(&owner);
        if reason == Reason::Expired && self.hand.expired < MAX_EXPIRED {
            // The oldest come first: the next may do.
            self.hand.expired += 1;
            self.hand.ask_again_for(owner.user);
            return;
        }
        self.hand.refused.insert(owner, reason);
    }

    /// A claim for those that were not asked for yet.
    pub(super) fn claim(
        &mut self,
        cx: &mut Context<'_>,
        suite: Suite,
        targets: impl Iterator<Item = (UserId, Option<DeviceId>)>,
    ) -> Option<Request> {
        let missing: Vec<_> = targets
            .filter(|target| !self.hand.asked.contains_key(target))
            .take(cx.limits.max_page_items.max(1) as usize)
            .collect();
        if missing.is_empty() {
            return None;
        }
        let targets = missing.iter().map(|(user, device)| v1::ClaimTarget {
            user_id: user.to_bytes(),
            device_id: device.map(DeviceId::to_bytes).unwrap_or_default(),
        });
        let claim =
            v1::ClaimKeyPackages { suite: suite.number().into(), targets: targets.collect() };
        Some(Request {
            step: Step::Claim,
            key: Some(cx.idempotency_key()),
            body: Body::ClaimKeyPackages(claim),
        })
    }

    /// Of a group that begins with the devices of these users: what this device's user prefers, if all of them have a key for it.
    pub(super) fn suite_for(
        &self,
        cx: &Context<'_>,
        users: &BTreeSet<UserId>,
    ) -> Result<Suite, Hold> {
        if cx.preferred == Suite::P256Aes128 {
            return Ok(cx.preferred);
        }
        self.need_logs(cx, users.iter().copied())?;
        let number = cx.preferred.number();
        let has_key =
            |device: &Certificate| device.mls_keys().iter().any(|key| key.suite == number);
        let have_keys = |user: &UserId| cx.logs.with(*user, |log| log.active().all(has_key));
        let all = users.iter().all(|user| have_keys(user) == Some(true));
        Ok(if all { cx.preferred } else { Suite::P256Aes128 })
    }

    /// Of the group that is, or whose place another is to take.
    pub(super) fn suite(&self) -> Suite {
        let group = self.group.as_ref().map(Group::suite);
        group.or(self.roster.suite).unwrap_or(Suite::P256Aes128)
    }

    /// KeyPackages that were claimed, of devices that are wanted and no leaves yet, once their users' logs are there.
    pub(super) fn usable(
        &mut self,
        cx: &Context<'_>,
        leaves: Option<&BTreeSet<Owner>>,
        wanted: impl Fn(&Owner) -> bool,
    ) -> Result<Vec<(Owner, Bytes)>, Hold> {
        let is_leaf = |owner: &Owner| leaves.is_some_and(|leaves| leaves.contains(owner));
        let usable: Vec<_> = self
            .hand
            .packages
            .iter()
            .filter(|(owner, _)| wanted(owner) && !is_leaf(owner) && **owner != cx.me)
            .map(|(owner, package)| (*owner, package.clone()))
            .collect();
        self.need_logs(cx, usable.iter().map(|(owner, _)| owner.user))?;
        // A log that is behind does not know the newest device, which the server says is approved.
        let unknown = usable.iter().filter(|(owner, _)| !cx.logs.approves(*owner));
        self.refresh_logs(unknown.map(|(owner, _)| owner.user))?;
        Ok(usable)
    }

    /// Says of those who were to be added and can't be that they can't.
    pub(super) fn give_up_on(&mut self, cx: &mut Context<'_>, is_coming: impl Fn(UserId) -> bool) {
        for user in self.added_users().collect::<Vec<_>>() {
            if is_coming(user) {
                continue;
            }
            let why = self.hand.asked.get(&(user, None)).copied().flatten();
            let refused = self.hand.refused.iter().find(|(owner, _)| owner.user == user);
            let error = match (why, refused) {
                (Some(why), _) => GoalError::NoDevice(why),
                (None, Some((_, reason))) => GoalError::Device(*reason),
                (None, None) => continue,
            };
            let goal = Goal::Add(user);
            self.goals.remove(&goal);
            self.is_dirty = true;
            cx.tell(self.id, Event::Done { goal, outcome: Err(error) });
        }
    }

    pub(super) fn tell_waiting(&mut self, cx: &mut Context<'_>, users: &BTreeSet<UserId>) {
        self.ask_at_ms.get_or_insert(cx.now_ms + ASK_AGAIN_MS);
        let me = cx.me.user;
        for user in users.iter().filter(|user| **user != me) {
            if let Some(Some(why)) = self.hand.asked.get(&(*user, None))
                && self.hand.told.insert(*user)
            {
                cx.tell(self.id, Event::Waiting { user: *user, why: *why });
            }
        }
    }

    /// What claims say is forgotten where it may be otherwise by now.
    pub(super) fn ask_again_for(&mut self, user: UserId) {
        self.hand.ask_again_for(user);
        self.hand.refused.retain(|owner, _| owner.user != user);
    }

    /// KeyPackages were claimed.
    pub(super) fn claimed(
        &mut self,
        request: &v1::ClaimKeyPackages,
        reply: v1::KeyPackagesClaimed,
    ) {
        let Hand { packages, asked, .. } = &mut self.hand;
        for target in &request.targets {
            let Ok(user) = UserId::try_from(&target.user_id[..]) else { continue };
            let device = DeviceId::try_from(&target.device_id[..]).ok();
            asked.insert((user, device), None);
        }
        for claimed in reply.claimed {
            let Ok(user) = UserId::try_from(&claimed.user_id[..]) else { continue };
            let device = DeviceId::try_from(&claimed.device_id[..]).ok();
            match device.filter(|_| !claimed.key_package.is_empty()) {
                Some(device) => {
                    // A log that was fetched before may not know it.
                    self.refreshed.remove(&user);
                    packages.insert(Owner { user, device }, claimed.key_package);
                }
                None => {
                    let has_one = packages.keys().any(|owner| owner.user == user);
                    for (_, why) in asked.iter_mut().filter(|((of, it), _)| {
                        *of == user && (*it == device || (it.is_none() && !has_one))
                    }) {
                        *why = Some(claimed.reason());
                    }
                }
            }
        }
    }
}
