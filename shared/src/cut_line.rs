//! The cuts of a partition as a member or a job knows them, and what can be told from them without asking anybody.

use std::sync::Arc;

use crate::{
    checkpoint::{Cut, OffsetSpan, Pins, PinsId},
    lake::SavedState,
    position::Offset,
    stream::StreamProfile,
};

/// Pins and their address, computed once.
#[derive(Debug, Clone)]
pub struct PinSet {
    /// What a segment is judged with.
    pub pins: Arc<Pins>,
    /// Their address by content.
    pub id: PinsId,
}

impl PinSet {
    /// Addresses the pins.
    ///
    /// # Errors
    /// A value that JSON cannot hold, which is a bug.
    pub fn try_new(pins: Arc<Pins>) -> Result<Self, serde_json::Error> {
        let id = pins.id()?;
        Ok(Self { pins, id })
    }
}

/// A cut that a member knows.
#[derive(Debug, Clone)]
pub struct KnownCut {
    /// The first offset of the segment that it opens.
    pub offset: Offset,
    /// What that segment is judged with.
    pub pin_set: PinSet,
    /// Whether the views have it. One that the lake's commits brought is recorded as it is reached.
    pub recorded: bool,
}

impl KnownCut {
    /// The cut as views and lake take it.
    #[must_use]
    pub fn to_cut(&self) -> Cut {
        Cut { offset: self.offset, pins: Arc::clone(&self.pin_set.pins) }
    }
}

/// Known cuts in ascending order. The first one is where the partition began.
#[derive(Debug, Clone)]
pub struct CutLine {
    first: KnownCut,
    later: Vec<KnownCut>,
}

impl CutLine {
    /// The line of what the views recorded; `None` if that is nothing.
    ///
    /// # Errors
    /// A value that JSON cannot hold, which is a bug.
    pub fn try_recorded(cuts: &[Cut]) -> Result<Option<Self>, serde_json::Error> {
        let mut line: Option<Self> = None;
        for cut in cuts {
            match &mut line {
                None => line = Some(Self { first: known(cut, None, true)?, later: Vec::new() }),
                Some(line) => {
                    let next = known(cut, Some(line.last()), true)?;
                    line.later.push(next);
                }
            }
        }
        Ok(line)
    }

    /// Adds what the lake's commits know, where the views know nothing: the views were restored from a backup.
    ///
    /// # Errors
    /// A value that JSON cannot hold, which is a bug.
    pub fn adopt(&mut self, from_lake: &[Cut]) -> Result<(), serde_json::Error> {
        for cut in from_lake {
            if !self.contains(cut.offset) && cut.offset > self.first.offset {
                let place = self.later.partition_point(|known| known.offset < cut.offset);
                let before = place.checked_sub(1).map_or(&self.first, |index| &self.later[index]);
                let next = known(cut, Some(before), false)?;
                self.later.insert(place, next);
            }
        }
        Ok(())
    }

    /// Notes that the views recorded a cut; one that is known becomes recorded and keeps its pins.
    pub fn record(&mut self, offset: Offset, pin_set: PinSet) {
        if offset <= self.first.offset {
            return;
        }
        let place = self.later.partition_point(|known| known.offset < offset);
        match self.later.get_mut(place) {
            Some(known) if known.offset == offset => known.recorded = true,
            _ => self.later.insert(place, KnownCut { offset, pin_set, recorded: true }),
        }
    }

    /// Where the partition began.
    #[must_use]
    pub const fn start(&self) -> Offset {
        self.first.offset
    }

    /// The last cut.
    #[must_use]
    pub fn last(&self) -> &KnownCut {
        self.later.last().unwrap_or(&self.first)
    }

    /// The cut whose segment holds `offset`; below the start, the first one.
    #[must_use]
    pub fn at_or_below(&self, offset: Offset) -> &KnownCut {
        let place = self.later.partition_point(|known| known.offset <= offset);
        place.checked_sub(1).map_or(&self.first, |index| &self.later[index])
    }

    /// The cut whose segment ends at `offset` or holds it: a state at `offset` was folded with its pins last.
    #[must_use]
    pub fn below(&self, offset: Offset) -> &KnownCut {
        self.at_or_below(Offset::new(offset.get().saturating_sub(1)))
    }

