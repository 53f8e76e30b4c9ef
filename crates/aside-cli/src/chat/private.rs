//! Private conversations: begun, named, joined by others and left, looked after.

use anyhow::{Result, bail};
use aside_client::{
    ConversationId, Error, GroupProfile, Kind, Role, UserId, display::neutralise_line,
    private::GoalError, v1,
};

use super::{
    Current,
    command::Command,
    worker::{Done, Worker},
};
use crate::{
    named,
    output::{is_signed, private, role_name, standing},
};

/// The color of a group whose members have not chosen one.
const NO_COLOR: u32 = 0x80_80_80;

/// What is to be done with a private conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Private {
    /// The one with somebody, and what is said in it.
    Direct(String, Option<String>),
    /// A group of this name.
    Create(String),
    Invite(String),
    Remove(String),
    Role(String, Role),
    Name(String),
    /// For who was told what that comes to, and is sure.
    Leave(bool),
    Health,
    /// Anew, or where somebody leads whom this device did not know there.
    Rejoin(Option<String>),
}

impl Private {
    /// Reads a command about private conversations; `None` if it is none of these.
    pub(super) fn parse(command: &str) -> Option<Result<Command, String>> {
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        let parsed = match (name, rest) {
            ("dm", "") => Err("/dm needs a handle: see /help".to_owned()),
            ("dm", rest) => {
                let (handle, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                let text = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
                Ok(Self::Direct(handle.trim_start_matches('@').to_owned(), text))
            }
            ("group", rest) => Self::group(rest),
            ("health", "") => Ok(Self::Health),
            ("health", _) => Err("/health takes no word behind it".to_owned()),
            ("rejoin", "") => Ok(Self::Rejoin(None)),
            ("rejoin", who) if !who.contains(char::is_whitespace) => {
                Ok(Self::Rejoin(Some(who.trim_start_matches('@').to_owned())))
            }
            ("rejoin", _) => Err("/rejoin takes one name, if any".to_owned()),
            _ => return None,
        };
        Some(parsed.map(Command::Private))
    }

    fn group(rest: &str) -> Result<Self, String> {
        let (what, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let rest = rest.trim();
        let mut words = rest.split_whitespace();
        let (first, second, more) = (words.next(), words.next(), words.next().is_some());
        let handle = |handle: &str| handle.trim_start_matches('@').to_owned();
        match (what, first, second) {
            ("new", Some(_), _) => Ok(Self::Create(rest.to_owned())),
            ("name", Some(_), _) => Ok(Self::Name(rest.to_owned())),
            ("leave", None, _) => Ok(Self::Leave(false)),
            ("leave", Some("yes"), None) => Ok(Self::Leave(true)),
            ("invite" | "add", Some(who), None) => Ok(Self::Invite(handle(who))),
            ("remove", Some(who), None) => Ok(Self::Remove(handle(who))),
            ("promote", Some(who), None | Some("admin")) if !more => {
                Ok(Self::Role(handle(who), Role::Admin))
            }
            ("promote", Some(who), Some("owner")) if !more => {
                Ok(Self::Role(handle(who), Role::Owner))
            }
            ("demote", Some(who), None | Some("member")) if !more => {
                Ok(Self::Role(handle(who), Role::Member))
            }
            ("demote", Some(who), Some("admin")) if !more => {
                Ok(Self::Role(handle(who), Role::Admin))
            }
            ("new" | "name", None, _) => Err(format!("/group {what} needs a name")),
            ("invite" | "add" | "remove" | "promote" | "demote", None, _) => {
                Err(format!("/group {what} needs a handle"))
            }
            ("promote" | "demote", ..) => {
                Err(format!("/group {what} takes a handle, and perhaps admin, owner or member"))
            }
            _ => Err("/group is new NAME, name NAME, invite HANDLE, remove HANDLE, promote HANDLE, demote HANDLE or leave"
                .to_owned()),
        }
    }
}

impl Worker {
    pub(super) async fn private(&mut self, asked: Private) -> Result<()> {
        if !matches!(asked, Private::Direct(..) | Private::Create(_)) {
            self.check_is_in(self.private_here()?).await?;
        }
        match asked {
            Private::Direct(handle, text) => self.direct(&handle, text).await,
            Private::Create(name) => self.new_group(&name).await,
            Private::Name(name) => {
                let group = self.group()?.conversation;
                let profile = profile(&name)?;
                self.check_may_name(group).await?;
                let queued = self.client.set_group_profile(group, &profile).await?;
                self.tell(Done::Waits).await;
                self.wait(queued);
                Ok(())
            }
            Private::Invite(handle) => self.invite(&handle).await,
            Private::Remove(handle) => {
                let (group, (user, role)) =
                    (self.group()?.conversation, self.member(&handle).await?);
                self.check_may_remove(group, user, role).await?;
                self.client.remove_member(group, user).await?;
                let shown = neutralise_line(&handle);
                self.say(format!("{shown} is in it no longer; keys are new since")).await;
                Ok(())
            }
            Private::Role(handle, role) => self.give_role(&handle, role).await,
            Private::Leave(sure) => {
                self.group()?;
                self.leave(None, sure).await
            }
            Private::Health => {
                let here = self.private_here()?.clone();
                let health = self.client.health(here.conversation).await?;
                let place = (here.kind, here.name.as_str());
                self.say(standing::health(&self.client, place, &health, self.style).await?).await;
                Ok(())
            }
            Private::Rejoin(None) => {
                self.client.rejoin(self.private_here()?.conversation).await?;
                self.say("this device comes in anew; /health says how far it is".to_owned()).await;
                Ok(())
            }
            Private::Rejoin(Some(who)) => self.let_lead(&who).await,
        }
    }

    /// The group goes on by somebody whom this device did not know there: by no other than is named.
    async fn let_lead(&self, who: &str) -> Result<()> {
        let here = self.private_here()?.conversation;
        let stranger = self.client.health(here).await?.stranger;
        let shown = neutralise_line(who);
        let Some(user) = stranger else {
            bail!("nobody has to be let in here by name; /rejoin alone comes in anew");
        };
        // A name that several have had says nothing.
        if self.client.user_called(who).await? != Some(user) && who != user.to_string() {
            bail!(
                "it is not {shown} by whom the group goes on, or several are called so; /health says who it is, {user} names nobody else"
            );
        }
        self.client.let_lead(here, user).await?;
        self.say(format!("the group goes on with {shown}; /health says how it stands")).await;
        Ok(())
    }

    async fn invite(&self, handle: &str) -> Result<()> {
        let group = self.group()?.conversation;
        let user = match self.client.user_called(handle).await? {
            Some(user) => user,
            None => self.looked_up(handle).await?,
        };
        let shown = neutralise_line(handle);
        if user == self.client.identity().user {
            bail!("you are in this group yourself");
        }
        if self.role(group, user).await?.is_some() {
            bail!("{shown} is in this group already; /health says with how many devices");
        }
        self.client.add_member(group, user).await.map_err(|error| explained(error, handle))?;
        self.say(format!("{shown} is in it now")).await;
        Ok(())
    }

    async fn give_role(&self, handle: &str, role: Role) -> Result<()> {
        let group = self.group()?.conversation;
        let (user, before) = self.member(handle).await?;
        let (me, shown) = (self.client.identity().user, neutralise_line(handle));
        let is = if user == me { "you are".to_owned() } else { format!("{shown} is") };
        let name = role_name(role);
        if before == Some(role) {
            bail!("{is} {name} of this group already");
        }
        if self.role(group, me).await? != Some(Some(Role::Owner)) {
            bail!("only an owner of this group gives roles: ask one");
        }
        match self.client.set_role(group, user, role).await {
            // PRIV-010: there is nothing else that an owner may not do.
            Err(error) if user == me && error.is_refusal(v1::ErrorCode::NotPermitted) => bail!(
                "you are the only owner of this group, and it has one: /group promote HANDLE owner makes somebody else one first"
            ),
            given => given?,
        }
        self.say(format!("{is} {name} of this group now")).await;
        Ok(())
    }

    /// What somebody is in a group, if anything; a role that this version does not know is none.
    async fn role(&self, group: ConversationId, user: UserId) -> Result<Option<Option<Role>>> {
        // Who is a member is told by the log.
        let _ = self.client.catch_up(group).await;
        let members = self.client.health(group).await?.members;
        let found = members.into_iter().find(|(member, _)| *member == user);
        Ok(found.map(|(_, role)| Role::of(role)))
    }

    /// Somebody who is nowhere with the user: a handle leads to its account by the private conversation of the two.
    async fn looked_up(&self, handle: &str) -> Result<UserId> {
        let direct = self.client.open_direct(handle).await?.conversation;
        let shown = neutralise_line(handle);
        self.say(format!(
            "to find {shown} a private conversation was begun, which {shown} sees in the list too: nothing is said in it, and /dm {shown} \
             goes there"
        ))
        .await;
        match self.client.member_called(direct, handle).await? {
            Some(user) => Ok(user),
            None => bail!("the server does not say who {} is", neutralise_line(handle)),
        }
    }

    async fn direct(&mut self, handle: &str, text: Option<String>) -> Result<()> {
        named::check_is_other(&self.client, handle)?;
        let room = self.client.open_direct(handle).await?;
        let name = self.style.bold(self.style.place(room.kind, &room.name));
        self.say(format!("{name} is private: the two of you alone can read it")).await;
        self.enter(&room).await;
        if let Some(text) = text {
            // It ends by itself, as what is typed does.
            self.tell(Done::Waits).await;
            let said = self.talk(&text).await;
            self.said(said).await;
        }
        Ok(())
    }

    async fn new_group(&mut self, name: &str) -> Result<()> {
        // Before anything is made.
        let profile = profile(name)?;
        let mut room = self.client.create_group().await?;
        let queued = self.client.set_group_profile(room.conversation, &profile).await?;
        queued.receipt().await?;
        profile.name().clone_into(&mut room.name);
        let shown = self.style.bold(self.style.place(room.kind, &room.name));
        self.say(format!(
            "{shown} is a private group: its members alone can read it, its name too. /group invite HANDLE adds somebody"
        ))
        .await;
        self.enter(&room).await;
        Ok(())
    }

    /// The private conversation that is talked in.
    fn private_here(&self) -> Result<&Current> {
        let here = self.here()?;
        if !here.kind.is_private() {
            bail!(
                "{} is a public room, which the server can read: /dm or /group new begins a private conversation",
                neutralise_line(&here.name)
            );
        }
        Ok(here)
    }

    /// The group that is talked in.
    fn group(&self) -> Result<&Current> {
        let here = self.private_here()?;
        if here.kind == Kind::Direct {
            bail!("this is between two for ever: /group new begins a group");
        }
        Ok(here)
    }

    /// From others nobody takes a name (PRIV-017).
    async fn check_may_name(&self, group: ConversationId) -> Result<()> {
        match self.role(group, self.client.identity().user).await?.flatten() {
            Some(Role::Owner | Role::Admin) => Ok(()),
            _ => bail!(
                "only an admin or owner of the group names it: ask one to, or to /group promote you"
            ),
        }
    }

    /// PRIV-010: admins put out members only.
    async fn check_may_remove(
        &self,
        group: ConversationId,
        user: UserId,
        role: Option<Role>,
    ) -> Result<()> {
        let me = self.client.identity().user;
        if user == me {
            bail!("that is you: /group leave");
        }
        match self.role(group, me).await?.flatten() {
            Some(Role::Owner) => Ok(()),
            Some(Role::Admin) if role == Some(Role::Member) => Ok(()),
            Some(Role::Admin) => {
                bail!("only an owner of the group puts out an owner or an admin: ask one")
            }
            _ => bail!("only an admin or owner of the group puts anybody out: ask one"),
        }
    }

    /// Somebody who is in the group that is talked in, and what they are in it.
    async fn member(&self, handle: &str) -> Result<(UserId, Option<Role>)> {
        let group = self.group()?.conversation;
        // Handles come with the log.
        let _ = self.client.catch_up(group).await;
        let user = match self.client.member_called(group, handle).await? {
            Some(user) => Some(user),
            None => self.client.user_called(handle).await?,
        };
        let role = match user {
            Some(user) => self.role(group, user).await?.map(|role| (user, role)),
            None => None,
        };
        match role {
            Some(found) => Ok(found),
            None => bail!("{} is not in this group; /users lists who is", neutralise_line(handle)),
        }
    }
}

/// What a group is to be called: nothing that looks like a handle, or like a room's name.
fn profile(name: &str) -> Result<GroupProfile> {
    if is_signed(name) {
        bail!(
            "a group's name does not begin with @, # or a lock: so begins what is shown of other conversations"
        );
    }
    Ok(GroupProfile::new(name, NO_COLOR)?)
}

/// Why somebody can't be added, by name.
fn explained(error: Error, handle: &str) -> anyhow::Error {
    match error {
        Error::Goal(GoalError::NoDevice(why)) => {
            anyhow::anyhow!("{}", private::no_device(handle, why))
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Private> {
        match Command::parse(line) {
            Ok(Some(Command::Private(asked))) => Some(asked),
            _ => None,
        }
    }

    #[test]
    fn commands_about_private_conversations_are_read() {
        assert_eq!(parse("/dm bob"), Some(Private::Direct("bob".into(), None)));
        let said = Some("hi  there".to_owned());
        assert_eq!(parse("/dm @bob  hi  there "), Some(Private::Direct("bob".into(), said)));
        assert_eq!(parse("/group new tea & cake"), Some(Private::Create("tea & cake".into())));
        assert_eq!(parse("/group name Tee"), Some(Private::Name("Tee".into())));
        assert_eq!(parse("/group invite @bob"), Some(Private::Invite("bob".into())));
        assert_eq!(parse("/group remove bob"), Some(Private::Remove("bob".into())));
        let role = |role| Some(Private::Role("bob".into(), role));
        assert_eq!(parse("/group promote bob"), role(Role::Admin));
        assert_eq!(parse("/group promote bob owner"), role(Role::Owner));
        assert_eq!(parse("/group demote bob"), role(Role::Member));
        assert_eq!(parse("/group demote bob admin"), role(Role::Admin));
        assert_eq!(parse("/group leave"), Some(Private::Leave(false)));
        assert_eq!(parse("/group leave yes"), Some(Private::Leave(true)));
        assert_eq!(
            (parse("/health"), parse("/rejoin")),
            (Some(Private::Health), Some(Private::Rejoin(None)))
        );
        assert_eq!(parse("/rejoin @bob"), Some(Private::Rejoin(Some("bob".into()))));
        for wrong in [
            "/rejoin bob carol",
            "/dm",
            "/group",
            "/group new",
            "/group invite",
            "/group invite bob carol",
            "/group promote bob king",
            "/group promote bob owner now",
            "/group leave it",
            "/group dance",
            "/health tea",
        ] {
            assert!(Command::parse(wrong).is_err(), "{wrong}");
        }
    }
}
