//! The items of a window as rows of text.

use aside_client::{
    Content, Entry, Mention, Outgoing, Person, Pin, Reaction, Reply, State as Progress, UserId,
    What,
    display::{neutralise, neutralise_line},
};
use jiff::tz::TimeZone;
use ratatui::{style::Style, text::Line};

use super::{
    state::State,
    text::{Run, fit, width, wrap},
    theme::Theme,
    timeline::{Item, Key, Timeline},
};
use crate::output::{self, time_in};

/// Columns that times take, and that stay free below them.
const TIME: usize = 6;
/// Below this many columns there are no times.
const NARROW: usize = 30;
/// Those who reacted are named if they are as few as this.
const MAX_NAMED: usize = 3;

/// A window, and all that its rows depend on.
pub(super) struct View<'a> {
    pub(super) timeline: &'a Timeline,
    pub(super) columns: usize,
    theme: &'a Theme,
    zone: &'a TimeZone,
    me: UserId,
    /// What is pinned here.
    pins: &'a [Pin],
    /// Whether it is that of a private conversation.
    is_private: bool,
    /// Whether messages show their numbers.
    numbers: bool,
}

impl<'a> View<'a> {
    /// The window that is shown, on so many columns.
    pub(super) fn new(state: &'a State, columns: u16) -> Self {
        Self {
            timeline: state.timeline(),
            columns: usize::from(columns.max(1)),
            theme: &state.theme,
            zone: &state.zone,
            me: state.me,
            pins: state.room().map_or(&[], |room| &room.pins),
            is_private: state.room().is_some_and(|room| room.kind.is_private()),
            numbers: state.shows_numbers(),
        }
    }

