//! What is done now and then.

use std::{pin::pin, sync::Arc, time::Duration};

use aside_proto::id::DeviceId;
use tokio::{sync::watch, time::interval};

use crate::{app::App, listener::stopped};

/// How often devices that are connected are noted as seen; `last_seen_ms` may lag by so much.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// How often idempotency keys past the window are removed.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// How often some of what was said is taken into the index for search, before someone asks for it. So long a rest between calls
/// that each do a bounded amount keeps most of the writer's time for messages.
const INDEX_EVERY: Duration = Duration::from_secs(5);
/// How often what retention no longer keeps is removed (RET-007).
pub(crate) const TRIM_EVERY: Duration = Duration::from_secs(60);
/// How long messages have most of the writer's time after a call that left something to be removed.
const TRIM_REST: Duration = Duration::from_secs(1);

/// Takes what was said into the index for search, until the server stops. A task of its own: a part may wait long for the journal,
/// and nothing else has to wait for it.
pub(crate) async fn index(app: Arc<App>, stop: watch::Receiver<bool>) {
    let indexing = async {
        let mut index = interval(INDEX_EVERY);
        loop {
            index.tick().await;
            if let Err(error) = app.store.index().await {
                tracing::warn!(%error, "the index for search did not get further");
            }
        }
    };
    tokio::select! {
        () = stopped(stop) => {}
        () = indexing => {}
    }
}

/// Removes what retention no longer keeps, so often, until the server stops: in parts, for each of which it may wait long. So it is a
/// task of its own, too.
pub(crate) async fn trim(app: Arc<App>, every: Duration, stop: watch::Receiver<bool>) {
    let trimming = async {
        let mut trim = interval(every);
        loop {
            trim.tick().await;
            match app.store.trim().await {
                Ok(true) => trim.reset_after(TRIM_REST.min(every)),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "what is no longer to be kept was not removed");
                }
            }
        }
    };
    tokio::select! {
        () = stopped(stop) => {}
        () = trimming => {}
    }
}

/// Does all else, until the server stops.
pub(crate) async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    let mut stopped = pin!(stopped(stop));
    let mut goings = pin!(app.hub.tell_goings());
    let (mut touch, mut prune) = (interval(TOUCH_EVERY), interval(PRUNE_EVERY));
    loop {
        tokio::select! {
            () = &mut stopped => return,
            () = &mut goings => return,
            () = app.seen.added() => note_seen(&app).await,
            _ = touch.tick() => {
                app.rates.forget_idle();
                app.hub.forget_typing(app.now().monotonic_ms);
                touch_all(&app, app.hub.all_online_devices()).await;
            }
            _ = prune.tick() => {
                if let Err(error) = app.store.prune().await {
                    tracing::warn!(%error, "old idempotency keys were not removed");
                }
            }
        }
    }
}

/// Notes the devices whose connections ended.
pub(crate) async fn note_seen(app: &App) {
    let devices = app.seen.all();
    touch_all(app, devices.clone()).await;
    app.seen.noted(&devices);
}

async fn touch_all(app: &App, devices: Vec<DeviceId>) {
    if let Err(error) = app.store.touch(devices).await {
        tracing::warn!(%error, "devices were not noted as seen");
    }
}

#[cfg(test)]
mod tests {
    use aside_proto::{
        id::{ConversationId, IdempotencyKey, UserId, uuid_v7},
        name::Name,
        v1,
    };
    use aside_store::{Append, CreateRoom, LoggedIn, Register};

    use super::*;
    use crate::{Config, Server};

    /// A server that did not do it would be waited for until this is over.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn key(number: u8) -> IdempotencyKey {
        IdempotencyKey::new(uuid_v7(1_700_000_000_000, [number; 10]))
    }

    /// A room with two entries, and its owner.
    async fn den(app: &App) -> (LoggedIn, ConversationId) {
        let register = Register {
            key: key(1),
            handle: Name::new("alice", 32).unwrap(),
            on_conflict: v1::OnConflict::Reject,
            password_hash: "none".into(),
            public_key: [4; 65],
            device_name: "laptop".into(),
        };
        let LoggedIn { user, device } = app.store.register(register).await.unwrap();
        let name = Name::new("den", 32).unwrap();
        let create = CreateRoom { key: key(2), user, device, name };
        let created = app.store.create_room(create).await.unwrap();
        let id = created.room.unwrap().conversation_id;
        (LoggedIn { user, device }, ConversationId::new(id[..].try_into().unwrap()))
    }

    async fn say(app: &App, alice: &LoggedIn, conversation: ConversationId, number: u8) {
        let append = Append {
            user: alice.user,
            device: alice.device,
            conversation,
            message_id: key(number),
            payload: vec![number].into(),
            salt: [0; 32],
            signature: vec![0; 64].into(),
        };
        app.store.append(append).await.unwrap();
    }

    /// Waits until the log begins there.
    async fn begins_at(app: &App, user: UserId, room: ConversationId, first_seq: u64) {
        let begins = async {
            while app.store.head(user, room).await.unwrap().first_seq != first_seq {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, begins).await.expect("nothing was removed");
    }

    // cites: RET-007
    #[tokio::test]
    async fn what_is_not_to_be_kept_goes_by_itself_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests(folder.path());
        config.retention.max_entries = 2;
        let app = App::open(config).await.unwrap();
        let (alice, room) = den(&app).await;
        let (stop, stopped) = watch::channel(false);
        let job = tokio::spawn(trim(Arc::clone(&app), Duration::from_millis(1), stopped));
        for number in 3..6 {
            say(&app, &alice, room, number).await;
            begins_at(&app, alice.user, room, u64::from(number) - 1).await;
        }
        stop.send_replace(true);
        job.await.unwrap();
        app.store.close().await;
    }

    // cites: RET-007
    #[tokio::test]
    async fn a_server_removes_what_is_not_to_be_kept() {
        let folder = tempfile::tempdir().unwrap();
        let app = App::open(Config::for_tests(folder.path())).await.unwrap();
        let (alice, room) = den(&app).await;
        say(&app, &alice, room, 3).await;
        app.store.close().await;
        drop(app);
        let mut config = Config::for_tests(folder.path());
        config.retention.max_entries = 1;
        let running = Server::start(config).await.unwrap();
        begins_at(&running.app, alice.user, room, 3).await;
        running.stop().await;
    }
}
