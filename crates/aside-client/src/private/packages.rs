//! The KeyPackages that this device leaves with the server.

use aside_mls::{Device, KEY_PACKAGE_LIFETIME, Secret, Suite};
use aside_proto::{
    id::IdempotencyKey,
    v1::{self, client_frame::Body},
};
use bytes::Bytes;
use prost::Message as _;

use crate::StateError;

/// How many are left at a time beyond what the server takes for few.
const BATCH: u32 = 20;
/// How old a last resort may be before another takes its place: half of its lifetime.
const LAST_RESORT_SECONDS: u64 = KEY_PACKAGE_LIFETIME.as_secs() / 2;

/// What is to be done for each suite.
#[derive(Debug, Default)]
pub(super) struct Packages {
    suites: Vec<OfSuite>,
}

#[derive(Debug)]
struct OfSuite {
    suite: Suite,
    /// When the last resort that the server has was made; none if it has nothing of this device's yet.
    last_resort_at: Option<u64>,
    is_low: bool,
    /// Whether what the server has is to go first: its secrets may be lost.
    replaces: bool,
    /// What is being published, and when its last resort was made.
    submitted: Option<(IdempotencyKey, v1::PublishKeyPackages, Option<u64>)>,
    in_flight: bool,
    /// The server refused: not again on this connection.
    is_refused: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(message, repeated, tag = "1")]
    suites: Vec<SuiteRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SuiteRecord {
    #[prost(uint32, tag = "1")]
    suite: u32,
    #[prost(uint64, optional, tag = "2")]
    last_resort_at: Option<u64>,
}

impl Packages {
    pub(super) fn new(
        suites: impl Iterator<Item = Suite>,
        kept: Option<&[u8]>,
    ) -> Result<Self, StateError> {
        const DAMAGED: StateError =
            StateError::Damaged("what is kept of this device's KeyPackages");
        let record = kept.map(Record::decode).transpose().map_err(|_| DAMAGED)?.unwrap_or_default();
        let of_suite = |suite: Suite| {
            let known = record.suites.iter().find(|it| it.suite == u32::from(suite.number()));
            let last_resort_at = known.and_then(|it| it.last_resort_at);
            OfSuite {
                suite,
                last_resort_at,
                is_low: false,
                replaces: last_resort_at.is_none(),
                submitted: None,
                in_flight: false,
                is_refused: false,
            }
        };
        Ok(Self { suites: suites.map(of_suite).collect() })
    }

    /// The bytes to keep.
    pub(super) fn record(&self) -> Secret {
        let record = |it: &OfSuite| SuiteRecord {
            suite: it.suite.number().into(),
            last_resort_at: it.last_resort_at,
        };
        Secret::new(Record { suites: self.suites.iter().map(record).collect() }.encode_to_vec())
    }

    pub(super) fn disconnected(&mut self) {
        for it in &mut self.suites {
            (it.in_flight, it.is_refused) = (false, false);
        }
    }

    /// Few are left of a suite.
    pub(super) fn low(&mut self, suite: u32) {
        for it in self.suites.iter_mut().filter(|it| u32::from(it.suite.number()) == suite) {
            it.is_low = true;
        }
    }

    /// The secrets of some were lost: all are replaced.
    pub(super) fn lost(&mut self) {
        for it in &mut self.suites {
            it.replaces = true;
        }
    }

    /// Makes what is to be published next. Its secrets are among the device's changes.
    pub(super) fn make(
        &mut self,
        device: &Device,
        limits: &v1::Limits,
        now_s: u64,
        key: &mut dyn FnMut() -> IdempotencyKey,
    ) {
        for it in self.suites.iter_mut().filter(|it| it.submitted.is_none() && !it.is_refused) {
            // What was made in the future was made by a clock that was wrong.
            let is_fresh = |at| at <= now_s + 24 * 60 * 60 && now_s < at + LAST_RESORT_SECONDS;
            let is_old = !it.last_resort_at.is_some_and(is_fresh);
            if !(is_old || it.is_low || it.replaces) {
                continue;
            }
            let low = limits.key_packages_low;
            let room = limits.max_key_packages.saturating_sub(low);
            let most = low.saturating_add(BATCH).min(room).max(1);
            // All are as old as that, or older.
            it.replaces |= is_old;
            let make = |last_resort| device.key_package(it.suite, last_resort, now_s);
            let made: Result<Vec<_>, _> = (0..most).map(|_| make(false).map(Bytes::from)).collect();
            let last_resort = it.replaces.then(|| make(true).map(Bytes::from)).transpose();
            let (Ok(key_packages), Ok(last_resort)) = (made, last_resort) else {
                it.is_refused = true;
                continue;
            };
            let last_resort_at = last_resort.is_some().then_some(now_s);
            let publish = v1::PublishKeyPackages {
                suite: it.suite.number().into(),
                key_packages,
                last_resort: last_resort.unwrap_or_default(),
                replace: it.replaces,
            };
            it.submitted = Some((key(), publish, last_resort_at));
        }
    }

    pub(super) fn poll(&mut self) -> Option<(Suite, IdempotencyKey, Body)> {
        let it = self.suites.iter_mut().find(|it| it.submitted.is_some() && !it.in_flight)?;
        it.in_flight = true;
        let (key, publish, _) = it.submitted.clone()?;
        Some((it.suite, key, Body::PublishKeyPackages(publish)))
    }

    /// They are with the server.
    pub(super) fn published(&mut self, suite: Suite) {
        for it in self.suites.iter_mut().filter(|it| it.suite == suite) {
            it.in_flight = false;
            (it.is_low, it.replaces) = (false, false);
            if let Some((_, _, Some(made_at))) = it.submitted.take() {
                it.last_resort_at = Some(made_at);
            }
        }
    }

    /// The server refuses; `again`: for now.
    pub(super) fn refused(&mut self, suite: Suite, again: bool) {
        for it in self.suites.iter_mut().filter(|it| it.suite == suite) {
            it.in_flight = false;
            if !again {
                (it.submitted, it.is_refused) = (None, true);
                it.is_low = false;
            }
        }
    }
}
