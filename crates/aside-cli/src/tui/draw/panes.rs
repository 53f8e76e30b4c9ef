//! The panes beside the messages: rooms, and who is in the room.

use aside_client::{Member, Role, display::neutralise_line};
use ratatui::{
    Frame,
    layout::Rect,
    style::Modifier,
    text::{Line, Span},
};

use super::{lines, put};
use crate::{
    output::LOCK,
    tui::{
        state::{Room, Row, State},
        text::{fit, width},
    },
};

/// The rooms: those the user is in with what is unread, then the others.
pub(super) fn rooms(state: &State, frame: &mut Frame<'_>, area: Rect) {
    if area.is_empty() {
        return;
    }
    let rooms = state.list_rows();
    let shown = rooms.into_iter().skip(first_room(state, area.height));
    let rows = shown.take(usize::from(area.height)).map(|row| match row {
        Row::Heading(heading) => Line::styled(format!(" {heading}"), state.theme.dim),
        Row::Room(room) => room_line(state, room, area),
    });
    lines(frame, area, rows.collect());
    divide(state, frame, Rect { x: area.right(), width: 1, ..area });
}

/// The first row that is shown on so many: the one that is turned to is always in sight.
pub(in crate::tui) fn first_room(state: &State, height: u16) -> usize {
    let is_current =
        |row: &Row<'_>| matches!(row, Row::Room(room) if Some(room.conversation) == state.current);
    let at = state.list_rows().iter().position(is_current);
    (at.unwrap_or(0) + 1).saturating_sub(usize::from(height))
}

fn room_line(state: &State, room: &Room, area: Rect) -> Line<'static> {
    let theme = &state.theme;
    let columns = usize::from(area.width);
    let count = match room.unread {
        // SUM-005
        Some(1_000..) => " 999+".to_owned(),
        Some(unread @ 1..) => format!(" {unread}"),
        None if room.news => " new".to_owned(),
        _ => String::new(),
    };
    let name = room.title();
    let mark = match (room.joined, room.invited) {
        (true, _) if room.kind.is_private() => LOCK,
        (true, _) => "#",
        (false, true) => "!",
        (false, false) => " ",
    };
    let around = width(&count) + width(mark) + 2;
    let name = fit(&name, columns.saturating_sub(around)).into_owned();
    let gap = columns.saturating_sub(width(&name) + around);
    let style = match room {
        Room { tampered: true, .. } => theme.warning,
        Room { joined: false, invited: true, .. } => theme.news,
        Room { joined: false, .. } => theme.dim,
        room if room.is_unread() => theme.strong,
        _ => ratatui::style::Style::default(),
    };
    let line = Line::from(vec![
        Span::styled(format!(" {mark}{name}{}", " ".repeat(gap)), style),
        Span::styled(format!("{count} "), theme.news),
    ]);
    match state.current == Some(room.conversation) {
        true => line.style(theme.chosen),
        false => line,
    }
}

/// Who is in the room, those who are online first.
pub(super) fn members(state: &State, frame: &mut Frame<'_>, area: Rect) {
    if area.is_empty() {
        return;
    }
    divide(state, frame, Rect { x: area.x - 1, width: 1, ..area });
    let Some(room) = state.room() else { return };
    let theme = &state.theme;
    let columns = usize::from(area.width);
    let status = |member: &Member| {
        let status = state.statuses.get(&member.user).filter(|_| member.online);
        let status = neutralise_line(status.filter(|status| !status.is_empty())?).into_owned();
        let status = fit(&status, columns.saturating_sub(3)).into_owned();
        Some(Line::styled(format!("   {status}"), theme.dim))
    };
    let line = |member: &Member| {
        let (dot, dot_style) = match member.online {
            true => ("\u{25cf}", theme.online),
            false => ("\u{25cb}", theme.dim),
        };
        let mut name_style = theme.speaker(member.user);
        if !member.online {
            name_style = name_style.remove_modifier(Modifier::BOLD);
        }
        let owner = match member.role {
            Role::Owner => " owner",
            Role::Admin => " admin",
            Role::Member => "",
        };
        let name = neutralise_line(&member.handle);
        let name = fit(&name, columns.saturating_sub(width(owner) + 3)).into_owned();
        Line::from(vec![
            Span::styled(format!(" {dot} "), dot_style),
            Span::styled(name, name_style),
            Span::styled(owner, theme.dim),
        ])
    };
    let rows = usize::from(area.height);
    let mut shown = Vec::new();
    for (number, member) in room.members.iter().enumerate() {
        let member = [Some(line(member)), status(member)];
        let member: Vec<_> = member.into_iter().flatten().collect();
        let left = room.members.len() - number;
        let below = usize::from(left > 1);
        if shown.len() + member.len() + below > rows {
            shown.push(Line::styled(format!("   and {left} more"), theme.dim));
            break;
        }
        shown.extend(member);
    }
    lines(frame, area, shown);
}

/// A line between panes.
fn divide(state: &State, frame: &mut Frame<'_>, area: Rect) {
    for row in area.rows() {
        put(frame, row, Line::styled("\u{2502}", state.theme.dim));
    }
}
