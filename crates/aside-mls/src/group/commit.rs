//! Commits of a group: made, followed, and what they did.

use std::collections::{BTreeSet, HashMap};

use mls_rs::{
    MlsMessage,
    error::MlsError,
    group::{
        CommitBuilder, CommitEffect, CommitMessageDescription, ContentType, NewEpoch, Node,
        ReceivedMessage, proposal::Proposal,
    },
    time::MlsTime,
};

use super::{Group, Inner, header_hash, owner, owner_at};
use crate::{
    Change, ClaimedChange, Crypto, Effect, Error, KeyPackage, OutgoingCommit, Owner, Reason,
    device::{CLOCK_SKEW, Config, KEY_PACKAGE_LIFETIME, check_length, parse},
    wire::{MAX_COMMIT_BYTES, MAX_KEY_PACKAGE_BYTES, MAX_LEAVES, lifetime},
};

impl<P: Crypto> Group<P> {
    /// A KeyPackage for this group's suite, and whose it is.
    ///
    /// # Errors
    /// If it is not one, is longer than [`MAX_KEY_PACKAGE_BYTES`] (MLS-042), its lifetime is longer than [`KEY_PACKAGE_LIFETIME`] and
    /// [`CLOCK_SKEW`] (MLS-037), its leaf has extensions (MLS-047), or the judge does not know the leaf.
    pub fn key_package(&self, bytes: &[u8]) -> Result<KeyPackage, Reason> {
        check_length(bytes, MAX_KEY_PACKAGE_BYTES)?;
        let message = parse(bytes)?;
        let key_package = message.as_key_package().ok_or(Reason::WrongKind)?;
        if key_package.cipher_suite() != self.suite().mls() {
            return Err(Reason::WrongSuite);
        }
        let longest = (KEY_PACKAGE_LIFETIME + CLOCK_SKEW).as_secs();
        if lifetime(bytes)? > longest {
            return Err(Reason::Expired);
        }
        let owner = owner(&self.identities, key_package.signing_identity())?;
        Ok(KeyPackage { message, owner })
    }

    /// What a commit of this change does, for its header.
    #[must_use]
    pub fn claim(&self, change: &Change) -> ClaimedChange {
        ClaimedChange {
            epoch: self.epoch(),
            added: change.add.iter().map(|key_package| key_package.owner).collect(),
            removed: change.remove.clone(),
        }
    }

    /// Makes a commit, which changes nothing here yet: [`Self::apply_pending`] when the server has accepted it,
    /// [`Self::clear_pending`] when it has not. Save the group before the commit is sent.
    ///
    /// # Errors
    /// [`Error::KeyPackages`] names those that can't be added, so that the others can be without them; [`Error::NotApproved`]
    /// if a leaf would stay of a device that is not approved now (MLS-027); [`Reason::TooLarge`] if there would be more than
    /// [`MAX_LEAVES`] members; [`Error::NotInGroup`], [`Error::CommitPending`], [`Error::NotAMember`].
    pub fn commit(
        &mut self,
        change: &Change,
        header: &[u8],
        now: u64,
    ) -> Result<OutgoingCommit, Error> {
        self.check_member()?;
        if self.has_pending() {
            return Err(Error::CommitPending);
        }
        self.undo = None;
        let leaves = self.leaves(&change.remove)?;
        self.check_approved(&change.remove)?;
        self.check_added(&change.add)?;
        let members = self.inner.roster().member_identities_iter().count();
        if members + change.add.len() > MAX_LEAVES as usize + leaves.len() {
            return Err(Reason::TooLarge.into());
        }
        self.build(change, &leaves, header, now).map_err(|error| {
            let refused = self.refused_key_packages(&change.add, &leaves, now);
            match refused.is_empty() {
                true => Reason::of(&error, Reason::Invalid).into(),
                false => Error::KeyPackages(refused),
            }
        })
    }

    /// MLS-009: whoever comes in is approved now.
    fn check_added(&self, add: &[KeyPackage]) -> Result<(), Error> {
        let is_refused = |(_, it): &(usize, &KeyPackage)| {
            let identity = it.message.as_key_package().map(|it| it.signing_identity());
            identity.is_none_or(|identity| self.identities.admit(identity).is_err())
        };
        let refused = add.iter().enumerate().filter(is_refused);
        let refused: Vec<_> = refused.map(|(n, _)| (n, Reason::CredentialRefused)).collect();
        if refused.is_empty() { Ok(()) } else { Err(Error::KeyPackages(refused)) }
    }

