//! Reading, without a buffer of one's own.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes read at once: a TLS record holds no more.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    /// Shared by the connections of a thread, so that an idle one keeps no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Reads once and has `take` look at what came: nothing, at the end of the stream.
pub(super) fn poll_read<T>(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(take(buffer.filled())))
    })
}

/// Reads and discards until the stream ends, in whatever way.
pub(super) fn poll_drain(stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
    while let Ok(false) = ready!(poll_read(stream, cx, <[u8]>::is_empty)) {}
    Poll::Ready(())
}
