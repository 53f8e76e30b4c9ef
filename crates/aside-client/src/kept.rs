//! What is kept of an account's conversations, read without a connection.

mod search;

use std::sync::Arc;

use aside_proto::id::{ConversationId, UserId};

pub use search::{Hits, SearchPage};

use crate::{
    Entry, Error, Options, Overview, StateError, default_data_dir, paths,
    store::{Followed, Store},
    view,
};

/// The most entries that are given at once.
pub(crate) const MAX_HISTORY: u32 = 10_000;

/// What is kept here of an account's conversations: to be read whether or not the server can be reached.
/// [`Client::kept`](crate::Client::kept) gives it while a client runs, [`Kept::open`] without one.
#[derive(Debug, Clone)]
pub struct Kept {
    pub(crate) store: Arc<Store>,
}

impl Kept {
    /// Opens what earlier runs kept, a copy of it if another process uses it. Neither connects nor asks for a password.
    ///
    /// # Errors
    /// [`Error::NothingKept`] if this account has not logged in here; [`Error::State`].
    pub async fn open(options: &Options) -> Result<Self, Error> {
        let handle = options.address.handle.as_deref().ok_or(Error::HandleMissing)?;
        let data_dir =
            options.data_dir.clone().or_else(default_data_dir).ok_or(Error::NoDataDir)?;
        let dir = paths::account_dir(&data_dir, &options.address, handle)
            .map_err(|source| StateError::Io { path: data_dir, source })?;
        if !Store::is_in(&dir) {
            return Err(Error::NothingKept);
        }
        Ok(Self { store: Arc::new(Store::open_shared(&dir, &options.unlock).await?) })
    }

    /// Whose account it is; none before a log-in.
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn user(&self) -> Result<Option<UserId>, Error> {
        Ok(self.store.me().await?)
    }

    /// The conversations that are followed, as a list shows them, by name.
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn overview(&self) -> Result<Vec<Overview>, Error> {
        self.list(|known| known.joined).await
    }

    /// As [`overview`](Self::overview), of those that are followed no longer: what came of them stays readable.
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn left(&self) -> Result<Vec<Overview>, Error> {
        self.list(|known| !known.joined).await
    }

    async fn list(&self, is_meant: impl Fn(&Followed) -> bool) -> Result<Vec<Overview>, Error> {
        let mut list = Vec::new();
        for known in self.store.conversations().await?.into_iter().filter(is_meant) {
            list.push(self.look_at(known).await?);
        }
        list.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(list)
    }

    async fn look_at(&self, known: Followed) -> Result<Overview, StateError> {
        let conversation = known.conversation;
        let progress = self.store.progress(conversation).await?;
        let last = match self.store.last_said(conversation).await? {
            Some(kept) => Some(view::entry(&self.store, &known.name, kept).await?),
            None => None,
        };
        Ok(Overview {
            conversation,
            unread: self.store.unread(conversation).await?,
            read: progress.map_or(0, |progress| progress.read()),
            head: known.cursor.map_or(0, |cursor| cursor.place.seq),
            last,
            name: known.name,
            kind: known.kind,
            tampering: known.tampering,
        })
    }

    /// Entries before `before_seq`, or the last ones, oldest first, at most `count`. Those at the end that are still to be judged
    /// are left out.
    ///
    /// # Errors
    /// [`Error::NotFollowed`], [`Error::State`].
    pub async fn entries(
        &self,
        conversation: ConversationId,
        before_seq: Option<u64>,
        count: u32,
    ) -> Result<Vec<Entry>, Error> {
        let known = self.store.conversation(conversation).await?.ok_or(Error::NotFollowed)?;
        let before = before_seq.unwrap_or(u64::MAX);
        let count = count.min(MAX_HISTORY);
        let kept = self.store.settled_before(conversation, before, count).await?;
        Ok(view::entries(&self.store, &known.name, kept).await?)
    }

    /// Lets go of it, for a program that goes on.
    pub async fn close(self) {
        self.store.close().await;
    }
}
