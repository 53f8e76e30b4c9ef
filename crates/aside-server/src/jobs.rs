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

/// How often what retention no longer keeps is removed (RET-007). What is much is removed in parts, with other work in between.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// Takes what was said into the index for search, until the server stops. A task of its own: a part may wait long for the journal,
/// and nothing else has to wait for it.
pub(crate) async fn index(app: Arc<App>, stop: watch::Receiver<bool>) {
    let mut stopped = pin!(stopped(stop));
    let mut index = interval(INDEX_EVERY);
    loop {
        tokio::select! {
            () = &mut stopped => return,
            _ = index.tick() => {
                if let Err(error) = app.store.index().await {
                    tracing::warn!(%error, "the index for search did not get further");
                }
            }
        }
    }
}

/// Does all else, until the server stops.
pub(crate) async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    let mut stopped = pin!(stopped(stop));
    let mut goings = pin!(app.hub.tell_goings());
    let (mut touch, mut prune) = (interval(TOUCH_EVERY), interval(PRUNE_EVERY));
    let mut trim = interval(TRIM_EVERY);
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
            _ = trim.tick() => match app.store.trim().await {
                Ok(true) => trim.reset_immediately(),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "what is no longer to be kept was not removed");
                }
            },
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
