//! What others see, and what the operator says, in words.

use aside_client::{
    Notice, PresenceSettings,
    display::{neutralise, neutralise_line},
};

use crate::output::{self, Style};

/// What others see of the user.
pub(crate) fn settings(settings: &PresenceSettings) -> String {
    let status = neutralise_line(&settings.status);
    let seen = match (settings.hidden, status.is_empty()) {
        (true, true) => "you are hidden: others see you offline".to_owned(),
        (true, false) => format!("you are hidden: others see you offline, and not: {status}"),
        (false, true) => "others see when you are online".to_owned(),
        (false, false) => format!("others see when you are online, and: {status}"),
    };
    let receipts = match settings.private_receipts {
        true => "how far you have read is your own",
        false => "they see how far you have read",
    };
    format!("{seen}; {receipts}")
}

/// What the operator says.
pub(crate) fn notice(notice: &Notice, style: Style) -> String {
    let text = format!("the server's operator: {}", output::indent(&neutralise(&notice.text)));
    if notice.warning { style.warning(text) } else { style.bold(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_what_others_see() {
        let said = |hidden, status: &str, private_receipts| {
            settings(&PresenceSettings { hidden, status: status.to_owned(), private_receipts })
        };
        assert_eq!(
            said(false, "lunch\u{1b}", false),
            format!(
                "others see when you are online, and: lunch{}; they see how far you have read",
                neutralise_line("\u{1b}")
            )
        );
        assert!(said(true, "", true).starts_with("you are hidden"));
        assert!(said(true, "", true).ends_with("is your own"));
    }
}