    /// The cut at exactly this offset.
    #[must_use]
    pub fn at(&self, offset: Offset) -> Option<&KnownCut> {
        Some(self.at_or_below(offset)).filter(|known| known.offset == offset)
    }

    /// Whether there is a cut at exactly this offset.
    #[must_use]
    pub fn contains(&self, offset: Offset) -> bool {
        self.at(offset).is_some()
    }

    /// The next cut above `offset`.
    #[must_use]
    pub fn next_above(&self, offset: Offset) -> Option<Offset> {
        if self.first.offset > offset {
            return Some(self.first.offset);
        }
        self.later.get(self.later.partition_point(|known| known.offset <= offset)).map(|known| known.offset)
    }

    /// The first cut above `offset` whose profile has other columns than the one that holds at `offset`.
    #[must_use]
    pub fn next_other_columns(&self, offset: Offset) -> Option<Offset> {
        let here = &self.at_or_below(offset).pin_set.pins.profile;
        self.iter()
            .find(|known| known.offset > offset && !same_columns(here, &known.pin_set.pins.profile))
            .map(|known| known.offset)
    }

    /// The cuts with offsets in `span`.
    #[must_use]
    pub fn within(&self, span: OffsetSpan) -> Vec<Cut> {
        self.iter().filter(|known| span.from <= known.offset && known.offset < span.to).map(KnownCut::to_cut).collect()
    }

    /// Where the pins changed below `offset`, the start included. A fold depends on this and on no other cut.
    #[must_use]
    pub fn pin_changes_below(&self, offset: Offset) -> Vec<(Offset, PinsId)> {
        let mut changes: Vec<(Offset, PinsId)> = Vec::new();
        for known in self.iter().take_while(|known| known.offset < offset) {
            if changes.last().is_none_or(|(_, id)| *id != known.pin_set.id) {
                changes.push((known.offset, known.pin_set.id.clone()));
            }
        }
        changes
    }

    /// Whether a state was folded from the start with these very pins.
    #[must_use]
    pub fn led_to(&self, state: &SavedState) -> bool {
        state.offset > self.start() && state.cuts == self.pin_changes_below(state.offset)
    }

    /// Whether `recorded` says the same of the segments of `span`, its end included: the same cuts, and the same pins
    /// from the start on.
    #[must_use]
    pub fn agrees_with(&self, recorded: &Self, span: OffsetSpan) -> bool {
        let after = span.to.plus(1);
        let offsets = |line: &Self| -> Vec<Offset> {
            line.iter().map(|known| known.offset).filter(|at| span.from <= *at && *at < after).collect()
        };
        self.pin_changes_below(after) == recorded.pin_changes_below(after) && offsets(self) == offsets(recorded)
    }

    /// Forgets cuts below `offset` that say nothing: their segments are closed and their pins are those before.
    pub fn forget_below(&mut self, offset: Offset) {
        let mut pins = self.first.pin_set.id.clone();
        self.later.retain(|known| {
            let changed = known.pin_set.id != pins;
            pins.clone_from(&known.pin_set.id);
            changed || known.offset >= offset
        });
    }

    /// Forgets cuts above `offset`.
    pub fn forget_above(&mut self, offset: Offset) {
        self.later.retain(|known| known.offset <= offset);
    }

    fn iter(&self) -> impl Iterator<Item = &KnownCut> {
        std::iter::once(&self.first).chain(&self.later)
    }
}

/// Whether rows of both profiles fit into one commit.
#[must_use]
pub fn same_columns(a: &StreamProfile, b: &StreamProfile) -> bool {
    a.name == b.name && a.measures == b.measures && a.tags == b.tags && a.bucket == b.bucket
}

/// Pins rarely change, and addressing them means to print the whole profile: equal ones share the address.
fn known(cut: &Cut, before: Option<&KnownCut>, recorded: bool) -> Result<KnownCut, serde_json::Error> {
    let pin_set = match before {
        Some(before) if Arc::ptr_eq(&before.pin_set.pins, &cut.pins) || before.pin_set.pins == cut.pins => {
            before.pin_set.clone()
        }
        _ => PinSet::try_new(Arc::clone(&cut.pins))?,
    };
    Ok(KnownCut { offset: cut.offset, pin_set, recorded })
}
