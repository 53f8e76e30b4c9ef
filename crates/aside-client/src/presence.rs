//! Who is online, what the user lets others see, and what the operator has to say.

use aside_proto::v1;

use crate::Person;

/// What is known of somebody's being there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Who.
    pub who: Person,
    /// Whether any of the user's devices is connected, as far as others may know.
    pub online: bool,
    /// What the user has to say; empty unless online. To be neutralised before it is displayed.
    pub status: String,
}

/// What the user lets others see, on all devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PresenceSettings {
    /// To all others the user is offline.
    pub hidden: bool,
    /// At most 128 bytes without control characters (PRES-002); may be empty.
    pub status: String,
    /// Others are not told how far the user has read and received.
    pub private_receipts: bool,
}

/// Something that the operator of the server has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// To be neutralised before it is displayed.
    pub text: String,
    /// Whether something is about to go wrong.
    pub warning: bool,
    /// When it was said, milliseconds since 1970.
    pub time_ms: u64,
}

impl From<v1::PresenceSettings> for PresenceSettings {
    fn from(settings: v1::PresenceSettings) -> Self {
        Self {
            hidden: settings.visibility() == v1::Visibility::Hidden,
            status: settings.status_text,
            private_receipts: settings.private_receipts,
        }
    }
}

impl From<&PresenceSettings> for v1::PresenceSettings {
    fn from(settings: &PresenceSettings) -> Self {
        let visibility =
            if settings.hidden { v1::Visibility::Hidden } else { v1::Visibility::Shared };
        Self {
            visibility: visibility.into(),
            status_text: settings.status.clone(),
            private_receipts: settings.private_receipts,
        }
    }
}

impl From<v1::Notice> for Notice {
    fn from(notice: v1::Notice) -> Self {
        let warning = notice.level() == v1::NoticeLevel::Warning;
        Self { text: notice.text, warning, time_ms: notice.time_ms }
    }
}
