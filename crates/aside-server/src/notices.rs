//! What the operator has to say to whoever is connected (NOTE-001 to NOTE-004).

use std::time::Duration;

use aside_proto::{limits::MAX_NOTICE_BYTES, v1};

use crate::app::{App, unix_ms};

/// A notice that no client need take (NOTE-001).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a notice is at most 1024 bytes, not {0}")]
pub struct NoticeTooLong(usize);

/// A notice of now.
pub(crate) fn notice(text: &str, level: v1::NoticeLevel) -> Result<v1::Notice, NoticeTooLong> {
    if text.len() > MAX_NOTICE_BYTES {
        return Err(NoticeTooLong(text.len()));
    }
    Ok(v1::Notice { text: text.to_owned(), level: level.into(), time_ms: unix_ms() })
}

/// What is said to everyone who has logged in; nothing if the text is empty.
pub(crate) fn greeting(text: &str) -> Result<Option<v1::Notice>, NoticeTooLong> {
    if text.is_empty() { Ok(None) } else { notice(text, v1::NoticeLevel::Info).map(Some) }
}

/// Warns those who hear it that the server is about to be stopped, and gives them the time that was configured.
pub(crate) async fn warn_of_stop(app: &App) {
    let ahead = Duration::from_millis(app.config.connections.shutdown_notice_ms);
    if ahead.is_zero() {
        return;
    }
    let seconds = ahead.as_millis().div_ceil(1000);
    let text = match seconds {
        1 => "The server will be stopped in a second.".to_owned(),
        _ => format!("The server will be stopped in {seconds} seconds."),
    };
    let warning = notice(&text, v1::NoticeLevel::Warning).map(|warning| app.hub.notify(warning));
    if warning.is_ok_and(|heard| heard > 0) {
        tokio::time::sleep(ahead).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: NOTE-001
    #[test]
    fn a_notice_is_no_longer_than_clients_expect() {
        let longest = "n".repeat(MAX_NOTICE_BYTES);
        let said = greeting(&longest).unwrap().expect("there is something to say");
        assert_eq!((said.text, said.level), (longest.clone(), v1::NoticeLevel::Info.into()));
        assert_eq!(notice(&(longest + "n"), v1::NoticeLevel::Info), Err(NoticeTooLong(1025)));
        assert_eq!(greeting(""), Ok(None));
    }
}
