//! Colours: for dark terminals, for light ones, and none.

use aside_client::UserId;
use clap::ValueEnum;
use ratatui::style::{Color, Modifier, Style};

use crate::output::{no_colour, number_of};

/// Which colours are used
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ThemeName {
    /// For a dark background
    Dark,
    /// For a light background
    Light,
    /// No colours: bold, reversed and underlined text only
    None,
}

/// How each kind of thing looks.
#[derive(Debug, Clone)]
pub(super) struct Theme {
    speakers: &'static [Color],
    /// The bars above and below the messages.
    pub(super) bar: Style,
    /// What is there but not to be read first: times, numbers, membership.
    pub(super) dim: Style,
    /// What must not be overlooked.
    pub(super) warning: Style,
    /// What has changed since the user looked.
    pub(super) news: Style,
    /// The room, message or line that is chosen.
    pub(super) chosen: Style,
    /// Names of rooms, keys, headings.
    pub(super) strong: Style,
    /// Who is online.
    pub(super) online: Style,
    /// That somebody means the user.
    pub(super) mention: Style,
}

const DARK: &[Color] = &[
    Color::LightRed,
    Color::LightGreen,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
    Color::Red,
    Color::Green,
    Color::Yellow,
    Color::Magenta,
    Color::Cyan,
];

const LIGHT: &[Color] = &[
    Color::Red,
    Color::Green,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::Indexed(94),
    Color::Indexed(88),
    Color::Indexed(22),
    Color::Indexed(18),
    Color::Indexed(54),
];

impl ThemeName {
    /// The theme for somebody who has named none: NO_COLOR is heeded.
    pub(super) fn default_here() -> Self {
        if no_colour() { Self::None } else { Self::Dark }
    }

    pub(super) fn theme(self) -> Theme {
        match self {
            Self::Dark => {
                Theme::coloured(DARK, Color::Indexed(236), Color::Indexed(245), Color::Yellow)
            }
            Self::Light => {
                Theme::coloured(LIGHT, Color::Indexed(254), Color::Indexed(243), Color::Blue)
            }
            Self::None => Theme::plain(),
        }
    }
}

impl Theme {
    fn coloured(speakers: &'static [Color], bar: Color, dim: Color, news: Color) -> Self {
        let plain = Style::default();
        Self {
            speakers,
            bar: plain.bg(bar),
            dim: plain.fg(dim),
            warning: plain.fg(Color::Red).add_modifier(Modifier::BOLD),
            news: plain.fg(news).add_modifier(Modifier::BOLD),
            chosen: plain.add_modifier(Modifier::REVERSED),
            strong: plain.add_modifier(Modifier::BOLD),
            online: plain.fg(Color::Green),
            mention: plain.fg(news).add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
        }
    }

    fn plain() -> Self {
        let plain = Style::default();
        Self {
            speakers: &[],
            bar: plain.add_modifier(Modifier::REVERSED),
            dim: plain.add_modifier(Modifier::DIM),
            warning: plain.add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            news: plain.add_modifier(Modifier::BOLD),
            chosen: plain.add_modifier(Modifier::REVERSED),
            strong: plain.add_modifier(Modifier::BOLD),
            online: plain,
            mention: plain.add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
        }
    }

    /// A name, in the colour of the account: the same whatever it calls itself.
    pub(super) fn speaker(&self, user: UserId) -> Style {
        match self.speakers.get(number_of(user, self.speakers.len())) {
            Some(colour) => self.strong.fg(*colour),
            None => self.strong,
        }
    }
}
