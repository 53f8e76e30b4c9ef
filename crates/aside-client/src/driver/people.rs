//! Who is online, as last heard: asked anew when something may have been missed (PRES-014). And the user's own writing, on its
//! way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aside_proto::{
    SYNC,
    id::{ConversationId, IdLengthError, UserId},
    v1::{self, client_frame::Body},
};
use aside_session::client::{Greeting, Live, Violation};
use tokio::time::Instant;

use super::Driver;
use crate::{Error, Event, Person, Presence, backoff::retry_after};

/// Users that are kept in mind; of more, only what is told is passed on.
const MAX_KNOWN: usize = 4096;
/// What was said of the user's writing and is not sent yet: more is old.
const MAX_SAYINGS: usize = 16;

/// Those the program has asked about or was told of.
#[derive(Debug, Default)]
pub(super) struct People {
    /// Whether the capability `sync` is in force.
    in_force: bool,
    /// How many may be asked about at once.
    page: usize,
    /// The status of those online.
    known: BTreeMap<UserId, Option<String>>,
    /// To be asked about.
    due: BTreeSet<UserId>,
    not_before: Option<Instant>,
    sayings: VecDeque<(ConversationId, bool)>,
}

impl People {
    pub(super) fn online(&mut self, greeting: &Greeting) {
        self.in_force = greeting.capabilities.iter().any(|capability| capability == SYNC);
        self.page = greeting.limits.max_page_items.max(1) as usize;
        self.missed();
    }

    pub(super) fn disconnected(&mut self) {
        self.in_force = false;
        self.not_before = None;
        self.sayings.clear();
    }

    /// Something that was told may not have come.
    pub(super) fn missed(&mut self) {
        self.due = self.known.keys().copied().collect();
    }

    /// The user writes somewhere, or no longer: said now or never.
    pub(super) fn say(&mut self, conversation: ConversationId, typing: bool) {
        if self.in_force && self.sayings.len() < MAX_SAYINGS {
            self.sayings.push_back((conversation, typing));
        }
    }

    /// The next request, and who is asked about by it.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(Vec<UserId>, Body)> {
        if let Some((conversation, typing)) = self.sayings.pop_front() {
            let conversation_id = conversation.to_bytes();
            let set = v1::SetTyping { conversation_id, typing };
            return Some((Vec::new(), Body::SetTyping(set)));
        }
        if !self.in_force || self.due.is_empty() || self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        self.not_before = None;
        let asked: Vec<UserId> = self.due.iter().copied().take(self.page).collect();
        for user in &asked {
            self.due.remove(user);
        }
        let user_ids = asked.iter().map(|user| user.to_bytes()).collect();
        Some((asked, Body::GetPresence(v1::GetPresence { user_ids })))
    }

    /// When [`poll`](Self::poll) has one, if not now.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.in_force && !self.due.is_empty())
    }

    /// A request was refused: asked again later, if that is worth it.
    pub(super) fn refused(&mut self, asked: Vec<UserId>, error: &v1::Error, now: Instant) {
        if let Some(wait) = retry_after(error) {
            self.not_before = Some(now + wait);
            self.due.extend(asked);
        }
    }

    /// Notes what was found about those asked about; gives what is news.
    pub(super) fn found(
        &mut self,
        asked: &[UserId],
        presences: &v1::Presences,
    ) -> Result<Vec<(UserId, Option<String>)>, IdLengthError> {
        let mut online = BTreeMap::new();
        for presence in &presences.presences {
            online.insert(UserId::try_from(&presence.user_id[..])?, presence.status_text.clone());
        }
        let found = asked.iter().map(|user| (*user, online.get(user).cloned()));
        Ok(found.filter(|(user, status)| self.learn(*user, status.as_deref())).collect())
    }

    /// Notes what is known of a user; whether it is news.
    fn learn(&mut self, user: UserId, status: Option<&str>) -> bool {
        self.due.remove(&user);
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&user) {
            return true;
        }
        let status = status.map(str::to_owned);
        self.known.insert(user, status.clone()) != Some(status)
    }
}

