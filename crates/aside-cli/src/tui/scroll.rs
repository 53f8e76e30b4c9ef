//! Moving through a window. What is costly, breaking texts into rows, is done for what is near what is shown, however long the
//! window is.

use ratatui::text::Line;

use super::{
    timeline::{Anchor, Item, Key},
    view::View,
};

/// What is in a window of so many rows.
#[derive(Debug, Default)]
pub(super) struct Visible {
    /// The rows and the items they are of, from the top.
    pub(super) rows: Vec<(Key, Line<'static>)>,
    /// Whether nothing is above.
    pub(super) at_top: bool,
}

impl View<'_> {
    /// What is seen through `height` rows.
    pub(super) fn visible(&self, height: usize) -> Visible {
        let Some((key, hidden)) = self.bottom() else {
            return Visible { rows: Vec::new(), at_top: true };
        };
        // From the bottom up.
        let mut rows = Vec::new();
        let mut at_top = true;
        let own = self.timeline.get(key).map(|item| (key, item));
        for (key, item) in own.into_iter().chain(self.timeline.before(key)) {
            if rows.len() >= height + hidden {
                at_top = false;
                break;
            }
            rows.extend(self.rows(key, item).into_iter().rev().map(|row| (key, row)));
        }
        rows.drain(..hidden.min(rows.len()));
        at_top &= rows.len() <= height;
        rows.truncate(height);
        rows.reverse();
        Visible { rows, at_top }
    }

    /// Where the window is after going up by so many rows; not further than to the first.
    pub(super) fn up(&self, height: usize, by: usize) -> Option<Anchor> {
        let (mut key, hidden) = self.bottom()?;
        let mut hidden = hidden + by;
        loop {
            let rows = self.count(key);
            if hidden < rows {
                break;
            }
            let Some((before, _)) = self.timeline.before(key).next() else {
                hidden = rows.saturating_sub(1);
                break;
            };
            hidden -= rows;
            key = before;
        }
        let moved = Anchor { key, hidden };
        match self.top(height) {
            Some(highest) if is_above(moved, highest) => Some(highest),
            None => None,
            _ => Some(moved),
        }
    }

    /// Where the window is after going down by so many rows; `None` if it is at the end.
    pub(super) fn down(&self, by: usize) -> Option<Anchor> {
        let Anchor { mut key, mut hidden } = self.timeline.anchor?;
        hidden = hidden.min(self.count(key).saturating_sub(1));
        let mut by = by;
        while by > hidden {
            by -= hidden;
            let (after, _) = self.timeline.after(key).next()?;
            key = after;
            // One row down is the first of the next.
            hidden = self.count(key);
        }
        hidden -= by;
        let end = hidden == 0 && self.timeline.after(key).next().is_none();
        (!end).then_some(Anchor { key, hidden })
    }

    /// The window with this item's first row at its top, or as near to that as the end allows.
    pub(super) fn with_top(&self, key: Key, height: usize) -> Option<Anchor> {
        let mut taken = self.count(key);
        let mut last = key;
        for (key, item) in self.timeline.after(key) {
            if taken >= height {
                break;
            }
            taken += self.rows(key, item).len();
            last = key;
        }
        if taken < height {
            return None;
        }
        let anchor = Anchor { key: last, hidden: taken - height };
        let end = anchor.hidden == 0 && self.timeline.after(last).next().is_none();
        (!end).then_some(anchor)
    }

    /// The window with its top at the first row there is.
    pub(super) fn top(&self, height: usize) -> Option<Anchor> {
        let (first, _) = self.timeline.items().next()?;
        self.with_top(first, height)
    }

    /// The item that the last row is of, and how many of its rows are hidden.
    fn bottom(&self) -> Option<(Key, usize)> {
        let last = || self.timeline.items().next_back().map(|(key, _)| (key, 0));
        match self.timeline.anchor {
            Some(anchor) if self.timeline.get(anchor.key).is_some() => {
                let rows = self.count(anchor.key);
                Some((anchor.key, anchor.hidden.min(rows.saturating_sub(1))))
            }
            _ => last(),
        }
    }

    fn count(&self, key: Key) -> usize {
        self.timeline.get(key).map_or(0, |item: &Item| self.rows(key, item).len())
    }
}

fn is_above(one: Anchor, other: Anchor) -> bool {
    one.key < other.key || (one.key == other.key && one.hidden > other.hidden)
}
