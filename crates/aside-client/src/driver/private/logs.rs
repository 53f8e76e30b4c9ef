//! Device logs of others: fetched, held against what is pinned, and given to the engine.

use aside_proto::{id::UserId, v1};

use crate::{
    Error, Event,
    backoff::retry_after_ms,
    driver::Driver,
    trust::{self, Received},
};

impl Driver {
    pub(super) fn log_missed(&mut self, user: UserId, error: &v1::Error) {
        if let Some(engine) = &mut self.private.engine {
            match retry_after_ms(error) {
                Some(wait) => engine.log_later(user, wait),
                None => engine.no_log(user),
            }
        }
    }

    /// Logs of several users: those that had no room are asked for by themselves (DEVLOG-008).
    pub(super) async fn logs_received(
        &mut self,
        users: Vec<UserId>,
        page: v1::DeviceLogs,
    ) -> Result<(), Error> {
        let v1::DeviceLogs { mut logs, more } = page;
        for user in users {
            let at = logs.iter().position(|part| part.user_id[..] == user.as_bytes()[..]);
            let part = at.map(|at| logs.swap_remove(at));
            if part.is_none() && more {
                self.private.pages.push(user);
                continue;
            }
            let is_part = |part: &v1::DeviceLogPart| part.entries.len() < part.length as usize;
            let page = v1::DeviceLogs {
                more: part.as_ref().is_some_and(is_part),
                logs: part.into_iter().collect(),
            };
            self.page_received(user, Received::new(user), page).await?;
        }
        Ok(())
    }

    /// A page of a user's log, after what was received of it before.
    pub(super) async fn page_received(
        &mut self,
        user: UserId,
        mut received: Received,
        page: v1::DeviceLogs,
    ) -> Result<(), Error> {
        match received.take(page) {
            Ok(true) => {
                self.private.logs.insert(user, received);
                self.private.pages.push(user);
                Ok(())
            }
            Ok(false) => self.log_received(user, &received).await,
            Err(error) => self.log_refused(user, error).await,
        }
    }

    pub(super) async fn log_received(
        &mut self,
        user: UserId,
        received: &Received,
    ) -> Result<(), Error> {
        let server = self.authenticator.dialer.address.host.clone();
        match trust::hold(&self.store, &server, received, false).await {
            Ok(log) => {
                if let Some(engine) = &mut self.private.engine {
                    match log {
                        Some(log) => engine.learn(log),
                        None => engine.no_log(user),
                    }
                }
                Ok(())
            }
            Err(error) => self.log_refused(user, error).await,
        }
    }

    pub(super) async fn log_refused(&mut self, user: UserId, error: Error) -> Result<(), Error> {
        if let Some(engine) = &mut self.private.engine {
            engine.no_log(user);
        }
        match error {
            Error::DeviceLog(why) => {
                let who = self.person(user).await?;
                self.out.tell(Event::DeviceLogRefused { who, why });
                Ok(())
            }
            Error::DeviceLogInvalid { .. } => Ok(()),
            error => Err(error),
        }
    }

    /// A device log is kept, by a call of the program's.
    pub(in crate::driver) async fn log_known(&mut self, user: UserId) -> Result<(), Error> {
        let Some(engine) = &mut self.private.engine else { return Ok(()) };
        if let Some(known) = self.store.device_log(user).await? {
            engine.learn(known.replay(user)?);
        }
        self.private_work().await
    }

    pub(in crate::driver) fn device_log_changed(&mut self, user: UserId) {
        if let Some(engine) = &mut self.private.engine {
            engine.log_changed(user);
        }
    }
}
