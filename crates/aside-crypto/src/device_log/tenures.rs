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
    pub(super) certificate: Certificate,
    /// The position of the entry that added it.
    added_at: u32,
    approved_by: Signer,
    end: Option<End>,
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

impl Tenures {
    /// The certificates of the devices that are active now.
    pub(super) fn active(&self) -> impl Iterator<Item = &Certificate> {
        self.0
            .values()
            .filter_map(|tenures| tenures.last())
            .filter(|t| t.end.is_none())
            .map(|t| &t.certificate)
    }

    /// The certificate of a device that is active now.
    pub(super) fn active_device(&self, device: DeviceId) -> Option<&Certificate> {
        let last = self.0.get(&device)?.last()?;
        last.end.is_none().then_some(&last.certificate)
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
        let tenure = Tenure { added_at, approved_by, end: None, certificate };
        self.0.entry(tenure.certificate.device()).or_default().push(tenure);
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
        let from = end.from.max(tenure.added_at);
        if tenure.end.is_some_and(|before| before.from <= from) {
            return None;
        }
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
        match tenure.end {
            Some(End { from, by, why }) if from <= position => match why {
                Why::Revoked => Judgement::Revoked { by },
                Why::Fallen => Judgement::Fallen { by },
                Why::Replaced => Judgement::Replaced { by },
            },
            _ => Judgement::Active(&tenure.certificate),
        }
    }
}
