//! When which device was one of its user's: what the accepted entries of a log come to.

use std::collections::BTreeMap;

use aside_proto::id::DeviceId;

use super::Signer;
use crate::Certificate;

/// Every device that was ever added, with its tenures in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Tenures(BTreeMap<DeviceId, Vec<Tenure>>);

/// A device's time as one of its user's. It has another only after the account key brought it back.
///
/// ```text
///   added ──────────── active ────────────┐
///                                         ├── revoked:  a revocation names it          (from: the position named)
///                                         ├── replaced: an override took its place     (from: the override's position)
///                                         └── fallen:   who approved it was revoked    (from: the position it was added at)
/// ```
///
/// An end may come to lie earlier, and never goes away.
#[derive(Debug, Clone)]
pub(super) struct Tenure {
    /// The position of the entry that added it.
    added_at: u32,
    approved_by: Signer,
    certificate: Certificate,
    /// What took the certificate's place, with the positions of the entries, in order (DLOG-020).
    renewals: Vec<(u32, Certificate)>,
    end: Option<End>,
}

impl Tenure {
    /// The last certificate that it was given at a position or before.
    fn certificate_at(&self, position: u32) -> &Certificate {
        let renewed = self.renewals.iter().rfind(|(at, _)| *at <= position);
        renewed.map_or(&self.certificate, |(_, certificate)| certificate)
    }

    fn last_certificate(&self) -> &Certificate {
        self.certificate_at(u32::MAX)
    }

    /// Whether it is over at a position or earlier, and by which entry.
    fn ended_by(&self, position: u32) -> Option<End> {
        self.end.filter(|end| end.from <= position)
    }

    /// Where a revocation from `from` on would end it; none if it has ended as early.
    fn shortened(&self, from: u32) -> Option<u32> {
        let from = from.max(self.added_at);
        self.ended_by(from).is_none().then_some(from)
    }

    /// None if it was not given this certificate at the position or before.
    fn standing(&self, certificate: &[u8], position: u32) -> Option<Standing> {
        let is = |held: &Certificate| held.as_bytes() == certificate;
        let held =
            is(&self.certificate) || self.renewals.iter().any(|(at, c)| *at <= position && is(c));
        if !held {
            return None;
        }
        if let Some(End { by, .. }) = self.ended_by(position) {
            return Some(Standing::Ended { by });
        }
        if is(self.certificate_at(position)) {
            return Some(Standing::Active);
        }
        let last = self.renewals.iter().rposition(|(at, c)| *at <= position && is(c));
        let next = last.map_or(0, |last| last + 1);
        self.renewals.get(next).map(|(by, _)| Standing::Renewed { by: *by })
    }
}

/// How a tenure ended.
#[derive(Debug, Clone, Copy)]
struct End {
    /// The first position at which it is over.
    from: u32,
    /// The position of the entry that ended it.
    by: u32,
    why: Why,
}

#[derive(Debug, Clone, Copy)]
enum Why {
    Revoked,
    Fallen,
    Replaced,
}

/// What a device is to its user at a position of the log, as is known at the log's head (DLOG-014).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement<'a> {
    /// One of its user's: these are its keys.
    Active(&'a Certificate),
    /// Not added until then, or never.
    Unknown,
    /// Revoked from that position or an earlier one on.
    Revoked {
        /// The position of the revocation, which may be later.
        by: u32,
    },
    /// The device that had approved it, or one before that, was revoked from before the approval on.
    Fallen {
        /// The position of the revocation, which may be later.
        by: u32,
    },
    /// An override left it out.
    Replaced {
        /// The position of the override.
        by: u32,
    },
    /// The log is not known that far: what is missing is fetched first.
    BeyondHead,
}

/// What a certificate, that of an MLS leaf say, is to the log of its user at a position, as is known at the log's head (DLOG-017).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// That of a device of the user.
    Active,
    /// That of a device of the user until the device renewed it: the keys in it were the device's, and may be used until it has
    /// brought the new ones in.
    Renewed {
        /// The position of the first renewal after it.
        by: u32,
    },
    /// That of a device which was the user's then, and is no longer: revoked, fallen or replaced.
    Ended {
        /// The position of the entry that ended it, which may be later.
        by: u32,
    },
    /// The device is, or was, the user's, and never had this certificate: somebody made it up.
    OtherCertificate,
    /// The log does not have the device so far, or never.
    Unknown,
    /// The log is not known that far: what is missing is fetched first.
    BeyondHead,
}

impl Tenures {
    /// The certificates of the devices that are active now.
    pub(super) fn active(&self) -> impl Iterator<Item = &Certificate> {
        self.0
            .values()
            .filter_map(|tenures| tenures.last())
            .filter(|t| t.end.is_none())
            .map(Tenure::last_certificate)
    }

