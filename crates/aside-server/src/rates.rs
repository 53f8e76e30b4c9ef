//! Token buckets, and the count of connections. Each refusal says when to come back (LIM-004 to LIM-008).

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    net::IpAddr,
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aside_proto::{id::UserId, name::Name};
use governor::{
    DefaultKeyedRateLimiter, InsufficientCapacity, NotUntil, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

use crate::config::{Connections, Rate, Rates};

/// How long to wait, in milliseconds, at least 1 (ERR-004).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryAfter(pub(crate) u64);

/// One bucket for each key.
struct Buckets<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(rate: Rate) -> Self {
        let period = Duration::from_secs_f64(1.0 / rate.per_second).max(Duration::from_nanos(1));
        let burst = NonZero::new(rate.burst).expect("the configuration was checked");
        let quota = Quota::with_period(period).expect("a period above zero").allow_burst(burst);
        Self { limiter: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    fn take(&self, key: &K) -> Result<(), RetryAfter> {
        self.limiter.check_key(key).map_err(|refused| self.retry_after(&refused))
    }

    /// Takes several at once, or all that there may be if these are more.
    fn take_many(&self, key: &K, count: NonZero<u32>) -> Result<(), RetryAfter> {
        let taken = match self.limiter.check_key_n(key, count) {
            Ok(taken) => taken,
            Err(InsufficientCapacity(burst)) => {
                let burst = NonZero::new(burst).expect("the configuration was checked");
                self.limiter.check_key_n(key, burst).expect("a full bucket has so many")
            }
        };
        taken.map_err(|refused| self.retry_after(&refused))
    }

    fn retry_after(&self, refused: &NotUntil<<DefaultClock as Clock>::Instant>) -> RetryAfter {
        let wait = refused.wait_time_from(self.clock.now());
        // Rounded up, so that whoever waits so long is not refused again (LIM-007).
        RetryAfter(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1))
    }
}

/// The server's token buckets.
pub(crate) struct RateLimits {
    register_per_address: Buckets<IpAddr>,
    login_per_address: Buckets<IpAddr>,
    login_per_handle: Buckets<Name>,
    messages_per_user: Buckets<UserId>,
    requests_per_user: Buckets<UserId>,
    searches_per_user: Buckets<UserId>,
    presence_per_user: Buckets<UserId>,
    password_changes_per_user: Buckets<UserId>,
    claims_per_user: Buckets<UserId>,
    claims_per_target: Buckets<UserId>,
    commits_per_user: Buckets<UserId>,
    members_per_user: Buckets<UserId>,
    device_logs_per_user: Buckets<UserId>,
    relays_per_user: Buckets<UserId>,
}

impl RateLimits {
    pub(crate) fn new(rates: &Rates) -> Self {
        Self {
            register_per_address: Buckets::new(rates.register_per_address),
            login_per_address: Buckets::new(rates.login_per_address),
            login_per_handle: Buckets::new(rates.login_per_handle),
            messages_per_user: Buckets::new(rates.messages_per_user),
            requests_per_user: Buckets::new(rates.requests_per_user),
            searches_per_user: Buckets::new(rates.searches_per_user),
            presence_per_user: Buckets::new(rates.presence_per_user),
            claims_per_user: Buckets::new(rates.claims_per_user),
            claims_per_target: Buckets::new(rates.claims_per_target),
            commits_per_user: Buckets::new(rates.commits_per_user),
            members_per_user: Buckets::new(rates.members_per_user),
            device_logs_per_user: Buckets::new(rates.device_logs_per_user),
            relays_per_user: Buckets::new(rates.relays_per_user),
            // A guess at the password, as a log-in is.
            password_changes_per_user: Buckets::new(rates.login_per_handle),
        }
    }

    pub(crate) fn register(&self, address: IpAddr) -> Result<(), RetryAfter> {
        self.register_per_address.take(&network(address))
    }

    pub(crate) fn login(&self, address: IpAddr) -> Result<(), RetryAfter> {
        self.login_per_address.take(&network(address))
    }

    pub(crate) fn password_login(
        &self,
        address: IpAddr,
        handle: Option<&Name>,
    ) -> Result<(), RetryAfter> {
        self.login(address)?;
        handle.map_or(Ok(()), |handle| self.login_per_handle.take(handle))
    }

    pub(crate) fn message(&self, user: UserId) -> Result<(), RetryAfter> {
        self.messages_per_user.take(&user)
    }

    pub(crate) fn request(&self, user: UserId) -> Result<(), RetryAfter> {
        self.requests_per_user.take(&user)
    }

    pub(crate) fn search(&self, user: UserId) -> Result<(), RetryAfter> {
        self.searches_per_user.take(&user)
    }

    pub(crate) fn presence(&self, user: UserId) -> Result<(), RetryAfter> {
        self.presence_per_user.take(&user)
    }

    pub(crate) fn password_change(&self, user: UserId) -> Result<(), RetryAfter> {
        self.password_changes_per_user.take(&user)
    }

    /// KeyPackages are used up by being claimed: so who claims them is counted (KP-010).
    pub(crate) fn claim(&self, user: UserId) -> Result<(), RetryAfter> {
        self.claims_per_user.take(&user)
    }

    /// Those of the users whose KeyPackages are claimed, the asker excepted, of whom others have claimed so many that no more than
    /// the last resort is to be given (KP-015).
    pub(crate) fn spared(
        &self,
        asker: UserId,
        targets: impl Iterator<Item = UserId>,
    ) -> BTreeSet<UserId> {
        let targets: BTreeSet<_> = targets.filter(|target| *target != asker).collect();
        targets.into_iter().filter(|target| self.claims_per_target.take(target).is_err()).collect()
    }

    /// A user makes so many others members of a private conversation (PRIV-020).
    pub(crate) fn newcomers(&self, user: UserId, count: u32) -> Result<(), RetryAfter> {
        NonZero::new(count).map_or(Ok(()), |count| self.members_per_user.take_many(&user, count))
    }

    pub(crate) fn commit(&self, user: UserId) -> Result<(), RetryAfter> {
        self.commits_per_user.take(&user)
    }

    pub(crate) fn device_log(&self, user: UserId) -> Result<(), RetryAfter> {
        self.device_logs_per_user.take(&user)
    }

    pub(crate) fn relay(&self, user: UserId) -> Result<(), RetryAfter> {
        self.relays_per_user.take(&user)
    }

    /// Forgets the buckets that are full again, so that memory follows who is active.
    pub(crate) fn forget_idle(&self) {
        self.register_per_address.limiter.retain_recent();
        self.login_per_address.limiter.retain_recent();
        self.login_per_handle.limiter.retain_recent();
        self.messages_per_user.limiter.retain_recent();
        self.requests_per_user.limiter.retain_recent();
        self.searches_per_user.limiter.retain_recent();
        self.presence_per_user.limiter.retain_recent();
        self.password_changes_per_user.limiter.retain_recent();
        self.claims_per_user.limiter.retain_recent();
        self.claims_per_target.limiter.retain_recent();
        self.commits_per_user.limiter.retain_recent();
        self.members_per_user.limiter.retain_recent();
        self.device_logs_per_user.limiter.retain_recent();
        self.relays_per_user.limiter.retain_recent();
    }
}

/// What counts as one address: all of an IPv6 /64 is one subscriber's.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Counts connections, in all and by address.
#[derive(Debug)]
pub(crate) struct ConnectionCount {
    limits: Connections,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// What becomes of a new connection.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It is served.
    Admitted(Slot),
    /// It is told why not, after the TLS handshake (LIM-008).
    Refused(Slot),
    /// It is closed at once: even telling would cost too much.
    Dropped,
}

/// A counted connection; given back on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    count: Arc<ConnectionCount>,
    network: IpAddr,
}

