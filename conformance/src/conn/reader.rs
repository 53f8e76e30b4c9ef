//! Tasks that read connections to their end.

use futures_util::{StreamExt as _, stream::SplitStream};
use tokio::{
    io::{AsyncReadExt as _, ReadHalf},
    sync::{mpsc, watch},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message},
};

use crate::codec;

use super::{End, Incoming, Tls};

/// Waits while reading is paused. False if nobody reads any more.
async fn may_read(pause: &mut watch::Receiver<bool>) -> bool {
    pause.wait_for(|paused| !paused).await.is_ok()
}

/// Reads frames off a TLS stream.
pub(super) async fn stream(
    mut source: ReadHalf<Tls>,
    inbox: mpsc::Sender<Incoming>,
    mut pause: watch::Receiver<bool>,
) {
    let mut received = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    while may_read(&mut pause).await {
        let read = tokio::select! {
            read = source.read(&mut buffer) => read,
            Ok(()) = pause.changed() => continue,
        };
        let end = match read {
            Ok(0) => End::CloseNotify,
            Ok(count) => {
                received.extend_from_slice(&buffer[..count]);
                if deliver(&mut received, &inbox).await.is_err() {
                    return;
                }
                continue;
            }
            Err(error) => End::Bare(error.to_string()),
        };
        if !received.is_empty() {
            let fault = format!("{} bytes of a frame that was not finished", received.len());
            let _ = inbox.send(Incoming::Fault(fault)).await;
        }
        let _ = inbox.send(Incoming::End(end)).await;
        return;
    }
}

/// Passes on the whole frames received. An error means that there is no use in going on.
async fn deliver(received: &mut Vec<u8>, inbox: &mpsc::Sender<Incoming>) -> Result<(), ()> {
    loop {
        match codec::split(received) {
            Ok(None) => return Ok(()),
            Ok(Some(body)) => inbox.send(Incoming::Body(body)).await.map_err(drop)?,
            Err(fault) => {
                let _ = inbox.send(Incoming::Fault(fault.to_string())).await;
                let _ = inbox.send(Incoming::End(End::Bare("we gave up".into()))).await;
                return Err(());
            }
        }
    }
}

/// Reads messages off a WebSocket.
pub(super) async fn websocket(
    mut source: SplitStream<WebSocketStream<Tls>>,
    inbox: mpsc::Sender<Incoming>,
    mut pause: watch::Receiver<bool>,
) {
    while may_read(&mut pause).await {
        let message = tokio::select! {
            message = source.next() => message,
            Ok(()) = pause.changed() => continue,
        };
        let incoming = match message {
            Some(Ok(Message::Binary(body))) => Incoming::Body(body.to_vec()),
            Some(Ok(Message::Text(_))) => Incoming::Fault("a text message".into()),
            Some(Ok(Message::Close(frame))) => {
                Incoming::End(End::WebSocket(frame.map(|frame| frame.code.into())))
            }
            Some(Ok(_)) => continue,
            Some(Err(error)) => Incoming::End(End::Bare(error.to_string())),
            None => Incoming::End(End::Bare("no Close frame".into())),
        };
        let ended = matches!(incoming, Incoming::End(_));
        if inbox.send(incoming).await.is_err() {
            return;
        }
        if ended {
            answer_close(&mut source).await;
            return;
        }
    }
}

/// Reads on to the end, by which the answer to the server's Close frame is sent.
async fn answer_close(source: &mut SplitStream<WebSocketStream<Tls>>) {
    while let Some(Ok(_)) | Some(Err(tungstenite::Error::ConnectionClosed)) = source.next().await {}
}