impl Driver {
    /// Passes on what was told to whoever is connected.
    pub(super) async fn live(&mut self, live: Live) -> Result<(), Error> {
        let me = self.status.borrow().identity.user;
        let event = match live {
            Live::Presence { user, settings, .. } if user == me => {
                let Some(settings) = settings else { return Ok(()) };
                Event::PresenceSettings(settings.into())
            }
            Live::Presence { user, online, status, .. } => {
                let status = online.then_some(status);
                if !self.people.learn(user, status.as_deref()) {
                    return Ok(());
                }
                self.presence(user, status).await?
            }
            Live::Typing { conversation, user, typing } => {
                Event::Typing { conversation, who: self.person(user).await?, typing }
            }
            Live::Notice(notice) => Event::Notice(notice.into()),
        };
        self.out.tell(event);
        Ok(())
    }

    /// Those that were asked about anew: the program is told what has changed.
    pub(super) async fn found(
        &mut self,
        asked: &[UserId],
        presences: &v1::Presences,
    ) -> Result<(), Error> {
        for (user, status) in self.people.found(asked, presences).map_err(Violation::from)? {
            let event = self.presence(user, status).await?;
            self.out.tell(event);
        }
        Ok(())
    }

    async fn presence(&self, user: UserId, status: Option<String>) -> Result<Event, Error> {
        let (online, status) = (status.is_some(), status.unwrap_or_default());
        Ok(Event::Presence(Presence { who: self.person(user).await?, online, status }))
    }

    pub(super) async fn person(&self, user: UserId) -> Result<Person, Error> {
        Ok(Person { user, handle: self.store.handle_of(user).await? })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn user(n: u8) -> UserId {
        UserId::new([n; 16])
    }

    fn people() -> People {
        People { in_force: true, page: 2, ..People::default() }
    }

    fn online(users: &[u8]) -> v1::Presences {
        let presence = |n: &u8| v1::Presence { user_id: user(*n).to_bytes(), ..Default::default() };
        v1::Presences { presences: users.iter().map(presence).collect(), settings: None }
    }

    // cites: PRES-014
    #[test]
    fn those_known_are_asked_about_anew_in_pages() {
        let now = Instant::now();
        let mut people = people();
        let asked = [1, 2, 3].map(user);
        assert_eq!(people.found(&asked, &online(&[1, 3])).unwrap().len(), 3);
        assert!(people.poll(now).is_none(), "nothing was missed");
        people.missed();
        let (first, body) = people.poll(now).unwrap();
        assert_eq!(first, [user(1), user(2)]);
        assert!(matches!(body, Body::GetPresence(get) if get.user_ids.len() == 2));
        // What has not changed is no news.
        let news = people.found(&first, &online(&[2])).unwrap();
        assert_eq!(news, [(user(1), None), (user(2), Some(String::new()))]);
        // Who is told of meanwhile need not be asked about.
        assert!(people.learn(user(3), None));
        assert!(people.poll(now).is_none());
    }

    // cites: LIM-007
    #[test]
    fn who_is_refused_waits_as_long_as_the_server_asks() {
        let now = Instant::now();
        let mut people = people();
        people.learn(user(1), None);
        people.missed();
        let (asked, _) = people.poll(now).unwrap();
        let error = |code: v1::ErrorCode, retry_after_ms| v1::Error {
            code: code.into(),
            retry_after_ms,
            ..Default::default()
        };
        people.refused(asked.clone(), &error(v1::ErrorCode::RateLimited, 500), now);
        let later = now + Duration::from_millis(500);
        assert_eq!((people.poll(now), people.wake_at()), (None, Some(later)));
        assert_eq!(people.poll(later).map(|(again, _)| again), Some(asked.clone()));
        people.refused(asked, &error(v1::ErrorCode::InvalidArgument, 0), later);
        assert!(people.poll(later).is_none());
    }

    // cites: TYPE-007
    #[test]
    fn writing_is_said_now_or_never() {
        let now = Instant::now();
        let room = ConversationId::new([7; 16]);
        let mut people = people();
        for _ in 0..2 * MAX_SAYINGS {
            people.say(room, true);
        }
        let mut sent = 0;
        while let Some((asked, body)) = people.poll(now) {
            assert!(asked.is_empty() && matches!(body, Body::SetTyping(_)));
            sent += 1;
        }
        assert_eq!(sent, MAX_SAYINGS);
        people.say(room, true);
        people.disconnected();
        people.say(room, false);
        assert!(people.poll(now).is_none());
    }
}
