//! The delivery log of several subscriptions as one, in order, by its index and its tail alone.
//!
//! Of what is filed of each subscription a few places are read ahead, more each time, so that a
//! busy one is read in long pieces and a quiet one costs one look. The tail is one source for all.

use std::collections::{BinaryHeap, HashSet, VecDeque};

use rusqlite::Connection;
use tidings_domain::cursor::Order;
use tidings_store::{Position, Seq};

use crate::{
    failure::Failure,
    log_index::{self, Between, Tail},
};

/// Places that are read at once of one subscription: the first time, and at the most.
const AHEAD_FIRST: i64 = 8;
const AHEAD_MAX: i64 = 512;

/// Places from several sources.
pub(crate) struct Merge {
    order: Order,
    sources: Vec<Source>,
    /// The next place of each source that has any, and which source that is. The greatest comes
    /// first, so places stand in it as they are, or negative to have the oldest first.
    next: BinaryHeap<(Position, usize)>,
}

/// One subscription's filed places, or places that are known.
struct Source {
    /// None where all of them are at hand.
    subscription: Option<Seq>,
    /// What is yet to be read.
    left: Between,
    ahead: VecDeque<Position>,
    read_next: i64,
}

impl Merge {
    /// The log of these subscriptions.
    pub(crate) fn of_subscriptions(
        conn: &Connection,
        tail: &Tail,
        subscriptions: Vec<Seq>,
        order: Order,
        between: Between,
    ) -> Result<Self, Failure> {
        let wanted: HashSet<Seq> = subscriptions.iter().copied().collect();
        let mut merge = Self::of_places(tail.places(conn, between, &wanted)?, order, between);
        for subscription in subscriptions {
            merge.sources.push(Source {
                subscription: Some(subscription),
                left: between,
                ahead: VecDeque::new(),
                read_next: AHEAD_FIRST,
            });
            merge.line_up(conn, merge.sources.len() - 1)?;
        }
        Ok(merge)
    }

    /// These places, as far as they are between the bounds.
    pub(crate) fn of_places(mut places: Vec<Position>, order: Order, between: Between) -> Self {
        places.retain(|&place| between.above < place && place < between.below);
        places.sort_unstable();
        if order == Order::Descending {
            places.reverse();
        }
        let mut ahead = VecDeque::from(places);
        let first = ahead.pop_front().map(|place| (rank(order, place), 0));
        Self {
            order,
            sources: vec![Source {
                subscription: None,
                left: between,
                ahead,
                read_next: 0,
            }],
            next: first.into_iter().collect(),
        }
    }

    /// The next place.
    pub(crate) fn peek(&self) -> Option<Position> {
        self.next
            .peek()
            .map(|&(ranked, _)| rank(self.order, ranked))
    }

    /// Goes on behind it.
    pub(crate) fn advance(&mut self, conn: &Connection) -> Result<(), Failure> {
        match self.next.pop() {
            Some((_, source)) => self.line_up(conn, source),
            None => Ok(()),
        }
    }

    /// Lines up a source with its next place.
    fn line_up(&mut self, conn: &Connection, number: usize) -> Result<(), Failure> {
        let source = &mut self.sources[number];
        if source.ahead.is_empty() {
            source.read_ahead(conn, self.order)?;
        }
        if let Some(place) = source.ahead.pop_front() {
            self.next.push((rank(self.order, place), number));
        }
        Ok(())
    }
}

impl Source {
    fn read_ahead(&mut self, conn: &Connection, order: Order) -> Result<(), Failure> {
        let Some(subscription) = self.subscription else {
            return Ok(());
        };
        let places = log_index::filed(conn, subscription, self.left, order, self.read_next)?;
        self.ahead.extend(places);
        match (self.ahead.back(), order) {
            (Some(&last), Order::Ascending) => self.left.above = last,
            (Some(&last), Order::Descending) => self.left.below = last,
            (None, _) => self.subscription = None,
        }
        self.read_next = (self.read_next * 8).min(AHEAD_MAX);
        Ok(())
    }
}

/// A place as the heap has it, and back.
fn rank(order: Order, place: Position) -> Position {
    match order {
        Order::Ascending => -place,
        Order::Descending => place,
    }
}
