//! Several logs, each in order, read as one: whose line comes next, and of whom more is needed
//! before that can be told. Pure; the lines come from [`crate::search`].

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, VecDeque},
};

use tidings_domain::{cursor::Order, time::UtcMillis};
use tidings_store::{Position, Seq};
use uuid::Uuid;

/// A log takes at most so many lines at once.
const BATCH_MAX: i64 = 1000;

/// A line that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) place: Position,
    pub(crate) subscription: Seq,
    pub(crate) id: Uuid,
    pub(crate) attempted: UtcMillis,
    pub(crate) wanted: bool,
}

/// One of the logs.
#[derive(Debug)]
struct Log {
    waiting: VecDeque<Seen>,
    /// How far it was read.
    read_to: Position,
    /// How many lines to read next.
    batch: i64,
    /// Whether there is more beyond.
    ended: bool,
}

/// The logs as one.
#[derive(Debug)]
pub(crate) struct Merged {
    order: Order,
    logs: Vec<Log>,
    /// The next line of each log that has one waiting.
    heads: BinaryHeap<Head>,
    /// Logs that have none waiting, and may have more.
    hungry: usize,
}

/// What to read of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Which log.
    pub(crate) log: usize,
    /// Beyond this place.
    pub(crate) after: Position,
    /// So many lines.
    pub(crate) lines: i64,
}

/// The greatest comes first.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    rank: i128,
    log: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.rank, other.log).cmp(&(other.rank, self.log))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Merged {
    /// So many logs, each beyond `after`; `batch` lines of each are read first.
    pub(crate) fn new(order: Order, logs: usize, after: Position, batch: i64) -> Self {
        let log = || Log {
            waiting: VecDeque::new(),
            read_to: after,
            batch: batch.clamp(1, BATCH_MAX),
            ended: false,
        };
        Self {
            order,
            logs: std::iter::repeat_with(log).take(logs).collect(),
            heads: BinaryHeap::new(),
            hungry: logs,
        }
    }

    /// What has to be read before the next line is known, of each log at most `lines_max` lines;
    /// nothing where it is known. A log that will soon need more is read along.
    pub(crate) fn wanted(&self, lines_max: usize) -> Vec<Wanted> {
        if self.hungry == 0 {
            return Vec::new();
        }
        let lines_max = i64::try_from(lines_max).unwrap_or(i64::MAX).max(1);
        let mut wanted = Vec::new();
        for (log, it) in self.logs.iter().enumerate() {
            let few = i64::try_from(it.waiting.len()).is_ok_and(|waiting| waiting * 4 < it.batch);
            if !it.ended && (it.waiting.is_empty() || few) {
                wanted.push(Wanted {
                    log,
                    after: it.read_to,
                    lines: it.batch.min(lines_max),
                });
            }
        }
        wanted
    }

    /// Takes in what was read of a log: where that is less than was asked for, it has ended.
    pub(crate) fn feed(&mut self, wanted: Wanted, lines: Vec<Seen>) {
        let Some(log) = self.logs.get_mut(wanted.log) else {
            return;
        };
        log.ended = i64::try_from(lines.len()).is_ok_and(|count| count < wanted.lines);
        log.batch = (log.batch * 2).min(BATCH_MAX);
        if let Some(last) = lines.last() {
            log.read_to = last.place;
        }
        let was_empty = log.waiting.is_empty();
        log.waiting.extend(lines);
        if was_empty {
            self.hungry -= 1;
            self.put_head(wanted.log);
        }
    }

    /// The line that comes next, left where it is; none where nothing is left, or [`Self::wanted`]
    /// names what has to be read first.
    pub(crate) fn peek(&self) -> Option<&Seen> {
        if self.hungry > 0 {
            return None;
        }
        self.logs[self.heads.peek()?.log].waiting.front()
    }

    /// Takes the line that comes next.
    pub(crate) fn take(&mut self) -> Option<Seen> {
        if self.hungry > 0 {
            return None;
        }
        let head = self.heads.pop()?;
        let line = self.logs[head.log].waiting.pop_front();
        self.put_head(head.log);
        line
    }

    fn put_head(&mut self, number: usize) {
        let log = &self.logs[number];
        match log.waiting.front() {
            Some(line) => self.heads.push(Head {
                rank: match self.order {
                    Order::Descending => line.place.into(),
                    Order::Ascending => -i128::from(line.place),
                },
                log: number,
            }),
            None if !log.ended => self.hungry += 1,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(place: Position) -> Seen {
        Seen {
            place,
            subscription: 1,
            id: Uuid::from_u128(place.unsigned_abs().into()),
            attempted: UtcMillis::from_millis(place),
            wanted: true,
        }
    }

    /// Reads everything of `logs`, each in the order asked for, and how many lines were fetched.
    fn read(order: Order, logs: &[Vec<Position>], batch: i64) -> (Vec<Position>, usize) {
        let after = match order {
            Order::Ascending => 0,
            Order::Descending => Position::MAX,
        };
        let mut merged = Merged::new(order, logs.len(), after, batch);
        let (mut places, mut fetched) = (Vec::new(), 0);
        loop {
            for wanted in merged.wanted(usize::MAX) {
                let beyond = |place: &&Position| match order {
                    Order::Ascending => **place > wanted.after,
                    Order::Descending => **place < wanted.after,
                };
                let lines = usize::try_from(wanted.lines).unwrap();
                let lines: Vec<Seen> = logs[wanted.log]
                    .iter()
                    .filter(beyond)
                    .take(lines)
                    .map(|place| line(*place))
                    .collect();
                fetched += lines.len();
                merged.feed(wanted, lines);
            }
            let next = merged.peek().copied();
            match merged.take() {
                Some(line) => {
                    assert_eq!(next, Some(line));
                    places.push(line.place);
                }
                None if merged.wanted(1).is_empty() => return (places, fetched),
                None => {}
            }
        }
    }

    #[test]
    fn lines_come_in_order_whoever_has_them() {
        let logs: [Vec<Position>; 4] = [
            (1..200).filter(|place| place % 7 == 0).collect(),
            vec![],
            (1..200).filter(|place| place % 7 > 1).collect(),
            vec![1, 197],
        ];
        let mut expected: Vec<_> = logs.iter().flatten().copied().collect();
        expected.sort_unstable();
        for batch in [1, 3, 1000] {
            let (places, fetched) = read(Order::Ascending, &logs, batch);
            assert_eq!(places, expected, "batches of {batch}");
            assert_eq!(fetched, expected.len(), "nothing is read twice");
        }
        let backwards = logs.map(|log| log.into_iter().rev().collect::<Vec<_>>());
        expected.reverse();
        assert_eq!(read(Order::Descending, &backwards, 2).0, expected);
    }

    #[test]
    fn nobody_is_taken_before_all_are_known() {
        let mut merged = Merged::new(Order::Descending, 2, Position::MAX, 2);
        let wanted = merged.wanted(100);
        assert_eq!(wanted.len(), 2);
        merged.feed(wanted[0], vec![line(9), line(8)]);
        assert_eq!(merged.peek(), None);
        assert_eq!(merged.take(), None);
        merged.feed(wanted[1], vec![line(10)]);
        assert_eq!(merged.take(), Some(line(10)));
        assert!(merged.wanted(100).is_empty(), "the second log has ended");
        assert_eq!(merged.take(), Some(line(9)));
        assert_eq!(merged.take(), Some(line(8)));
        let more = Wanted {
            log: 0,
            after: 8,
            lines: 4,
        };
        assert_eq!(merged.wanted(100), [more]);
        assert_eq!(merged.wanted(3)[0].lines, 3);
    }
}
