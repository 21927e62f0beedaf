//! A receiver in trouble: it refuses some deliveries, leaves a few without an answer, and remembers
//! which events it took.

use std::collections::HashSet;

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It is taken.
    Takes,
    /// It is answered with 500.
    Refuses,
    /// It is not answered.
    Hangs,
}

/// Which deliveries meet trouble. It follows from their number alone, so that runs are alike.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// Refusals among 1000 deliveries.
    per_mille: u32,
    deliveries: u32,
    taken: HashSet<Box<[u8]>>,
}

impl Trouble {
    /// None with 0: then nothing is remembered either.
    pub(crate) fn new(per_mille: u32) -> Self {
        Self {
            per_mille,
            deliveries: 0,
            taken: HashSet::new(),
        }
    }

    /// A delivery of the event `id`.
    pub(crate) fn meets(&mut self, id: &[u8]) -> Mood {
        if self.per_mille == 0 {
            return Mood::Takes;
        }
        self.deliveries = self.deliveries.wrapping_add(1);
        // A prime, so that trouble is spread and not in a row.
        match self.deliveries.wrapping_mul(617) % 1000 {
            999 => Mood::Hangs,
            place if place < self.per_mille => Mood::Refuses,
            _ => {
                self.taken.insert(id.into());
                Mood::Takes
            }
        }
    }

    /// The events that were taken, one a line.
    pub(crate) fn taken(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for id in &self.taken {
            lines.extend_from_slice(id);
            lines.push(b'\n');
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_comes_as_often_as_it_was_asked_for() {
        let mut trouble = Trouble::new(100);
        let moods: Vec<_> = (0..1000)
            .map(|n: u32| trouble.meets(&n.to_be_bytes()))
            .collect();
        let count = |mood| moods.iter().filter(|met| **met == mood).count();
        assert_eq!((count(Mood::Refuses), count(Mood::Hangs)), (100, 1));
        assert_eq!(trouble.taken.len(), 899);
        assert_eq!(Trouble::new(0).meets(b"a"), Mood::Takes);
    }
}
