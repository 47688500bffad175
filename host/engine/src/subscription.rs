//! A reader of the log: everything behind a position that passes a filter, in order, and then what comes. At the head it waits where
//! `dispatch` serves it; behind the head it reads the log, which is the truth.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::watch;
use trackside_model::{
    event::{Event, Filter, Position},
    keeping::Gap,
};
use trackside_store::{ReadError, Store};

use crate::{
    conditions::Spell,
    dispatch::{Dispatch, Frame, Served, Taken},
};

/// Events read at a time.
const PAGE_EVENTS: usize = 512;
/// Bytes read at a time.
const PAGE_BYTES: usize = 1 << 20;

/// From where a reader reads, and how it is told.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What it wants.
    pub filter: Filter,
    /// Behind which position it begins.
    pub after: Position,
    /// Whether it sees narration.
    pub narration: bool,
    /// A *live* reader: further behind the head than this many events it goes on at the head, and is told what it missed. `None`: it misses
    /// nothing, however slow it is.
    pub most_behind: Option<u64>,
}

/// What a reader is told.
#[derive(Clone, Debug)]
pub enum Told {
    /// The next events that pass the filter, at least one.
    Events(Vec<Arc<Frame>>),
    /// These stretches of the log are no longer there: retention has taken them. What comes next is from behind them.
    Trimmed(Vec<Gap>),
    /// It was too slow: the events of these sequences are passed over, whether they would have passed the filter or not.
    Missed {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
}

/// A page of the log, as a reader wants it but for its condition in CEL.
struct Page {
    /// What retention has taken of it.
    gaps: Vec<Gap>,
    frames: VecDeque<Arc<Frame>>,
    /// How far it goes.
    through: Position,
}

/// What the condition in CEL is asked about, one event after the other.
#[derive(Debug)]
struct Asked {
    frames: VecDeque<Arc<Frame>>,
    wanted: Vec<Arc<Frame>>,
    /// How far the reader has come with it.
    through: Position,
}

/// A reader with a cursor of its own.
#[derive(Debug)]
pub struct Subscription {
    store: Store,
    dispatch: Arc<Dispatch>,
    reading: Reading,
    cursor: Position,
    durable: watch::Receiver<u64>,
    seat: Option<Taken>,
    /// Events that it has not been told of yet.
    asked: Option<Asked>,
    spell: Spell,
}

impl Subscription {
    pub(crate) fn new(store: Store, dispatch: Arc<Dispatch>, reading: Reading) -> Self {
        let durable = store.watch_durable();
        Self { store, dispatch, cursor: reading.after, reading, durable, seat: None, asked: None, spell: Spell::default() }
    }

    /// How far it has come: behind what it does not want, too.
    pub fn position(&self) -> Position {
        let seat = self.seat.as_ref().filter(|_| self.asked.is_none());
        seat.and_then(Taken::passed).map_or(self.cursor, |passed| passed.max(self.cursor))
    }

    /// The next thing that it is to be told. Waits for it; cancelling the wait loses nothing.
    ///
    /// # Errors
    /// [`ReadError`] if the log cannot be read.
    pub async fn next(&mut self) -> Result<Told, ReadError> {
        loop {
            let wanted = self.wanted().await;
            if !wanted.is_empty() {
                return Ok(Told::Events(wanted));
            }
            match &self.seat {
                Some(taken) => match taken.seat.served().await {
                    Served::Frames(frames) => {
                        let through = frames.last().map_or(self.cursor, |last| last.position());
                        self.asked = Some(Asked { frames: frames.into(), wanted: Vec::new(), through });
                    }
                    Served::Over => self.seat = None,
                },
                None => {
                    if let Some(missed) = self.skip() {
                        return Ok(missed);
                    }
                    match self.read()? {
                        None => self.at_head().await,
                        Some(Page { gaps, frames, through }) => {
                            let nothing = frames.is_empty();
                            self.asked = Some(Asked { frames, wanted: Vec::new(), through });
                            if !gaps.is_empty() {
                                return Ok(Told::Trimmed(gaps));
                            }
                            if nothing {
                                // It was looked through on a thread that others wait for.
                                tokio::task::yield_now().await;
                            }
                        }
                    }
                }
            }
        }
    }