impl ConnectionCount {
    pub(crate) fn new(limits: Connections) -> Self {
        Self { limits, open: Mutex::default() }
    }

    /// Counts one more. As many again as are admitted may be told that they are not.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Admission {
        let network = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let total = open.total;
        let here = open.by_address.get(&network).copied().unwrap_or_default();
        if total >= self.limits.total * 2 || here >= self.limits.per_address * 2 {
            return Admission::Dropped;
        }
        let admitted = total < self.limits.total && here < self.limits.per_address;
        open.by_address.insert(network, here + 1);
        open.total += 1;
        let slot = Slot { count: Arc::clone(self), network };
        if admitted { Admission::Admitted(slot) } else { Admission::Refused(slot) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.count.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        if let Some(here) = open.by_address.get_mut(&self.network) {
            *here -= 1;
            if *here == 0 {
                open.by_address.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: ERR-004, LIM-010
    #[test]
    fn one_users_bucket_is_not_anothers() {
        let buckets = Buckets::new(Rate { per_second: 0.001, burst: 2 });
        let (alice, bob) = (UserId::new([1; 16]), UserId::new([2; 16]));
        assert_eq!(buckets.take(&alice), Ok(()));
        assert_eq!(buckets.take(&alice), Ok(()));
        let RetryAfter(ms) = buckets.take(&alice).unwrap_err();
        assert!((1..=1_000_001).contains(&ms), "{ms}");
        assert_eq!(buckets.take(&bob), Ok(()));
    }

    // cites: LIM-007, PRIV-020
    #[test]
    fn more_than_a_bucket_holds_is_taken_when_it_is_full() {
        let buckets = Buckets::new(Rate { per_second: 0.001, burst: 3 });
        let many = |count| NonZero::new(count).unwrap();
        let (alice, bob) = (UserId::new([1; 16]), UserId::new([2; 16]));
        assert_eq!(buckets.take_many(&alice, many(2)), Ok(()));
        assert!(buckets.take_many(&alice, many(2)).is_err());
        assert_eq!(buckets.take_many(&alice, many(1)), Ok(()), "what was refused was not taken");
        assert_eq!(buckets.take_many(&bob, many(9)), Ok(()));
        let RetryAfter(ms) = buckets.take_many(&bob, many(9)).unwrap_err();
        assert!((2_000_000..=3_000_001).contains(&ms), "{ms}");
    }

    // cites: LIM-004
    #[test]
    fn log_ins_are_counted_by_address_and_by_account() {
        let few = Rate { per_second: 0.001, burst: 2 };
        let many = Rate { per_second: 0.001, burst: 100 };
        let [here, there] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let [alice, bob] = ["alice", "bob"].map(|name| Name::new(name, 32).unwrap());

        let limits = |login_per_address, login_per_handle| {
            let (register_per_address, messages_per_user, requests_per_user) = (many, many, many);
            let (searches_per_user, presence_per_user) = (many, many);
            let (claims_per_user, claims_per_target) = (many, many);
            RateLimits::new(&Rates {
                register_per_address,
                login_per_address,
                login_per_handle,
                messages_per_user,
                requests_per_user,
                searches_per_user,
                presence_per_user,
                claims_per_user,
                claims_per_target,
                commits_per_user: many,
                members_per_user: many,
                device_logs_per_user: many,
                relays_per_user: many,
            })
        };

        let by_address = limits(few, many);
        assert_eq!(by_address.password_login(here, Some(&alice)), Ok(()));
        assert_eq!(by_address.password_login(here, Some(&bob)), Ok(()));
        assert!(by_address.password_login(here, None).is_err(), "whatever the account");
        assert_eq!(by_address.password_login(there, Some(&alice)), Ok(()));

        let by_account = limits(many, few);
        assert_eq!(by_account.password_login(here, Some(&alice)), Ok(()));
        assert_eq!(by_account.password_login(there, Some(&alice)), Ok(()));
        assert!(by_account.password_login(there, Some(&alice)).is_err(), "wherever from");
        assert_eq!(by_account.password_login(there, Some(&bob)), Ok(()));
    }

    #[test]
    fn a_subscribers_ipv6_addresses_are_one() {
        let one: IpAddr = "2001:db8:1:2:3::4".parse().unwrap();
        let other: IpAddr = "2001:db8:1:2:ffff::".parse().unwrap();
        assert_eq!(network(one), network(other));
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), IpAddr::from([10, 0, 0, 1]));
    }

    // cites: LIM-008
    #[test]
    fn connections_are_admitted_told_and_dropped() {
        let limits =
            Connections { total: 100, per_address: 2, shutdown_notice_ms: 0, shutdown_grace_ms: 0 };
        let count = Arc::new(ConnectionCount::new(limits));
        let here = IpAddr::from([10, 0, 0, 1]);
        let mut slots: Vec<_> = (0..4).map(|_| count.admit(here)).collect();
        assert!(matches!(
            slots[..],
            [
                Admission::Admitted(_),
                Admission::Admitted(_),
                Admission::Refused(_),
                Admission::Refused(_)
            ]
        ));
        assert!(matches!(count.admit(here), Admission::Dropped));
        assert_eq!(count.open.lock().unwrap().by_address[&here], 4);
        assert!(matches!(count.admit(IpAddr::from([10, 0, 0, 2])), Admission::Admitted(_)));
        slots.clear();
        assert!(matches!(count.admit(here), Admission::Admitted(_)));
        assert!(count.open.lock().unwrap().by_address.is_empty());
    }
}
