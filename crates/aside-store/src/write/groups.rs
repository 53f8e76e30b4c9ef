//! MLS groups as the delivery service sees them: an order of epochs, leaves, Welcomes. What is MLS in it nobody here reads.
//!
//! ```text
//!              EstablishGroup                 SubmitCommit, at the present epoch
//!  no group ───────────────────► (1, 1) ─────────────────────────────────────────► (1, 2) ──► …
//!                                  ▲                                                 │
//!                    (2, 1) ◄──────┴──── EstablishGroup, after RejectCommit ─────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use aside_proto::{
    id::{IdempotencyKey, UserId},
    private::{Change, Epoch, Leaf},
    v1,
};
use bytes::Bytes;

use super::{
    Context, Who,
    entries::{Draft, Head, Place, Sealed},
    inbox::{Arrival, covers},
};
use crate::{
    db::{Columns as _, LOOK_UP_EACH, signed},
    effect::Effect,
    error::{Refused, Stop},
    private::{self, Membership, Seated},
    recall::Kind,
    request::{EstablishGroup, SubmitCommit},
    sql::{Listing, MAX_LENGTH, numbered_rows, rows},
};

/// Those of some devices that are approved, with their surrogate keys.
pub(crate) static APPROVED: Listing = Listing::new(|count| {
    format!(
        "WITH w (i, device_id, user_id) AS (VALUES {rows})
         SELECT w.i, d.id FROM w
         {each} devices d ON d.device_id = w.device_id AND d.user_id = w.user_id AND d.revoked_ms IS NULL
         JOIN approvals a ON a.device = d.id",
        rows = numbered_rows(count, 2),
        each = LOOK_UP_EACH,
    )
});
static INSERT_LEAVES: Listing = Listing::new(|count| {
    format!("INSERT INTO leaves (conversation, device) VALUES {}", rows(count, 2))
});
/// A leaf that is to be, with its device's surrogate key.
type New = (Leaf, i64);