    /// The certificate of a device that is active now.
    pub(super) fn active_device(&self, device: DeviceId) -> Option<&Certificate> {
        let last = self.0.get(&device)?.last()?;
        last.end.is_none().then(|| last.last_certificate())
    }

    pub(super) fn knows(&self, device: DeviceId) -> bool {
        self.0.contains_key(&device)
    }

    /// Whether a login key and a device id that were seen here belong to each other (DLOG-009).
    pub(super) fn fits(&self, certificate: &Certificate) -> bool {
        self.0.iter().all(|(device, tenures)| {
            let same_device = *device == certificate.device();
            tenures
                .iter()
                .all(|t| (t.certificate.login_key() == certificate.login_key()) == same_device)
        })
    }

    pub(super) fn add(&mut self, certificate: Certificate, added_at: u32, approved_by: Signer) {
        let renewals = Vec::new();
        let tenure = Tenure { added_at, approved_by, certificate, renewals, end: None };
        self.0.entry(tenure.certificate.device()).or_default().push(tenure);
    }

    /// Gives a device that is active another certificate (DLOG-020).
    pub(super) fn renew(&mut self, certificate: Certificate, at: u32) {
        if let Some(tenure) = self.0.get_mut(&certificate.device()).and_then(|t| t.last_mut()) {
            tenure.renewals.push((at, certificate));
        }
    }

    /// Whether a revocation would end a tenure, or end one earlier (DLOG-018).
    pub(super) fn would_end(&self, device: DeviceId, from: u32) -> bool {
        let tenures = self.0.get(&device).map_or(&[][..], Vec::as_slice);
        tenures.iter().any(|tenure| tenure.shortened(from).is_some())
    }

    /// Ends a device's tenures from `from` on, and with them those of the devices that it approved since (DLOG-008).
    pub(super) fn revoke(&mut self, device: DeviceId, from: u32, by: u32) {
        let tenures = 0..self.0.get(&device).map_or(0, Vec::len);
        let mut open: Vec<_> = tenures.map(|n| (device, n, from, Why::Revoked)).collect();
        while let Some((device, n, from, why)) = open.pop() {
            let Some((from, until)) = self.shorten(device, n, End { from, by, why }) else {
                continue;
            };
            for (other, tenures) in &self.0 {
                for (n, tenure) in tenures.iter().enumerate() {
                    let approved_here = (from..until).contains(&tenure.added_at);
                    if tenure.approved_by == Signer::Device(device) && approved_here {
                        open.push((*other, n, tenure.added_at, Why::Fallen));
                    }
                }
            }
        }
    }

    /// Ends a tenure, unless it had ended as early before: from where on, and where the device's next tenure begins.
    fn shorten(&mut self, device: DeviceId, n: usize, end: End) -> Option<(u32, u32)> {
        let tenures = self.0.get_mut(&device)?;
        let until = tenures.get(n + 1).map_or(u32::MAX, |next| next.added_at);
        let tenure = tenures.get_mut(n)?;
        let from = tenure.shortened(end.from)?;
        tenure.end = Some(End { from, ..end });
        Some((from, until))
    }

    /// Ends every tenure that has not ended, for `certificates` to take their place (DLOG-010).
    pub(super) fn replace(&mut self, certificates: Vec<Certificate>, at: u32) {
        for tenure in self.0.values_mut().flatten() {
            tenure.end.get_or_insert(End { from: at, by: at, why: Why::Replaced });
        }
        for certificate in certificates {
            self.add(certificate, at, Signer::Account);
        }
    }

    pub(super) fn judge(&self, device: DeviceId, position: u32) -> Judgement<'_> {
        let tenures = self.0.get(&device).map_or(&[][..], Vec::as_slice);
        let Some(tenure) = tenures.iter().rfind(|tenure| tenure.added_at <= position) else {
            return Judgement::Unknown;
        };
        match tenure.ended_by(position) {
            Some(End { by, why: Why::Revoked, .. }) => Judgement::Revoked { by },
            Some(End { by, why: Why::Fallen, .. }) => Judgement::Fallen { by },
            Some(End { by, why: Why::Replaced, .. }) => Judgement::Replaced { by },
            None => Judgement::Active(tenure.certificate_at(position)),
        }
    }

    pub(super) fn standing(&self, device: DeviceId, certificate: &[u8], position: u32) -> Standing {
        let tenures = self.0.get(&device).map_or(&[][..], Vec::as_slice);
        let begun = || tenures.iter().rev().filter(|tenure| tenure.added_at <= position);
        let found = begun().find_map(|tenure| tenure.standing(certificate, position));
        let known = begun().next().is_some();
        found.unwrap_or(if known { Standing::OtherCertificate } else { Standing::Unknown })
    }
}
