//! Charts: figures over time as SVG that is made here, with a sentence for who hears it and a
//! table of the same numbers.
//!
//! Sizes are attributes and colours are classes, since the policy allows no inline style. What is
//! in a drawing comes from numbers alone; what is said beside it is escaped as everywhere.

use std::{collections::HashMap, fmt::Write as _};

use askama::{Template, filters::HtmlSafe};
use tidings_domain::{
    figures::{Figures, Resolution},
    time::UtcMillis,
};
use tidings_store::FigureRow;

use crate::{moment::Moment, texts::Texts};

/// Width of a stretch and height of a whole drawing, in the drawing's own units; the style sheet
/// says how large it is shown.
const STRETCH_UNITS: u32 = 10;
const HEIGHT_UNITS: u64 = 200;
/// What is left free between two bars.
const GAP_UNITS: u32 = 2;

/// A range of time that is cut into stretches: the horizontal axis of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// How long a stretch is.
    pub(crate) resolution: Resolution,
    /// Where the first one begins.
    pub(crate) since: UtcMillis,
    /// Where the last one ends.
    pub(crate) until: UtcMillis,
    stretches: u32,
}

impl Span {
    /// The last `stretches`, the one that is under way included.
    pub(crate) fn last(resolution: Resolution, stretches: u32, now: UtcMillis) -> Self {
        let length = resolution.length_ms();
        let until = resolution.start_of(now).plus_millis(length);
        Self {
            resolution,
            since: until.plus_millis(-length * i64::from(stretches)),
            until,
            stretches,
        }
    }

    /// How long it is up to `now`, in milliseconds: the stretch under way is not over.
    pub(crate) fn length_ms(self, now: UtcMillis) -> i64 {
        now.since(self.since).clamp(1, self.until.since(self.since))
    }

    /// The number of the stretch that begins at `start`; none outside of the range.
    fn index_of(self, start: UtcMillis) -> Option<u32> {
        let index = start
            .since(self.since)
            .div_euclid(self.resolution.length_ms());
        let index = u32::try_from(index).ok()?;
        (index < self.stretches).then_some(index)
    }

    fn width_units(self) -> u32 {
        self.stretches * STRETCH_UNITS
    }
}

/// What happened in all stretches together.
pub(crate) fn total(rows: &[FigureRow]) -> Figures {
    let mut sum = Figures::default();
    for row in rows {
        sum.add(&row.figures);
    }
    sum
}

/// Attempts over time, succeeded below and failed above, with a table of the same.
#[derive(Template)]
#[template(path = "chart_bars.html")]
pub(crate) struct BarChart {
    t: &'static Texts,
    span: Span,
    /// Tells one chart's parts from another's on the same page.
    name: &'static str,
    rows: Vec<TableRow>,
    bars: Bars,
    sum: Figures,
    most: u64,
}

impl HtmlSafe for BarChart {}

/// Attempts over time, small enough for a row of a list.
#[derive(Template)]
#[template(path = "chart_spark.html")]
pub(crate) struct Spark {
    t: &'static Texts,
    bars: Bars,
    sum: Figures,
}

impl HtmlSafe for Spark {}

struct TableRow {
    index: u32,
    at: Moment,
    figures: Figures,
}

/// The paths of all bars: one for each colour, so that a chart stays small.
struct Bars {
    width: u32,
    succeeded: String,
    failed: String,
}

impl BarChart {
    /// A chart called `name`, an element's id, over a range of time.
    pub(crate) fn new(
        t: &'static Texts,
        name: &'static str,
        span: Span,
        rows: &[FigureRow],
    ) -> Self {
        let table = rows.iter().filter(|row| row.figures.attempts() > 0);
        let table = table.filter_map(|row| {
            Some(TableRow {
                index: span.index_of(row.start)?,
                at: row.start.into(),
                figures: row.figures,
            })
        });
        Self {
            t,
            span,
            name,
            rows: table.collect(),
            bars: Bars::new(span, rows),
            sum: total(rows),
            most: most(rows),
        }
    }

    /// The times that stand below the axis: where it begins, its middle, and where it ends.
    fn marks(&self) -> [Moment; 3] {
        let half = self.span.until.since(self.span.since) / 2;
        [
            self.span.since.into(),
            self.span.since.plus_millis(half).into(),
            self.span.until.into(),
        ]
    }

    fn length(&self) -> &'static str {
        self.t.charts.stretch(self.span.resolution)
    }
}