impl Context<'_> {
    /// DS-001 to DS-005, DS-016, DS-017, DS-021 to DS-024.
    pub(crate) async fn establish_group(
        &mut self,
        establish: &EstablishGroup,
    ) -> Result<v1::GroupEstablished, Stop> {
        let who = self.who(establish.user, establish.device).await?;
        if let Some(reply) = self.recall(&who, establish.key, Kind::EstablishGroup).await? {
            return Ok(reply);
        }
        let plan = &establish.plan;
        let membership = self.private_membership(plan.conversation, &who).await?;
        let Membership { place, at, .. } = membership;
        let mut head = self.head(place).await?;
        if plan.generation != at.generation + 1 || plan.head_seq != head.seq {
            return Err(Refused::WrongEpoch { at, head_seq: head.seq }.into());
        }
        let seated = private::leaves(&mut *self.connection, place).await?;
        self.judge_establishment(&who, &membership, plan, &seated).await?;
        self.check_leaves(plan.leaves.len())?;
        covers(&establish.welcomes, plan.leaves.iter().filter(|l| l.device != who.device))?;
        let new = self.approved(&plan.leaves).await?;

        let epoch = Epoch { generation: plan.generation, epoch: 1 };
        let arrival = Arrival { place, epoch, seq: head.seq + 1 };
        self.replace_group(arrival, plan.suite, &establish.group_info).await?;
        self.join_users(&who, arrival, &new).await?;
        self.insert_leaves(place, &new).await?;
        let entry = (v1::EntryKind::GroupEstablished, establish.salt, &establish.header);
        let sealed = self.seal_client(place, &mut head, &who, establish.key, entry);
        self.flush().await?;
        for Seated { leaf, .. } in seated.iter().filter(|old| !plan.leaves.contains(&old.leaf)) {
            self.effects.push(Effect::LeafRemoved { device: leaf.device, conversation: place.id });
        }
        self.welcome(arrival, &establish.welcomes).await?;
        if let Some(culprit) = plan.culprit
            && membership.kind == v1::ConversationKind::Group
            && membership.role == v1::Role::Owner
            && plan.leaves.iter().all(|leaf| leaf.user != culprit.user)
        {
            self.put_out(place, culprit.user).await?;
        }
        let reply = v1::GroupEstablished {
            seq: sealed.seq,
            time_ms: sealed.time_ms,
            payload_hash: Bytes::copy_from_slice(&sealed.payload_hash),
            generation: epoch.generation,
        };
        self.remember(&who, establish.key, Kind::EstablishGroup, &reply).await?;
        Ok(reply)
    }

    /// DS-010 to DS-019.
    pub(crate) async fn submit_commit(
        &mut self,
        submit: &SubmitCommit,
    ) -> Result<v1::Committed, Stop> {
        let who = self.who(submit.user, submit.device).await?;
        if let Some(reply) = self.recall(&who, submit.key, Kind::SubmitCommit).await? {
            return Ok(reply);
        }
        let plan = &submit.plan;
        let membership = self.private_membership(plan.conversation, &who).await?;
        let Membership { place, at, kind, .. } = membership;
        let mut head = self.head(place).await?;
        if plan.base != at || at.generation == 0 {
            return Err(Refused::WrongEpoch { at, head_seq: head.seq }.into());
        }
        let seated = private::leaves(&mut *self.connection, place).await?;
        check_sender(&who, &membership, plan, &seated)?;
        check_pending(plan, &seated)?;
        check_roster(&who, plan, &seated)?;
        self.check_permitted(&who, &membership, plan, &seated).await?;
        self.check_leaves(seated.len() + plan.added.len() - plan.removed.len())?;
        let welcomed = plan.added.iter().filter(|_| !plan.is_external);
        covers(&submit.welcomes, welcomed)?;
        let new = self.approved(&plan.added).await?;

        let epoch = Epoch { epoch: at.epoch + 1, ..at };
        let arrival = Arrival { place, epoch, seq: head.seq + 1 };
        self.delete_leaves(place, plan, &seated).await?;
        self.join_users(&who, arrival, &new).await?;
        self.insert_leaves(place, &new).await?;
        self.advance(place, epoch, &submit.group_info).await?;
        let entry = (v1::EntryKind::Commit, submit.salt, &submit.payload);
        let sealed = self.seal_client(place, &mut head, &who, submit.key, entry);
        for leaf in plan.removed.iter().filter(|leaf| !plan.added.contains(leaf)) {
            self.effects.push(Effect::LeafRemoved { device: leaf.device, conversation: place.id });
        }
        self.welcome(arrival, &submit.welcomes).await?;
        if kind == v1::ConversationKind::Group {
            for user in bereft(plan, &seated) {
                self.put_out(place, user).await?;
            }
            self.pass_ownership(&who, submit.key, place, &mut head).await?;
        }
        self.flush().await?;
        let reply = v1::Committed {
            seq: sealed.seq,
            time_ms: sealed.time_ms,
            payload_hash: Bytes::copy_from_slice(&sealed.payload_hash),
            generation: epoch.generation,
            epoch: epoch.epoch,
        };
        self.remember(&who, submit.key, Kind::SubmitCommit, &reply).await?;
        Ok(reply)
    }

    /// PRIV-016: a user is a member no longer, since somebody removed its last leaf.
    async fn put_out(&mut self, place: Place, user: UserId) -> Result<(), sqlx::Error> {
        let members = self.end_membership(place, user).await?;
        self.effects.push(Effect::Left { user, conversation: place.id, members });
        Ok(())
    }

    /// PRIV-015: whose leaves may come and go by whom.
    async fn check_permitted(
        &mut self,
        who: &Who,
        membership: &Membership,
        plan: &Change,
        seated: &[Seated],
    ) -> Result<(), Stop> {
        let may_remove = |seat: &Seated| {
            let outranks = match (membership.kind, membership.role) {
                (v1::ConversationKind::Group, v1::Role::Owner) => true,
                (v1::ConversationKind::Group, v1::Role::Admin) => {
                    matches!(seat.role, None | Some(v1::Role::Member))
                }
                _ => false,
            };
            seat.is_pending || seat.leaf.user == who.user || outranks
        };
        let removed = seated.iter().filter(|seat| plan.removed.contains(&seat.leaf));
        if !removed.into_iter().all(may_remove) {
            return Err(Refused::NotPermitted.into());
        }
        self.check_may_add(who, membership, &plan.added).await
    }

    pub(super) async fn check_may_add(
        &mut self,
        who: &Who,
        membership: &Membership,
        leaves: &[Leaf],
    ) -> Result<(), Stop> {
        let others: BTreeSet<_> =
            leaves.iter().map(|leaf| leaf.user).filter(|user| *user != who.user).collect();
        let may = match membership.kind {
            v1::ConversationKind::Direct => {
                let mut may = true;
                for user in others {
                    may &= self.role_of(membership.place, user).await?.is_some();
                }
                may
            }
            _ => others.is_empty() || matches!(membership.role, v1::Role::Owner | v1::Role::Admin),
        };
        if may { Ok(()) } else { Err(Refused::NotPermitted.into()) }
    }

    fn check_leaves(&self, count: usize) -> Result<(), Stop> {
        let most = self.surroundings.limits.max_leaves as usize;
        if count > most { Err(Refused::TooManyLeaves.into()) } else { Ok(()) }
    }

    /// DS-014: these leaves with their devices' surrogate keys, if all are approved.
    async fn approved(&mut self, leaves: &[Leaf]) -> Result<Vec<New>, Stop> {
        let mut keys = vec![None; leaves.len()];
        for (leaves, keys) in leaves.chunks(MAX_LENGTH).zip(keys.chunks_mut(MAX_LENGTH)) {
            let (sql, length) = APPROVED.at_least(leaves.len());
            let mut query = sqlx::query(sql);
            for index in 0..length {
                let leaf = leaves.get(index);
                query = query
                    .bind(leaf.map(|leaf| leaf.device.as_bytes().as_slice()))
                    .bind(leaf.map(|leaf| leaf.user.as_bytes().as_slice()));
            }
            for row in query.fetch_all(&mut *self.connection).await? {
                keys[row.number(0)? as usize] = Some(row.key(1)?);
            }
        }
        let known = leaves.iter().zip(&keys);
        let devices: Vec<Leaf> =
            known.filter(|(_, key)| key.is_none()).map(|(leaf, _)| *leaf).collect();
        if !devices.is_empty() {
            return Err(Refused::DeviceNotApproved { devices }.into());
        }
        Ok(leaves.iter().copied().zip(keys.into_iter().flatten()).collect())
    }

    /// Makes members of the users whose leaves come, if they are none: in a GROUP only (PRIV-015).
    async fn join_users(&mut self, who: &Who, arrival: Arrival, new: &[New]) -> Result<(), Stop> {
        let users: BTreeSet<_> = new.iter().map(|(leaf, _)| leaf.user).collect();
        let mut newcomers = Vec::new();
        for user in users {
            if self.role_of(arrival.place, user).await?.is_none() {
                self.check_group_count(user, i64::MAX).await?;
                newcomers.push(user);
            }
        }
        if !newcomers.is_empty() {
            self.count_newcomers(who, newcomers.len())?;
        }
        for user in newcomers {
            self.begin_membership(arrival.place, user, v1::Role::Member, arrival.seq).await?;
        }
        Ok(())
    }

    async fn insert_leaves(&mut self, place: Place, new: &[New]) -> Result<(), sqlx::Error> {
        let mut rest = new;
        while !rest.is_empty() {
            let (sql, length) = INSERT_LEAVES.at_most(rest.len());
            let (now, after) = rest.split_at(length);
            let mut query = sqlx::query(sql);
            for (_, device) in now {
                query = query.bind(place.key).bind(*device);
            }
            query.execute(&mut *self.connection).await?;
            rest = after;
        }
        let members = self.count_members(place, 0).await?;
        for (leaf, _) in new {
            let (device, conversation) = (leaf.device, place.id);
            self.effects.push(Effect::LeafAdded { device, conversation, members });
        }
        Ok(())
    }

    async fn delete_leaves(
        &mut self,
        place: Place,
        plan: &Change,
        seated: &[Seated],
    ) -> Result<(), sqlx::Error> {
        for seat in seated.iter().filter(|seat| plan.removed.contains(&seat.leaf)) {
            for sql in [
                "DELETE FROM leaves WHERE conversation = ? AND device = ?",
                "DELETE FROM fork_checks WHERE conversation = ? AND device = ?",
            ] {
                sqlx::query(sql)
                    .bind(place.key)
                    .bind(seat.key)
                    .execute(&mut *self.connection)
                    .await?;
            }
        }
        Ok(())
    }

    /// Puts a new group in the place of the one that is, if there is one.
    async fn replace_group(
        &mut self,
        arrival: Arrival,
        suite: u16,
        group_info: &Bytes,
    ) -> Result<(), sqlx::Error> {
        let key = arrival.place.key;
        for sql in [
            "DELETE FROM leaves WHERE conversation = ?",
            "DELETE FROM rejections WHERE conversation = ?",
            "DELETE FROM fork_checks WHERE conversation = ?",
            "DELETE FROM groups WHERE conversation = ?",
        ] {
            sqlx::query(sql).bind(key).execute(&mut *self.connection).await?;
        }
        sqlx::query(
            "INSERT INTO groups (conversation, generation, epoch, suite, since_seq, group_info)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(key)
        .bind(signed(arrival.epoch.generation))
        .bind(signed(arrival.epoch.epoch))
        .bind(i64::from(suite))
        .bind(signed(arrival.seq))
        .bind(&group_info[..])
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn advance(
        &mut self,
        place: Place,
        epoch: Epoch,
        group_info: &Bytes,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE groups SET epoch = ?, group_info = ? WHERE conversation = ?")
            .bind(signed(epoch.epoch))
            .bind(&group_info[..])
            .bind(place.key)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// Makes an entry whose payload and salt are the client's.
    fn seal_client(
        &mut self,
        place: Place,
        head: &mut Head,
        who: &Who,
        key: IdempotencyKey,
        (kind, salt, payload): (v1::EntryKind, [u8; 32], &Bytes),
    ) -> Sealed {
        let origin = Some(who.origin(key));
        let payload = payload.clone();
        self.seal(place, head, Draft { kind, origin, salt, payload, signature: Bytes::new() })
    }
}

/// DS-012, DS-018, DS-034: a leaf commits; by an external commit a device comes that is none, or that was one, of a user who has one.
fn check_sender(
    who: &Who,
    membership: &Membership,
    plan: &Change,
    seated: &[Seated],
) -> Result<(), Refused> {
    if !plan.is_external {
        return if membership.is_leaf { Ok(()) } else { Err(Refused::NotInGroup) };
    }
    let own = Leaf { user: who.user, device: who.device };
    let old: Vec<Leaf> = seated.iter().map(|seat| seat.leaf).filter(|leaf| *leaf == own).collect();
    let has_leaf = seated.iter().any(|seat| seat.leaf.user == who.user);
    let holds = has_leaf && plan.added == [own] && plan.removed == old;
    if holds { Ok(()) } else { Err(Refused::RosterMismatch) }
}

/// DS-013. By an external commit nobody can remove others.
fn check_pending(plan: &Change, seated: &[Seated]) -> Result<(), Refused> {
    let pending = || seated.iter().filter(|seat| seat.is_pending);
    if plan.is_external || pending().all(|seat| plan.removed.contains(&seat.leaf)) {
        return Ok(());
    }
    Err(Refused::RemovalPending { devices: pending().map(|seat| seat.leaf).collect() })
}

/// DS-015: what is removed is there, what is added is not, and nobody removes its own leaf but to come back.
fn check_roster(who: &Who, plan: &Change, seated: &[Seated]) -> Result<(), Refused> {
    let there: BTreeSet<Leaf> = seated.iter().map(|seat| seat.leaf).collect();
    let removed: BTreeSet<Leaf> = plan.removed.iter().copied().collect();
    let is_own = |leaf: &Leaf| leaf.device == who.device;
    let holds = removed.is_subset(&there)
        && plan
            .added
            .iter()
            .all(|leaf| !there.contains(leaf) || plan.is_external && removed.contains(leaf))
        && (plan.is_external || !plan.removed.iter().any(is_own));
    if holds { Ok(()) } else { Err(Refused::RosterMismatch) }
}

/// PRIV-016: the members of whom the commit removed a leaf that was not cut off before, and who have none left.
fn bereft(plan: &Change, seated: &[Seated]) -> Vec<UserId> {
    let mut users: BTreeMap<_, (bool, bool)> = BTreeMap::new();
    for seat in seated.iter().filter(|seat| seat.role.is_some()) {
        let (lost, kept) = users.entry(seat.leaf.user).or_default();
        let is_removed = plan.removed.contains(&seat.leaf);
        *lost |= is_removed && !seat.is_pending;
        *kept |= !is_removed;
    }
    for leaf in &plan.added {
        users.entry(leaf.user).or_default().1 = true;
    }
    users.into_iter().filter(|(_, (lost, kept))| *lost && !*kept).map(|(user, _)| user).collect()
}