    /// Whether a commit of this device waits for the server's word.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.inner.has_pending_commit()
    }

    /// The server has accepted this device's commit: the group enters the epoch after it.
    ///
    /// # Errors
    /// [`Error::NoCommitPending`].
    pub fn apply_pending(&mut self) -> Result<Effect, Error> {
        if !self.has_pending() {
            return Err(Error::NoCommitPending);
        }
        let mut next = self.inner.clone();
        let applied = next.apply_pending_commit();
        let applied = applied.map_err(|error| Reason::of(&error, Reason::Invalid))?;
        let effect = self.effect(&next, &applied)?;
        self.advance(next, &effect);
        Ok(effect)
    }

    /// The server has refused this device's commit: it never was.
    pub fn clear_pending(&mut self) {
        self.undo = None;
        self.inner.clear_pending_commit();
    }

    /// Follows a commit that stands in the log under this header, which names this sender and claims this change: another's,
    /// or the pending one of this device. Another's ends what is pending.
    ///
    /// If it removes this device, the group stays at its epoch, and does nothing more: see [`Self::confirm_removal`].
    ///
    /// # Errors
    /// The reason why it is refused; the group is as before.
    pub fn receive_commit(
        &mut self,
        commit: &[u8],
        header: &[u8],
        sender: Owner,
        claim: &ClaimedChange,
    ) -> Result<Effect, Reason> {
        check_length(commit, MAX_COMMIT_BYTES)?;
        let message = self.expect(commit, ContentType::Commit)?;
        let mut next = self.inner.clone();
        let received = next.process_incoming_message(message);
        let received = received.map_err(|error| self.refusal(&error, Reason::Invalid, sender))?;
        let ReceivedMessage::Commit(description) = received else {
            return Err(Reason::WrongKind);
        };
        if description.authenticated_data != header_hash(header) {
            return Err(Reason::HeaderMismatch);
        }
        let effect = self.effect(&next, &description)?;
        if effect.committer != sender {
            return Err(Reason::SenderMismatch);
        }
        if effect.change != *claim {
            return Err(Reason::ClaimMismatch);
        }
        if !effect.removed_us {
            self.check_tree(&next, &description)?;
        }
        self.advance(next, &effect);
        Ok(effect)
    }

    /// The commit that removed this device was taken: in the log stands an entry at the epoch after it, of a device other
    /// than the committer's, if there is another. The next [`Self::save`] deletes the group's state.
    ///
    /// Who is removed has no key of the epoch after, so it cannot tell a commit that the others accept from one that its
    /// maker spoiled, which they reject. So its state stays until it hears of them (MLS-036).
    ///
    /// # Errors
    /// [`Error::NotRemoved`].
    pub fn confirm_removal(&mut self) -> Result<(), Error> {
        self.check_removed()?;
        self.over = true;
        Ok(())
    }

    /// The others rejected the commit that removed this device: it never was.
    ///
    /// # Errors
    /// [`Error::NotRemoved`].
    pub fn reject_removal(&mut self) -> Result<(), Error> {
        self.check_removed()?;
        self.notes.removed = false;
        Ok(())
    }

    fn check_removed(&self) -> Result<(), Error> {
        if self.notes.removed && !self.over { Ok(()) } else { Err(Error::NotRemoved) }
    }

    /// What a commit that was followed has to have done to the tree.
    fn check_tree(&self, next: &Inner<P>, commit: &CommitMessageDescription) -> Result<(), Reason> {
        let (before, after) = (self.inner.export_tree(), next.export_tree());
        // A path replaces its maker's leaf. MLS demands one of every commit but one that only adds (MLS-007).
        let leaf = 2 * commit.committer as usize;
        if before.nodes().get(leaf) == after.nodes().get(leaf) {
            return Err(Reason::NoPath);
        }
        let has_extensions = |node: &Option<Node>| matches!(node, Some(Node::Leaf(leaf)) if !leaf.extensions.is_empty());
        if after.nodes().iter().any(has_extensions) {
            return Err(Reason::Invalid);
        }
        if after.total_leaf_count() > MAX_LEAVES { Err(Reason::TooLarge) } else { Ok(()) }
    }

    /// The leaves of these devices.
    fn leaves(&self, devices: &BTreeSet<Owner>) -> Result<Vec<u32>, Error> {
        if devices.is_empty() {
            return Ok(Vec::new());
        }
        let by_owner: HashMap<_, _> = self
            .inner
            .roster()
            .members_iter()
            .filter_map(|member| {
                let owner = self.identities.owner(&member.signing_identity).ok()?;
                Some((owner, member.index))
            })
            .collect();
        let leaf = |device| by_owner.get(device).copied().ok_or(Error::NotInGroup(*device));
        devices.iter().map(leaf).collect()
    }

    fn build(
        &mut self,
        change: &Change,
        leaves: &[u32],
        header: &[u8],
        now: u64,
    ) -> Result<OutgoingCommit, MlsError> {
        let add = change.add.iter().map(|key_package| &key_package.message);
        let output = propose(&mut self.inner, add, leaves, now)?
            .authenticated_data(header_hash(header).to_vec())
            .build()?;
        let group_info = output.external_commit_group_info.ok_or(MlsError::InvalidGroupInfo)?;
        let welcome = output.welcome_messages.first().map(MlsMessage::to_bytes);
        Ok(OutgoingCommit {
            commit: output.commit_message.to_bytes()?,
            welcome: welcome.transpose()?,
            group_info: group_info.to_bytes()?,
        })
    }

    /// Which of these can't be added: in their order, each with those before it that can be, and with what is removed.
    fn refused_key_packages(
        &self,
        add: &[KeyPackage],
        leaves: &[u32],
        now: u64,
    ) -> Vec<(usize, Reason)> {
        let try_to = |good: &[&MlsMessage]| {
            let mut inner = self.inner.clone();
            propose(&mut inner, good.iter().copied(), leaves, now)
                .and_then(|builder| builder.build())
                .map_err(|error| Reason::of(&error, Reason::Invalid))
        };
        // Most often each is good or bad by itself.
        let alone = |(n, it): (usize, &KeyPackage)| Some((n, try_to(&[&it.message]).err()?));
        let bad: Vec<_> = add.iter().enumerate().filter_map(alone).collect();
        let is_bad = |n| bad.iter().any(|(it, _)| *it == n);
        let rest = add.iter().enumerate().filter(|(n, _)| !is_bad(*n)).map(|(_, it)| &it.message);
        if !bad.is_empty() && try_to(&rest.collect::<Vec<_>>()).is_ok() {
            return bad;
        }
        let (mut good, mut refused) = (Vec::new(), Vec::new());
        for (n, key_package) in add.iter().enumerate() {
            good.push(&key_package.message);
            if let Err(reason) = try_to(&good) {
                good.pop();
                refused.push((n, reason));
            }
        }
        refused
    }

    /// What a commit did to this group, which led to `next`.
    fn effect(&self, next: &Inner<P>, commit: &CommitMessageDescription) -> Result<Effect, Reason> {
        let (epoch, removed_us) = match &commit.effect {
            CommitEffect::NewEpoch(epoch) => (epoch, false),
            CommitEffect::Removed { new_epoch, .. } => (new_epoch, true),
            CommitEffect::ReInit(_) => return Err(Reason::ForbiddenProposal),
        };
        let committer = if commit.is_external { next } else { &self.inner };
        let committer = owner_at(committer, &self.identities, commit.committer)?;
        let mut change = self.change(epoch)?;
        if commit.is_external {
            change.added.insert(committer);
        }
        Ok(Effect { committer, external: commit.is_external, change, removed_us })
    }

    fn change(&self, epoch: &NewEpoch) -> Result<ClaimedChange, Reason> {
        let mut change = ClaimedChange { epoch: self.epoch(), ..ClaimedChange::default() };
        for proposal in epoch.applied_proposals() {
            match &proposal.proposal {
                Proposal::Add(add) => {
                    let owner = owner(&self.identities, add.signing_identity())?;
                    change.added.insert(owner);
                }
                Proposal::Remove(remove) => {
                    let owner = owner_at(&self.inner, &self.identities, remove.to_remove())?;
                    change.removed.insert(owner);
                }
                Proposal::ExternalInit(_) => {}
                _ => return Err(Reason::ForbiddenProposal),
            }
        }
        Ok(change)
    }

    fn advance(&mut self, next: Inner<P>, effect: &Effect) {
        self.undo = None;
        if effect.removed_us {
            self.inner.clear_pending_commit();
            self.notes.removed = true;
            return;
        }
        self.inner = next;
        self.notes.forget_read();
        self.owners.clear();
    }
}

/// A commit that adds by these KeyPackages and removes these leaves.
fn propose<'a, P: Crypto>(
    inner: &'a mut Inner<P>,
    add: impl Iterator<Item = &'a MlsMessage>,
    remove: &[u32],
    now: u64,
) -> Result<CommitBuilder<'a, Config<P>>, MlsError> {
    let mut builder = inner.commit_builder().commit_time(MlsTime::from(now));
    for key_package in add {
        builder = builder.add_member(key_package.clone())?;
    }
    for &leaf in remove {
        builder = builder.remove_member(leaf)?;
    }
    Ok(builder)
}