    /// The rows of one item, with what separates it from those before.
    pub(super) fn rows(&self, key: Key, item: &Item) -> Vec<Line<'static>> {
        match item {
            Item::Entry(entry) => {
                let mut rows = self.separators(key, entry);
                let runs = match (self.timeline.earlier(key), self.timeline.missed(key)) {
                    (Some(count), _) => vec![dim(self.theme, &output::earlier::words(count))],
                    (None, Some(count)) => {
                        vec![dim(self.theme, &output::earlier::missed_words(count))]
                    }
                    (None, None) => self.entry(entry),
                };
                let mut body = wrap(&runs, self.columns, self.indent());
                if self.timeline.chosen == Some(key) {
                    for line in &mut body {
                        line.style = self.theme.chosen;
                    }
                }
                rows.append(&mut body);
                rows
            }
            Item::Pending(outgoing) => wrap(&self.outgoing(outgoing), self.columns, self.indent()),
            Item::Notice { text, warning } => {
                let style = if *warning { self.theme.warning } else { self.theme.dim };
                let text = neutralise(text).into_owned();
                let mark = ("-- ".to_owned(), style);
                wrap(&[mark, (text, style)], self.columns, 3)
            }
        }
    }

    fn indent(&self) -> usize {
        if self.columns < NARROW { 2 } else { TIME }
    }

    /// What stands before an entry: the day if it is another, and where the unread begin.
    fn separators(&self, key: Key, entry: &Entry) -> Vec<Line<'static>> {
        let before = self.timeline.before(key).find_map(|(_, item)| match item {
            Item::Entry(entry) => Some(entry),
            _ => None,
        });
        let day = |entry: &Entry| time_in(self.zone, entry.time_ms, "%Y-%m-%d");
        let mut rows = Vec::new();
        if let Some(cut) = self.timeline.cut(entry.seq, before.map(|before| before.seq)) {
            rows.push(self.rule(cut, self.theme.dim));
        }
        if before.is_none_or(|before| day(before) != day(entry)) {
            let long = time_in(self.zone, entry.time_ms, "%A, %-d %B %Y");
            let named = if width(&long) + 4 <= self.columns { long } else { day(entry) };
            rows.push(self.rule(&named, self.theme.dim));
        }
        let first = |after: u64| entry.seq > after && before.is_none_or(|it| it.seq <= after);
        if self.timeline.divider.is_some_and(first) {
            rows.push(self.rule("new", self.theme.news));
        }
        rows
    }

    /// A line across, with a word in it.
    fn rule(&self, word: &str, style: Style) -> Line<'static> {
        let word = fit(word, self.columns);
        let free = self.columns.saturating_sub(width(&word) + 2);
        if free < 2 {
            return Line::styled(word.into_owned(), style);
        }
        let (left, right) = ("\u{2500}".repeat(free / 2), "\u{2500}".repeat(free - free / 2));
        Line::styled(format!("{left} {word} {right}"), style)
    }

    fn entry(&self, entry: &Entry) -> Vec<Run> {
        let theme = self.theme;
        let mut runs = Vec::new();
        if self.columns >= NARROW {
            runs.push((time_in(self.zone, entry.time_ms, "%H:%M "), theme.dim));
        }
        if self.numbers && entry.as_message().is_some() {
            runs.push((format!("[{}] ", entry.seq), theme.dim));
        }
        let by = match &entry.by {
            Some(person) => self.person(person),
            None => ("the server".to_owned(), theme.dim),
        };
        match &entry.what {
            What::Message { text, content, .. } => {
                runs.push(by);
                let doubt = output::messages::doubt(entry);
                runs.extend(doubt.map(|doubt| (format!(" {doubt}"), theme.warning)));
                self.message(&mut runs, text.as_deref(), content);
                if self.pins.iter().any(|pin| pin.seq == entry.seq) {
                    runs.push((" (pinned)".to_owned(), theme.news));
                }
                runs.extend(entry.state.as_ref().map(|state| self.mark(state)));
                if let Content::Text { reactions, .. } = content {
                    self.reactions(&mut runs, reactions);
                }
            }
            What::RoomCreated if entry.kind.is_private() => {
                runs.extend([by, dim(theme, " began this private conversation")]);
            }
            What::RoomCreated => runs.extend([by, dim(theme, " made the room")]),
            What::Unreadable { why, .. } => {
                let whose = neutralise_line(&by.0).into_owned();
                let text = output::private::unreadable(*why, &whose);
                runs.extend([by, (format!(" {text}"), theme.warning)]);
            }
            What::Joined { who } => {
                runs.extend([dim(theme, "\u{2192} "), self.person(who), dim(theme, " joined")]);
            }
            What::Left { who } => {
                runs.extend([dim(theme, "\u{2190} "), self.person(who), dim(theme, " left")]);
            }
            What::Renamed { from, to } => {
                let words = format!("{} is now called ", neutralise_line(from));
                runs.extend([(words, theme.dim), (neutralise_line(to).into_owned(), theme.strong)]);
            }
            What::RoomUpdated { .. }
            | What::Invited { .. }
            | What::Pinned { .. }
            | What::GroupBegun { .. }
            | What::MembersChanged { .. }
            | What::RemovalPending { .. }
            | What::RoleChanged { .. }
            | What::CommitRejected { .. }
            | What::Redacted { .. } => {
                let change = output::Style::plain().change(&entry.what);
                runs.extend([by, (format!(" {change}"), theme.dim)]);
            }
            What::Unknown => runs.push(dim(theme, "something that this version can't show")),
        }
        runs
    }

    /// A message, after the name of who said it.
    fn message(&self, runs: &mut Vec<Run>, text: Option<&str>, content: &Content) {
        let theme = self.theme;
        let text = text.unwrap_or_default();
        match content {
            Content::Text { mentions, edited, reply, .. } => {
                match reply {
                    Some(reply) => runs.push((self.quote(runs, *reply), theme.dim)),
                    None => runs.push(dim(theme, ": ")),
                }
                self.text(runs, text, mentions);
                if edited.is_some() {
                    runs.push(dim(theme, " (edited)"));
                }
            }
            Content::Reaction { emoji, remove, .. } => {
                let does = if *remove { " takes back " } else { " reacts " };
                runs.push((format!("{does}{}", neutralise_line(emoji)), theme.dim));
            }
            Content::Edit { of, message } => {
                let mark = match message {
                    Some(_) => format!(" edits [{of}]: "),
                    // CONT-013
                    None => format!(" (an edit of [{of}], which is not shown): "),
                };
                runs.push((mark, theme.dim));
                runs.push((neutralise(text).into_owned(), Style::default()));
            }
            Content::Profile { profile, counts } => {
                let names = output::messages::names(profile, *counts);
                runs.push((format!(" {names}"), theme.dim));
            }
            Content::Redacted => runs.push(dim(theme, " sent a message that was removed")),
            Content::Missing => {
                runs.push((
                    " (MESSAGE REMOVED: nothing says yet by whom)".to_owned(),
                    theme.warning,
                ));
            }
            Content::Hidden => runs.push(dim(theme, " edits a message that was removed")),
            // MSG-011
            Content::Unknown => {
                runs.push(dim(theme, " sent a message that this version can't show"));
            }
        }
    }

    /// A text, with the names of those who are meant.
    fn text(&self, runs: &mut Vec<Run>, text: &str, mentions: &[Mention]) {
        let mut said = |text: &str, style| runs.push((neutralise(text).into_owned(), style));
        let mut at = 0;
        for Mention { who, range } in mentions {
            let (Some(before), Some(name)) = (text.get(at..range.start), text.get(range.clone()))
            else {
                continue;
            };
            let mine = who.user == self.me;
            said(before, Style::default());
            said(name, if mine { self.theme.mention } else { self.theme.speaker(who.user) });
            at = range.end;
        }
        said(text.get(at..).unwrap_or_default(), Style::default());
    }

    /// What a message answers, to the end of the line on which it begins.
    fn quote(&self, before: &[Run], reply: Reply) -> String {
        let taken: usize = before.iter().map(|(text, _)| width(text)).sum();
        let quoted = match self.timeline.entry(Key::entry(reply.to)) {
            // CONT-007
            _ if reply.redacted => format!("[{}], which was removed", reply.to),
            _ if !reply.there && self.is_private => {
                format!("[{}], which can't be read here", reply.to)
            }
            _ if !reply.there => format!("[{}], which is not there", reply.to),
            Some(Entry { by, what: What::Message { text: Some(text), .. }, .. }) => {
                let by = by.as_ref().map_or(String::new(), ToString::to_string);
                format!(
                    "{}: {}",
                    neutralise_line(&by),
                    text.split_whitespace().collect::<Vec<_>>().join(" ")
                )
            }
            Some(_) => format!("[{}], which was removed", reply.to),
            None => format!("[{}]", reply.to),
        };
        let quoted = neutralise_line(&quoted);
        format!(" \u{21b3} {}\n", fit(&quoted, self.columns.saturating_sub(taken + 3).max(8)))
    }

    /// The reactions, on a line below.
    fn reactions(&self, runs: &mut Vec<Run>, reactions: &[Reaction]) {
        for (at, reaction) in reactions.iter().enumerate() {
            let begin = if at == 0 { "\n" } else { "  " };
            runs.push((format!("{begin}{} ", neutralise_line(&reaction.emoji)), Style::default()));
            if reaction.by.len() > MAX_NAMED {
                runs.push((reaction.by.len().to_string(), self.theme.dim));
                continue;
            }
            for (at, person) in reaction.by.iter().enumerate() {
                if at > 0 {
                    runs.push(dim(self.theme, ", "));
                }
                runs.push(self.person(person));
            }
        }
    }

    /// What became of a message of the user's.
    fn mark(&self, state: &Progress) -> Run {
        match state {
            Progress::Queued => dim(self.theme, " queued"),
            Progress::Sent => dim(self.theme, " \u{2713}"),
            Progress::Delivered => dim(self.theme, " \u{2713}\u{2713}"),
            Progress::Read => dim(self.theme, " \u{2713}\u{2713} read"),
            Progress::Failed { reason, remedy } => {
                let remedy = remedy.as_deref().unwrap_or_default();
                let words = format!("not sent: {}. {remedy}", reason.trim_end_matches('.'));
                (format!("\n{}", neutralise_line(words.trim_end())), self.theme.warning)
            }
        }
    }

    /// A message that is not in the log yet, or will never be.
    fn outgoing(&self, outgoing: &Outgoing) -> Vec<Run> {
        let mut runs = Vec::new();
        if self.columns >= NARROW {
            runs.push(dim(self.theme, "  \u{2026}   "));
        }
        runs.push(("you".to_owned(), self.theme.speaker(self.me)));
        match &outgoing.content {
            // What it changes is left out of it.
            Content::Reaction { emoji, remove, .. } => {
                let does = if *remove { " take back " } else { " react " };
                runs.push((format!("{does}{}", neutralise_line(emoji)), self.theme.dim));
            }
            Content::Edit { of, .. } => {
                let text = outgoing.text.as_deref().unwrap_or_default();
                runs.push((format!(" edit [{of}]: "), self.theme.dim));
                runs.push((neutralise(text).into_owned(), Style::default()));
            }
            content => self.message(&mut runs, outgoing.text.as_deref(), content),
        }
        runs.push(self.mark(&outgoing.state));
        runs
    }

    fn person(&self, person: &Person) -> Run {
        let name = neutralise_line(&person.to_string()).into_owned();
        (name, self.theme.speaker(person.user))
    }
}

fn dim(theme: &Theme, text: &str) -> Run {
    (text.to_owned(), theme.dim)
}
