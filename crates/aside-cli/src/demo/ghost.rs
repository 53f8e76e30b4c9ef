//! An operator who means ill: his server says of a device of his that it is bob's. He has the server's database, and bob's password.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use aside_client::{ConversationId, DeviceId, Event, Strength, new_recovery_phrase, private};
use aside_server::Server;
use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection, query, sqlite::SqliteConnectOptions,
};

use super::{Demo, People, cast::Person, config, password, private::why_unreadable, server_data};

/// The wire of the operator's own computer.
pub(super) const GHOST: &str = "ghost";
/// What the ghost would like to read.
pub(super) const SAID: [&str; 2] =
    ["Only you and I: the ladder is in the shed.", "I have oiled the hinges of the shed."];

/// What the database of the copy says of the device, put into that of the server.
const PUT: [&str; 4] = [
    "INSERT INTO devices (device_id, user_id, public_key, name, created_ms, last_seen_ms)
     SELECT device_id, user_id, public_key, name, created_ms, last_seen_ms FROM copy.devices WHERE device_id = ?1",
    "INSERT INTO approvals (device) SELECT id FROM devices WHERE device_id = ?1",
    "INSERT INTO key_package_suites (device, suite)
     SELECT d.id, s.suite FROM copy.key_package_suites s
     JOIN copy.devices c ON c.id = s.device JOIN devices d ON d.device_id = c.device_id WHERE d.device_id = ?1",
    "INSERT INTO key_packages (device, suite, last_resort, package)
     SELECT d.id, p.suite, p.last_resort, p.package FROM copy.key_packages p
     JOIN copy.devices c ON c.id = p.device JOIN devices d ON d.device_id = c.device_id WHERE d.device_id = ?1",
];

impl Demo<'_> {
    /// The operator keeps a copy of all that his server has.
    pub(super) async fn keep_copy(&self) -> Result<()> {
        let (server, copy) = (server_data(self.home), copy_data(self.home));
        fs::create_dir(&copy)?;
        for name in ["dev-certificate.pem", "dev-key.pem"] {
            fs::copy(server.join(name), copy.join(name))?;
        }
        let mut database = open(&server).await?;
        let path = copy.join("aside.db").display().to_string();
        query("VACUUM INTO ?1").bind(path).execute(&mut database).await?;
        Ok(database.close().await?)
    }

    /// A device that bob never approved, and that the server says is his.
    pub(super) async fn ghost(&mut self, people: &mut People) -> Result<()> {
        self.stage.scene("A device that the server made up")?;
        let ghost = self.make_ghost().await?;
        self.stage.note(
            "mallory",
            "runs the server, and knows bob's password: a device of his logs in as bob; he writes",
        )?;
        self.stage.note(
            "",
            "into the server's database that bob has approved it, and puts its keys there",
        )?;
        people.alice.noticed.clear();
        let direct = people.alice.client.open_direct("bob").await?.conversation;
        self.says(&people.alice, direct, SAID[0]).await?;
        people.bob.hears(SAID[0]).await?;
        let left_out = |event: &Event| is_left_out(event, ghost);
        people.alice.notices("that a device was left out", left_out).await?;
        self.warned(&people.alice, left_out)?;
        let leaves = people.alice.client.health(direct).await?.leaves;
        self.stage.check(
            leaves.len() == 2 && leaves.iter().all(|leaf| leaf.device != ghost),
            "bob's own device was added and reads it, the other one was not",
        )?;

        self.wire(GHOST).mend(self.server.local_addr());
        let mut ghost = self.way(GHOST)?.come_back().await?;
        self.stage.note(
            "ghost",
            "is let in by the server, and given all that the server has of bob's conversations",
        )?;
        self.says(&people.bob, direct, SAID[1]).await?;
        people.alice.hears(SAID[1]).await?;
        self.reads_nothing(&mut ghost, direct).await?;
        ghost.client.close().await;
        Ok(())
    }

    /// What was said is there, as the server gave it, and none of it can be read.
    async fn reads_nothing(&mut self, ghost: &mut Person, direct: ConversationId) -> Result<()> {
        ghost.client.rooms(true).await?;
        ghost.client.catch_up(direct).await?;
        let shown = ghost.client.history(direct, None, 100).await?;
        let sealed: Vec<_> =
            shown.iter().filter_map(|entry| why_unreadable(entry, "alice")).collect();
        self.stage.note(GHOST, format!("sees:   alice: {}", sealed.first().map_or("", |it| it)))?;
        let heard = ghost.heard.iter().filter(|(_, _, text)| SAID.contains(&text.as_str()));
        let read = heard.count() + ghost.remembers(direct).await?.len();
        self.stage.check(
            sealed.len() == SAID.len() && read == 0,
            "it reads nothing of what was said, before it came or after; alice and bob just go on",
        )?;
        Ok(())
    }

    /// A device with keys and an identity that are in order, on a server of its own: the copy of before bob wrote his phrase.
    async fn make_ghost(&self) -> Result<DeviceId> {
        let copy = copy_data(self.home);
        let mut config = config(self.home);
        config.data.clone_from(&copy);
        let server = Server::start(config).await?;
        self.wire(GHOST).mend(server.local_addr());
        let ghost = self.way(GHOST)?.log_in(&password("bob")).await?;
        ghost.client.begin_identity(&new_recovery_phrase(Strength::Bits128)).await?;
        // Its keys are with the server once what was asked after was answered.
        ghost.client.rooms(true).await?;
        let device = ghost.client.identity().device;
        ghost.client.close().await;
        server.stop().await;
        self.wire(GHOST).cut();
        let mut database = open(&server_data(self.home)).await?;
        let path = copy.join("aside.db").display().to_string();
        query("ATTACH DATABASE ?1 AS copy").bind(path).execute(&mut database).await?;
        for put in PUT {
            let done = query(put).bind(device.as_bytes().as_slice()).execute(&mut database).await?;
            ensure!(done.rows_affected() > 0, "nothing was put there: {put}");
        }
        database.close().await.context("the database of the server")?;
        Ok(device)
    }
}

fn copy_data(home: &Path) -> PathBuf {
    home.join("copy")
}

async fn open(data: &Path) -> Result<SqliteConnection> {
    Ok(SqliteConnectOptions::new().filename(data.join("aside.db")).connect().await?)
}

fn is_left_out(event: &Event, ghost: DeviceId) -> bool {
    let Event::Private { what: private::Event::DeviceLeftOut { device }, .. } = event else {
        return false;
    };
    device.device == ghost
}