impl Spark {
    /// A drawing over a range of time.
    pub(crate) fn new(t: &'static Texts, span: Span, rows: &[FigureRow]) -> Self {
        Self {
            t,
            bars: Bars::new(span, rows),
            sum: total(rows),
        }
    }
}

impl Bars {
    fn new(span: Span, rows: &[FigureRow]) -> Self {
        let most = most(rows).max(1);
        let figures: HashMap<u32, Figures> = rows
            .iter()
            .filter_map(|row| Some((span.index_of(row.start)?, row.figures)))
            .collect();
        let (mut succeeded, mut failed) = (String::new(), String::new());
        for index in 0..span.stretches {
            let Some(figures) = figures.get(&index) else {
                continue;
            };
            let x = index * STRETCH_UNITS + GAP_UNITS / 2;
            let below = height_of(figures.succeeded, most);
            let above = height_of(figures.failed, most).min(HEIGHT_UNITS - below);
            bar(&mut succeeded, x, HEIGHT_UNITS, below);
            bar(&mut failed, x, HEIGHT_UNITS - below, above);
        }
        Self {
            width: span.width_units(),
            succeeded,
            failed,
        }
    }
}

fn most(rows: &[FigureRow]) -> u64 {
    let attempts = rows.iter().map(|row| row.figures.attempts());
    attempts.max().unwrap_or(0)
}

/// A height that can be seen for whatever happened at all.
fn height_of(count: u64, most: u64) -> u64 {
    if count == 0 {
        0
    } else {
        // Of two that share a bar, the small one takes two units and the large one yields them.
        let height = u128::from(count) * u128::from(HEIGHT_UNITS) / u128::from(most);
        u64::try_from(height)
            .unwrap_or(HEIGHT_UNITS)
            .clamp(2, HEIGHT_UNITS - 2)
    }
}

/// Adds a rectangle that stands on `bottom` to a path.
fn bar(path: &mut String, x: u32, bottom: u64, height: u64) {
    if height > 0 {
        let width = STRETCH_UNITS - GAP_UNITS;
        // Writing into a string cannot fail.
        let _ = write!(path, "M{x} {bottom}v-{height}h{width}v{height}z");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts;

    fn at(minute: i64) -> UtcMillis {
        UtcMillis::from_millis(minute * 60_000)
    }

    fn row(minute: i64, succeeded: u64, failed: u64) -> FigureRow {
        let figures = Figures {
            succeeded,
            failed,
            ..Figures::default()
        };
        FigureRow {
            start: at(minute),
            figures,
        }
    }

    #[test]
    fn a_span_ends_with_the_stretch_under_way() {
        let now = at(100).plus_millis(1);
        let span = Span::last(Resolution::Minute, 60, now);
        assert_eq!((span.since, span.until), (at(41), at(101)));
        assert_eq!(span.length_ms(now), 59 * 60_000 + 1);
        assert_eq!(span.index_of(at(41)), Some(0));
        assert_eq!(span.index_of(at(100)), Some(59));
        assert_eq!(span.index_of(at(101)), None);
        assert_eq!(span.index_of(at(40)), None);
    }

    #[test]
    fn bars_stand_on_each_other_and_stay_inside() {
        let span = Span::last(Resolution::Minute, 3, at(2));
        let bars = Bars::new(span, &[row(0, 50, 50), row(2, 1_000_000, 1)]);
        assert_eq!(bars.width, 30);
        assert_eq!(bars.succeeded, "M1 200v-2h8v2zM21 200v-198h8v198z");
        assert_eq!(bars.failed, "M1 198v-2h8v2zM21 2v-2h8v2z");
    }

    #[test]
    fn huge_counts_do_not_overflow() {
        let span = Span::last(Resolution::Hour, 1, at(0));
        let bars = Bars::new(span, &[row(0, u64::MAX / 4, 0)]);
        assert_eq!(bars.succeeded, "M1 200v-198h8v198z");
    }

    #[test]
    fn a_chart_says_and_tabulates_what_it_draws() {
        let span = Span::last(Resolution::Minute, 60, at(59));
        let rows = [row(3, 1200, 34)];
        let chart = BarChart::new(texts::default(), "deliveries", span, &rows);
        let html = chart.render().unwrap();
        assert!(html.contains("role=\"img\""), "{html}");
        assert!(html.contains("1,200") && html.contains("34"), "{html}");
        assert!(html.contains("1970-01-01T00:03:00.000Z"), "{html}");
        assert!(!html.contains("style="), "{html}");
        let spark = Spark::new(texts::default(), span, &rows).render().unwrap();
        assert!(
            spark.contains("1,234") && spark.contains("97.2 %"),
            "{spark}"
        );
    }
}