    /// What the condition in CEL leaves of the events at hand; with it, they are behind the reader.
    async fn wanted(&mut self) -> Vec<Arc<Frame>> {
        let Some(asked) = &mut self.asked else { return Vec::new() };
        match &self.reading.filter.when {
            None => asked.wanted.extend(asked.frames.drain(..)),
            Some(when) => {
                while let Some(frame) = asked.frames.front() {
                    let holds = self.dispatch.conditions.holds(when, frame.event(), &mut self.spell).await;
                    let frame = asked.frames.pop_front();
                    asked.wanted.extend(frame.filter(|_| holds));
                }
            }
        }
        let Some(Asked { wanted, through, .. }) = self.asked.take() else { return Vec::new() };
        self.cursor = through;
        wanted
    }

    /// The next events alone, for who does not fall behind.
    ///
    /// # Errors
    /// [`ReadError`] if the log cannot be read.
    pub async fn events(&mut self) -> Result<Vec<Arc<Event>>, ReadError> {
        loop {
            if let Told::Events(frames) = self.next().await? {
                return Ok(frames.iter().map(|frame| frame.event().clone()).collect());
            }
        }
    }

    /// Sits down where it is told of what comes, or waits for the log to grow.
    async fn at_head(&mut self) {
        self.seat = self.dispatch.sit_down(&self.reading.filter, self.reading.narration, self.cursor);
        // No seat: there is more in the log by now, or nobody is served any more because the host stops, and the log may yet grow.
        // An error means that the store is closed: nothing will come any more.
        if self.seat.is_none() && self.store.durable_head() <= self.cursor.sequence && self.durable.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Goes on at the head, if it is too far behind it.
    fn skip(&mut self) -> Option<Told> {
        let head = self.store.durable_head();
        let behind = head.saturating_sub(self.cursor.sequence);
        if behind <= self.reading.most_behind? {
            return None;
        }
        let from = if self.cursor.part == u32::MAX { self.cursor.sequence + 1 } else { self.cursor.sequence.max(1) };
        self.cursor = Position::end_of(head);
        Some(Told::Missed { from, to: head })
    }

    /// The next page of the log; `None`: there is none yet.
    fn read(&mut self) -> Result<Option<Page>, ReadError> {
        self.durable.mark_unchanged();
        // A cursor inside a fact's narration has the rest of that fact before it.
        let whole = self.cursor.part == u32::MAX;
        let after = if whole { self.cursor.sequence } else { self.cursor.sequence.saturating_sub(1) };
        let events = self.store.read(after, PAGE_EVENTS, PAGE_BYTES)?;
        let Some(last) = events.last().map(|event| event.sequence_number) else { return Ok(None) };
        let (mut gaps, mut next) = (Vec::new(), after + 1);
        for event in &events {
            if event.sequence_number > next {
                gaps.push(Gap { from: next, to: event.sequence_number - 1 });
            }
            next = event.sequence_number + 1;
        }
        let mut frames = VecDeque::new();
        let filter = &self.reading.filter;
        let may_be_wanted =
            |event: &Event| event.position() > self.cursor && filter.matches_type(&event.event_type) && filter.matches_envelope(event);
        for event in &events {
            if self.reading.narration && event.narration.parts() > 0 {
                let parts = event.expand().filter(|event| may_be_wanted(event));
                frames.extend(parts.map(|event| Frame::new(Arc::new(event))));
            } else if may_be_wanted(event) {
                frames.push_back(Frame::new(event.clone()));
            }
        }
        Ok(Some(Page { gaps, frames, through: self.cursor.max(Position::end_of(last)) }))
    }
}
