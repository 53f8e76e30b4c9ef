//! What the server holds, and what happens when somebody changes it.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use aside_client::{ConversationId, Event};

use super::{
    Demo, PUBLIC, People, Stage, password, private::PRIVATE, restart, server_data, together::SECRET,
};

/// A message, and what somebody makes of it in the server's database.
const TRUE: &str = "Meet me at the north gate at ten.";
const FALSE: &str = "Meet me at the south gate at ten.";

impl Demo<'_> {
    /// Ends the demo; gives how many things went otherwise than stated.
    pub(super) async fn tampering(
        mut self,
        mut people: People,
        room: ConversationId,
    ) -> Result<u32> {
        self.stage.scene("What the server stores")?;
        people.carol.client.close().await;
        self.stage.note("carol", "goes offline")?;
        self.says(&people.alice, room, TRUE).await?;
        people.bob.hears(TRUE).await?;
        for wire in self.wires.values() {
            wire.cut();
        }
        let carols_way = self.way("carol")?;
        let Self { mut stage, home, server, wires } = self;
        server.stop().await;
        let database = server_data(home).join("aside.db");
        show_stored(&mut stage, &database)?;
        show_private(&mut stage, home)?;

        stage.scene("A tampered history")?;
        change(&database)?;
        stage.note("burglar", "breaks into the stopped server, and writes into its database:")?;
        stage.note("", format!("  {FALSE}"))?;
        let server = restart(home, &wires).await?;
        stage.note("server", "starts again; it does not know")?;
        let mut carol = carols_way.come_back().await?;
        let tampering = |event: &Event| matches!(event, Event::Tampering { .. });
        carol.notices("a warning", tampering).await?;
        for event in &carol.noticed {
            if let Event::Tampering { what, .. } = event {
                stage.note("carol", "comes back to read what she missed, and is warned:")?;
                stage.note("", format!("  {what}"))?;
            }
        }
        stage.check(
            carol.times_heard(FALSE) == 0,
            "the false text was not shown to her as alice's",
        )?;
        let refused = carol.client.send(room, "At the south gate, then?").await.is_err();
        stage.check(refused, "her client does not go on in a room that it can't trust")?;
        for person in [&people.alice, &people.bob] {
            let remembers = person.remembers(room).await?;
            let holds = remembers.iter().any(|text| text == TRUE);
            stage.check(holds, format!("{} still has what was really said", person.name))?;
        }
        for client in [people.alice.client, people.bob.client, carol.client] {
            client.close().await;
        }
        server.stop().await;
        Ok(stage.failures())
    }
}

fn show_stored(stage: &mut Stage, database: &Path) -> Result<()> {
    let stored = fs::read(database)?;
    let kib = stored.len() / 1024;
    stage.note("server", format!("is stopped; its database has {kib} KiB"))?;
    let holds = |text: &str| find(&stored, text).is_some();
    stage.check(
        holds(TRUE),
        "what is said in a public room is stored readable, as the room's mark says",
    )?;
    stage.check(!holds(SECRET), "of what bob deleted there is nothing left")?;
    stage.check(holds("$argon2id$"), "of passwords there are Argon2id hashes …")?;
    let passwords = ["alice", "bob", "carol"].map(password);
    stage.check(!passwords.iter().any(|it| holds(it)), "… and the passwords nowhere")?;
    Ok(())
}

/// Of what was private nothing is found: in all that the server has written, and on the computers of those who were there.
fn show_private(stage: &mut Stage, home: &Path) -> Result<()> {
    let mut held = Vec::new();
    read_all(&server_data(home), &mut held)?;
    let (files, bytes) = (held.len(), held.iter().map(Vec::len).sum::<usize>());
    let found = |text: &str| held.iter().any(|file| find(file, text).is_some());
    stage.check(found(TRUE), "the search finds what is there to be found")?;
    let private = PRIVATE.iter().filter(|text| found(text)).count();
    stage.check(
        private == 0,
        format!(
            "of the {} private texts and names it finds nothing: in {files} files, {} KiB, all that the server has written",
            PRIVATE.len(),
            bytes / 1024
        ),
    )?;
    stage.note(
        "server",
        "does hold: that there is a group, who is in it with which devices, who said something",
    )?;
    stage.note(
        "",
        "there and when, how long it was, roughly, and that a member's change was rejected",
    )?;
    let mut sealed = true;
    for name in ["alice", "bob", "carol"] {
        let mut computer = Vec::new();
        read_all(&home.join(format!("{name}'s computer")), &mut computer)?;
        let found = |text: &str| computer.iter().any(|file| find(file, text).is_some());
        sealed &= found(PUBLIC) && !PRIVATE.iter().any(|text| found(text));
    }
    stage.check(
        sealed,
        "nor does it in their own clients' files, where it finds the public room: there it is sealed",
    )?;
    Ok(())
}

/// The contents of all files in a folder and those below it.
fn read_all(folder: &Path, held: &mut Vec<Vec<u8>>) -> Result<()> {
    for item in fs::read_dir(folder)? {
        let path = item?.path();
        match path.is_dir() {
            true => read_all(&path, held)?,
            false => held.push(fs::read(&path)?),
        }
    }
    Ok(())
}

/// Writes the false text over the true one: as many bytes, so that the database is as sound as before.
fn change(database: &Path) -> Result<()> {
    let mut stored = fs::read(database)?;
    let mut changed = 0;
    while let Some(at) = find(&stored, TRUE) {
        stored[at..at + FALSE.len()].copy_from_slice(FALSE.as_bytes());
        changed += 1;
    }
    ensure!(changed > 0, "the message is not in the database");
    fs::write(database, stored)?;
    Ok(())
}

fn find(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text.as_bytes())
}

const _: () = assert!(TRUE.len() == FALSE.len());
