//! Connects, follows a room, says something, and tells what becomes of it.
//!
//! ```text
//! aside serve --listen 127.0.0.1:7423                 (prints the fingerprint)
//! cargo run -p aside-client --example talk -- aside://alice@localhost <fingerprint> lobby "hello, all"
//! ```

#![allow(clippy::print_stdout)] // It is a program for a terminal.

use std::error::Error;

use aside_client::{
    Client, Event, LogIn, Options, State, Trust, What,
    display::{neutralise, neutralise_line},
    v1::OnConflict,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, fingerprint, room, text] = &arguments[..] else {
        return Err("usage: talk ADDRESS FINGERPRINT ROOM TEXT".into());
    };
    // Registers the first time; the device's key is enough from then on.
    let mut options = Options::new(address.parse()?);
    options.trust = Some(Trust::Fingerprint(fingerprint.parse()?));
    let password = std::env::var("ASIDE_PASSWORD")?.into();
    options.log_in = LogIn::Register { password, on_conflict: OnConflict::Reject };
    let (client, mut events) = Client::connect(options).await?;

    // What is unread, in every room that is followed.
    for room in client.overview().await? {
        let unread = room.unread.map_or("?".to_owned(), |unread| unread.to_string());
        println!("#{}: {unread} unread", neutralise_line(&room.name));
    }

    // Following begins with joining. A public room is one that the server can read: say so first (ROOM-001).
    let room = client.room(room).await?.ok_or("there is no such room")?;
    let here = client.join(room.conversation).await?.conversation;

    // Kept before it is sent, and sent until it is durable: it need not be waited for.
    let said = client.queue(here, text).await?.message_id();
    // From now on, moves of the others' watermarks are told.
    client.watermarks(here).await?;

    while let Some(event) = events.next().await {
        match event {
            Event::Entry(entry) if entry.conversation == here => {
                if let (Some(by), What::Message { text: Some(text), .. }) = (&entry.by, &entry.what)
                {
                    println!("{}: {}", neutralise_line(&by.to_string()), neutralise(text));
                }
                // It was shown: less is unread, on every device. Any number of these costs one request.
                client.mark_read(here, entry.seq).await?;
            }
            Event::Outgoing(mine) if mine.message_id == said => match mine.state {
                State::Queued => println!("(queued)"),
                State::Failed { reason, .. } => return Err(reason.into()),
                _ => println!("(sent, as entry {:?})", mine.seq),
            },
            Event::WatermarkMoved { conversation, watermark } if conversation == here => {
                let who = neutralise_line(&watermark.who.to_string()).into_owned();
                println!("({who} has got {}, and read {})", watermark.delivered, watermark.read);
            }
            // The log is not what it was, or a device has another key: say it loudly (LOG-011, DEV-010).
            Event::Tampering { what, .. } => println!("WARNING: {what}"),
            Event::DeviceKeyChanged { user, .. } => println!("WARNING: another key for {user}"),
            Event::Ended(error) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
