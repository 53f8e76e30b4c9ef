//! Private conversations: opened, made, changed and looked after. What is said in them is said as in rooms.

use aside_proto::{
    id::{ConversationId, UserId},
    v1::{self, client_frame, server_frame::Body},
};
use tokio::sync::oneshot;

use super::{Client, Queued};
use crate::{
    Error, GroupProfile, Kind, Person, Role, Room, content,
    driver::Command,
    private::{Goal, Health},
};

impl Client {
    /// The private conversation with the user who goes by a handle; made if there is none. What is said there waits until that user
    /// has a device to encrypt to.
    ///
    /// # Errors
    /// NO_SUCH_USER, and DEVICE_NOT_APPROVED if this device is not one of its user's device log, among others.
    pub async fn open_direct(&self, handle: &str) -> Result<Room, Error> {
        let open = v1::OpenDirect { handle: handle.to_owned(), ..Default::default() };
        match self.call(client_frame::Body::OpenDirect(open)).await? {
            Body::DirectOpened(v1::DirectOpened { conversation: Some(room) }) => {
                let room = Room::try_from(room)?;
                self.followed_by_now(room.conversation).await?;
                self.named(room).await
            }
            _ => Err(Error::Gone),
        }
    }

    /// Makes a private conversation, of the user alone at first, with all of the user's devices that can be reached.
    ///
    /// # Errors
    /// DEVICE_NOT_APPROVED among others.
    pub async fn create_group(&self) -> Result<Room, Error> {
        match self.call(client_frame::Body::CreateGroup(v1::CreateGroup {})).await? {
            Body::GroupCreated(v1::GroupCreated { conversation: Some(room) }) => {
                let room = Room::try_from(room)?;
                self.followed_by_now(room.conversation).await?;
                self.want(room.conversation, Goal::Begin).await?;
                self.named(room).await
            }
            _ => Err(Error::Gone),
        }
    }

    /// Lets a user in, with all approved devices; waits until that is done.
    ///
    /// # Errors
    /// [`Error::Goal`], [`Error::NotFollowed`].
    pub async fn add_member(
        &self,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<(), Error> {
        self.want(conversation, Goal::Add(user)).await
    }

    /// Puts a user out, with all devices; waits until that is done.
    ///
    /// # Errors
    /// [`Error::Goal`], [`Error::NotFollowed`].
    pub async fn remove_member(
        &self,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<(), Error> {
        self.want(conversation, Goal::Remove(user)).await
    }

    /// Gives this device new keys in a conversation; waits until that is done.
    ///
    /// # Errors
    /// [`Error::Goal`], [`Error::NotFollowed`].
    pub async fn renew_keys(&self, conversation: ConversationId) -> Result<(), Error> {
        self.want(conversation, Goal::Renew).await
    }

    /// Gives a member of a GROUP another role; for owners.
    ///
    /// # Errors
    /// NOT_PERMITTED, NO_SUCH_USER among others.
    pub async fn set_role(
        &self,
        conversation: ConversationId,
        user: UserId,
        role: Role,
    ) -> Result<(), Error> {
        let set = v1::SetRole {
            conversation_id: conversation.to_bytes(),
            user_id: user.to_bytes(),
            role: role.to_proto().into(),
        };
        self.call(client_frame::Body::SetRole(set)).await.map(drop)
    }

    /// Says what a GROUP is called, and its color, as [`queue`](Self::queue) says a text; for its owners and admins. From others nobody
    /// takes it (PRIV-017). Who comes later is told by itself.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub async fn set_group_profile(
        &self,
        conversation: ConversationId,
        profile: &GroupProfile,
    ) -> Result<Queued, Error> {
        self.queue_payload(conversation, content::profile(profile.clone())).await
    }

    /// What a conversation is that is or was followed, without asking the server.
    ///
    /// # Errors
    /// [`Error::NotFollowed`], [`Error::State`].
    pub async fn kind(&self, conversation: ConversationId) -> Result<Kind, Error> {
        let known = self.store.conversation(conversation).await?;
        known.map(|known| known.kind).ok_or(Error::NotFollowed)
    }

    /// A user, by the handle last heard of.
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn person(&self, user: UserId) -> Result<Person, Error> {
        Ok(Person { user, handle: self.store.handle_of(user).await? })
    }

    /// A private conversation with the name that it has here: the server knows none.
    pub(super) async fn named(&self, mut room: Room) -> Result<Room, Error> {
        if room.kind.is_private() {
            let known = self.store.conversation(room.conversation).await?;
            room.name = known.map(|known| known.name).unwrap_or_default();
        }
        Ok(room)
    }

    /// How a private conversation stands.
    ///
    /// # Errors
    /// [`Error::NotFollowed`].
    pub async fn health(&self, conversation: ConversationId) -> Result<Health, Error> {
        let (done, health) = oneshot::channel();
        self.command(Command::Health { conversation, done }).await?;
        health.await.map_err(|_| Error::Gone)?
    }

    /// Comes into a private conversation anew, with new keys, when nothing else helps. What came before stays readable.
    ///
    /// # Errors
    /// [`Error::NotFollowed`].
    pub async fn rejoin(&self, conversation: ConversationId) -> Result<(), Error> {
        self.go_on(conversation, None).await
    }

    /// Goes on in a private conversation where a device of this user leads, whom this device did not know in its group before (MLS-049):
    /// [`Health::stranger`], once those whom one knows there have said by another way that this user is in it.
    ///
    /// # Errors
    /// [`Error::NotFollowed`]; [`Error::NotTheLeader`] if it is somebody else, or nobody is asked for.
    pub async fn let_lead(&self, conversation: ConversationId, user: UserId) -> Result<(), Error> {
        self.go_on(conversation, Some(user)).await
    }

    async fn go_on(
        &self,
        conversation: ConversationId,
        led_by: Option<UserId>,
    ) -> Result<(), Error> {
        let (done, begun) = oneshot::channel();
        self.command(Command::Rejoin { conversation, led_by, done }).await?;
        begun.await.map_err(|_| Error::Gone)?
    }

    async fn want(&self, conversation: ConversationId, goal: Goal) -> Result<(), Error> {
        let (done, outcome) = oneshot::channel();
        self.command(Command::Want { conversation, goal, done }).await?;
        outcome.await.map_err(|_| Error::Gone)?
    }

    /// The driver follows what was just opened once it has read this device's inbox.
    async fn followed_by_now(&self, conversation: ConversationId) -> Result<(), Error> {
        self.catch_up(conversation).await
    }
}
