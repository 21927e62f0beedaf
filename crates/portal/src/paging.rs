//! Paging through a list that is read as a whole, such as keys and users: few enough to read,
//! perhaps too many to show.

use crate::visit::Fields;

/// Items on one page.
const PER_PAGE: usize = 30;

/// One page of a list.
#[derive(Clone, Debug)]
pub(crate) struct Paged<T> {
    /// What is shown.
    pub(crate) items: Vec<T>,
    /// The number of the page before, from 1.
    pub(crate) previous: Option<usize>,
    /// The number of the next page.
    pub(crate) next: Option<usize>,
}

impl<T> Paged<T> {
    /// The page that the query's `page` names; the first where it names none, the last where it
    /// names one beyond the end.
    pub(crate) fn new(all: Vec<T>, query: &Fields) -> Self {
        let last = all.len().div_ceil(PER_PAGE).max(1);
        let named = query.get("page").and_then(|page| page.parse().ok());
        let page = named.unwrap_or(1).clamp(1, last);
        let items = all.into_iter().skip((page - 1) * PER_PAGE);
        Self {
            items: items.take(PER_PAGE).collect(),
            previous: (page > 1).then(|| page - 1),
            next: (page < last).then_some(page + 1),
        }
    }
}

/// The number of the page on which the item with this index stands.
pub(crate) fn page_of(index: usize) -> usize {
    index / PER_PAGE + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let page = |query: &str| {
            let all: Vec<usize> = (0..70).collect();
            let paged = Paged::new(all, &Fields::parse(query.as_bytes()));
            (
                paged.items[0],
                paged.items.len(),
                paged.previous,
                paged.next,
            )
        };
        assert_eq!(page(""), (0, 30, None, Some(2)));
        assert_eq!(page("page=2"), (30, 30, Some(1), Some(3)));
        assert_eq!(page("page=3"), (60, 10, Some(2), None));
        assert_eq!(page("page=99"), (60, 10, Some(2), None));
        assert_eq!(page("page=0"), (0, 30, None, Some(2)));
        assert_eq!(page("page=x"), (0, 30, None, Some(2)));
        assert_eq!(page_of(29), 1);
        assert_eq!(page_of(30), 2);
    }

    #[test]
    fn an_empty_list_is_one_empty_page() {
        let paged = Paged::<u8>::new(Vec::new(), &Fields::default());
        assert!(paged.items.is_empty() && paged.next.is_none() && paged.previous.is_none());
    }
}
