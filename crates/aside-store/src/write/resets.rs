//! Whether a group may be begun, and with which leaves: the first of a conversation, or another in the place of one that has gone wrong.

use std::collections::BTreeSet;

use aside_proto::{
    id::{DeviceId, UserId},
    private::{Establishment, Leaf},
    v1,
};

use super::{Context, Who, entries::Place};
use crate::{
    db::{Columns as _, Row},
    error::{Refused, Stop},
    private::{Membership, Seated},
};

/// The devices whose commits were rejected.
pub(crate) const COMMITTERS: &str =
    "SELECT d.user_id, d.device_id FROM rejections r JOIN devices d ON d.id = r.committer
     WHERE r.conversation = ?";

impl Context<'_> {
    /// Whether the group may be begun anew, and with these leaves: see [`Reset`].
    pub(super) async fn judge_establishment(
        &mut self,
        who: &Who,
        membership: &Membership,
        plan: &Establishment,
        seated: &[Seated],
    ) -> Result<(), Stop> {
        let own = Leaf { user: who.user, device: who.device };
        if !plan.leaves.contains(&own) {
            return Err(Refused::RosterMismatch.into());
        }
        let active: Vec<Seated> = seated.iter().filter(|seat| !seat.is_pending).copied().collect();
        if active.is_empty() {
            if plan.culprit.is_some() {
                return Err(Refused::RosterMismatch.into());
            }
            return self.check_may_add(who, membership, &plan.leaves).await;
        }
        let committers = self.committers(membership.place).await?;
        Ok(Reset { own, membership, active: &active, committers: &committers }.judge(plan)?)
    }

    async fn committers(&mut self, place: Place) -> Result<Vec<Leaf>, sqlx::Error> {
        let rows = sqlx::query(COMMITTERS).bind(place.key).fetch_all(&mut *self.connection).await?;
        let leaf = |row: &Row| {
            Ok(Leaf { user: UserId::new(row.array(0)?), device: DeviceId::new(row.array(1)?) })
        };
        rows.iter().map(leaf).collect()
    }
}

/// A group that is to be begun anew though it has leaves that could go on.
///
/// The server can't tell a bad commit from one that is only said to be bad. So what a rejection permits to those who are no
/// owners takes nothing from anybody: an owner's reset may leave out whom it likes, any other's nobody but a culprit that is
/// no owner's, who stays a member.
struct Reset<'a> {
    /// The leaf of whoever asks.
    own: Leaf,
    membership: &'a Membership,
    /// The leaves that were not cut off: at least one.
    active: &'a [Seated],
    /// The devices whose commits were rejected.
    committers: &'a [Leaf],
}

impl Reset<'_> {
    fn judge(&self, plan: &Establishment) -> Result<(), Refused> {
        self.check_sender()?;
        if let Some(culprit) = plan.culprit {
            self.check_culprit(culprit)?;
        }
        let leaves: BTreeSet<Leaf> = plan.leaves.iter().copied().collect();
        let there: BTreeSet<Leaf> = self.active.iter().map(|seat| seat.leaf).collect();
        let holds = match self.membership.role {
            v1::Role::Owner => {
                let culprit_stays = plan.culprit.is_some_and(|culprit| leaves.contains(&culprit));
                !culprit_stays
                    && leaves.iter().all(|leaf| *leaf == self.own || there.contains(leaf))
            }
            _ => there.iter().filter(|leaf| plan.culprit != Some(**leaf)).eq(&leaves),
        };
        if holds { Ok(()) } else { Err(Refused::RosterMismatch) }
    }

    /// DS-022: an owner without a leaf; else a leaf, after a rejection: an owner's, or any if nothing can be expected of owners.
    fn check_sender(&self) -> Result<(), Refused> {
        let is_owner = self.membership.role == v1::Role::Owner;
        if !self.membership.is_leaf {
            let is_outside = self.active.iter().all(|seat| seat.leaf.user != self.own.user);
            return if is_owner && is_outside { Ok(()) } else { Err(Refused::NotInGroup) };
        }
        let mut owners = self.active.iter().filter(|seat| seat.role == Some(v1::Role::Owner));
        let is_suspect =
            |seat: &Seated| self.committers.iter().any(|leaf| leaf.user == seat.leaf.user);
        let may = !self.committers.is_empty() && (is_owner || owners.all(is_suspect));
        if may { Ok(()) } else { Err(Refused::ResetNotAllowed) }
    }

    /// DS-023.
    fn check_culprit(&self, culprit: Leaf) -> Result<(), Refused> {
        let seat = self.active.iter().find(|seat| seat.leaf == culprit);
        let is_for_owners = seat.is_some_and(|seat| seat.role == Some(v1::Role::Owner));
        let holds = seat.is_some()
            && self.committers.contains(&culprit)
            && (self.membership.role == v1::Role::Owner || !is_for_owners);
        if holds { Ok(()) } else { Err(Refused::RosterMismatch) }
    }
}
