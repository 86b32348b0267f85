//! A set of numbers of which most follow one another: thousands that come at once cost what one does.

use std::collections::BTreeMap;
use std::ops::Range;

#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Where each row begins, and what is behind it.
    rows: BTreeMap<u64, u64>,
    len: usize,
}

impl Numbers {
    /// That these are in it, too, none of which was.
    pub(super) fn extend(&mut self, new: impl Iterator<Item = u64>) {
        let mut new = new.peekable();
        while let Some(start) = new.next() {
            let mut end = start + 1;
            while new.next_if_eq(&end).is_some() {
                end += 1;
            }
            self.len += usize::try_from(end - start).unwrap_or(usize::MAX);
            self.rows.insert(start, end);
        }
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.row_of(number).is_some()
    }

    pub(super) fn remove(&mut self, number: u64) {
        let Some(Range { start, end }) = self.row_of(number) else { return };
        self.rows.remove(&start);
        for rest in [start..number, number + 1..end] {
            if !rest.is_empty() {
                self.rows.insert(rest.start, rest.end);
            }
        }
        self.len -= 1;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn row_of(&self, number: u64) -> Option<Range<u64>> {
        let (&start, &end) = self.rows.range(..=number).next_back()?;
        Some(start..end).filter(|row| row.contains(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_rows_and_go_in_any_order() {
        for order in [[0, 1, 2, 3, 9], [9, 3, 2, 1, 0], [2, 9, 0, 3, 1]] {
            let mut numbers = Numbers::default();
            numbers.extend(0..4);
            numbers.extend(9..10);
            numbers.extend(20..20);
            for (gone, number) in order.into_iter().enumerate() {
                assert_eq!(numbers.len(), 5 - gone);
                assert!(numbers.contains(number) && !numbers.contains(4) && !numbers.contains(20));
                numbers.remove(number);
                numbers.remove(number);
                assert!(!numbers.contains(number));
            }
            assert!(numbers.is_empty() && numbers.rows.is_empty());
        }
    }
}
