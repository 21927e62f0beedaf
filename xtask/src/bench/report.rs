//! The table: medians over the runs of each scenario, in Markdown.

use super::{ground::DatabaseKind, run_once::Figures, scenario::Situation, yardstick::Yardstick};

/// The table's head with the embedded store.
const SQLITE_HEAD: &str = "\
| scenario | accepted/s | delivered/s | publish p50 / p99 | publish to arrival p50 / p99 | server CPU per delivery | bytes per event | events per fsync | memory |
|---|---|---|---|---|---|---|---|---|";

/// The table's head with PostgreSQL.
const POSTGRES_HEAD: &str = "\
| scenario | accepted/s | delivered/s | publish p50 / p99 | publish to arrival p50 / p99 | CPU per delivery: servers + PostgreSQL = together | statements per delivery | WAL bytes per delivery | bytes per event | events per commit | memory of a node |
|---|---|---|---|---|---|---|---|---|---|---|";

/// One situation's line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    situation: Situation,
    median: Figures,
    /// The least and the most CPU time per delivery, PostgreSQL's included, which shows how far
    /// runs lie apart.
    cpu_us_spread: (f64, f64),
}

impl Row {
    /// The medians of one situation's runs, of which there is at least one.
    pub(super) fn of(situation: Situation, runs: &[Figures]) -> Self {
        let of = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure).collect());
        let cpu = runs.iter().map(Figures::cpu_us_together);
        Self {
            situation,
            median: Figures {
                accepted_per_second: of(|run| run.accepted_per_second),
                delivered_per_second: of(|run| run.delivered_per_second),
                publish_p50_ms: of(|run| run.publish_p50_ms),
                publish_p99_ms: of(|run| run.publish_p99_ms),
                arrival_p50_ms: of(|run| run.arrival_p50_ms),
                arrival_p99_ms: of(|run| run.arrival_p99_ms),
                cpu_us_per_delivery: of(|run| run.cpu_us_per_delivery),
                postgres_cpu_us_per_delivery: of(|run| run.postgres_cpu_us_per_delivery),
                statements_per_delivery: of(|run| run.statements_per_delivery),
                wal_bytes_per_delivery: of(|run| run.wal_bytes_per_delivery),
                bytes_per_event: of(|run| run.bytes_per_event),
                events_per_fsync: of(|run| run.events_per_fsync),
                memory_peak_mib: of(|run| run.memory_peak_mib),
                refused: of(|run| run.refused),
            },
            cpu_us_spread: (
                cpu.clone().fold(f64::INFINITY, f64::min),
                cpu.fold(0.0, f64::max),
            ),
        }
    }

    fn line(&self, database: DatabaseKind) -> String {
        let figures = &self.median;
        let (least, most) = self.cpu_us_spread;
        let front = format!(
            "| {} | {:.0} | {:.0} | {:.1} / {:.1} ms | {:.1} / {:.1} ms |",
            self.situation.describe(),
            figures.accepted_per_second,
            figures.delivered_per_second,
            figures.publish_p50_ms,
            figures.publish_p99_ms,
            figures.arrival_p50_ms,
            figures.arrival_p99_ms,
        );
        let cost = match database {
            DatabaseKind::Sqlite => format!(
                "{:.0} µs ({least:.0} to {most:.0})",
                figures.cpu_us_per_delivery
            ),
            DatabaseKind::Postgres => format!(
                "{:.0} + {:.0} = {:.0} µs ({least:.0} to {most:.0}) | {:.3} | {:.0}",
                figures.cpu_us_per_delivery,
                figures.postgres_cpu_us_per_delivery,
                figures.cpu_us_together(),
                figures.statements_per_delivery,
                figures.wal_bytes_per_delivery,
            ),
        };
        format!(
            "{front} {cost} | {:.0} | {:.1} | {:.0} MiB |",
            figures.bytes_per_event, figures.events_per_fsync, figures.memory_peak_mib,
        )
    }
}

/// The machine, how it was measured, and a line for each situation.
pub(super) fn table(
    machine: &str,
    database: DatabaseKind,
    ends: Yardstick,
    (runs, seconds): (usize, u64),
    rows: &[Row],
) -> String {
    let method = format!(
        "{machine}. Payloads of 1 KiB; medians of {runs} runs of {seconds} s each. Yardstick: without a server, load generator and sink do {:.0} requests/s at {:.1} µs of the sink's CPU.\n",
        ends.per_second, ends.sink_cpu_us,
    );
    let head = match database {
        DatabaseKind::Sqlite => SQLITE_HEAD,
        DatabaseKind::Postgres => POSTGRES_HEAD,
    };
    let mut lines = vec![method, head.to_owned()];
    lines.extend(rows.iter().map(|row| row.line(database)));
    for row in rows.iter().filter(|row| row.median.refused > 0.0) {
        let name = row.situation.describe();
        let refused = row.median.refused;
        lines.push(format!(
            "\n{name}: {refused:.0} publications were not accepted."
        ));
    }
    lines.join("\n")
}

/// One run in one line, for the screen.
pub(super) fn tell(figures: &Figures) -> String {
    format!(
        "{:.0} accepted/s, {:.0} delivered/s, {:.1} µs CPU per delivery, {:.1} events per fsync, {:.0} refused",
        figures.accepted_per_second,
        figures.delivered_per_second,
        figures.cpu_us_together(),
        figures.events_per_fsync,
        figures.refused,
    )
}

/// The middle value, or the mean of the two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

#[cfg(test)]
mod tests {
    use super::{super::scenario::Scenario, *};

    const FIGURES: Figures = Figures {
        accepted_per_second: 5000.4,
        delivered_per_second: 4999.6,
        publish_p50_ms: 1.25,
        publish_p99_ms: 9.0,
        arrival_p50_ms: 3.0,
        arrival_p99_ms: 20.0,
        cpu_us_per_delivery: 60.0,
        postgres_cpu_us_per_delivery: 0.0,
        statements_per_delivery: 0.125,
        wal_bytes_per_delivery: 0.0,
        bytes_per_event: 1700.0,
        events_per_fsync: 24.0,
        memory_peak_mib: 40.0,
        refused: 0.0,
    };

    const ENDS: Yardstick = Yardstick {
        per_second: 80_000.0,
        sink_cpu_us: 11.0,
    };

    const ONE: Situation = Situation {
        scenario: Scenario::One,
        nodes: 1,
    };

    #[test]
    fn postgres_is_added_to_the_server() {
        let figures = Figures {
            postgres_cpu_us_per_delivery: 25.0,
            wal_bytes_per_delivery: 2000.0,
            ..FIGURES
        };
        let two = Situation { nodes: 2, ..ONE };
        let line = Row::of(two, &[figures]).line(DatabaseKind::Postgres);
        assert_eq!(
            line,
            "| 1 subscription, 64 publishers, 2 nodes | 5000 | 5000 | 1.2 / 9.0 ms | 3.0 / 20.0 ms \
             | 60 + 25 = 85 µs (85 to 85) | 0.125 | 2000 | 1700 | 24.0 | 40 MiB |"
        );
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0]) - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_table_has_a_line_for_each_scenario() {
        let slower = Figures {
            cpu_us_per_delivery: 70.0,
            ..FIGURES
        };
        let rows = [Row::of(ONE, &[FIGURES, slower, FIGURES])];
        let table = table("A machine", DatabaseKind::Sqlite, ENDS, (3, 20), &rows);
        let last = table.lines().last().unwrap();
        assert_eq!(
            last,
            "| 1 subscription, 64 publishers | 5000 | 5000 | 1.2 / 9.0 ms | 3.0 / 20.0 ms \
             | 60 µs (60 to 70) | 1700 | 24.0 | 40 MiB |"
        );
    }

    #[test]
    fn refusals_are_told() {
        let overloaded = Figures {
            refused: 12.0,
            ..FIGURES
        };
        let rows = [Row::of(ONE, &[overloaded])];
        let table = table("A machine", DatabaseKind::Sqlite, ENDS, (1, 5), &rows);
        assert!(table.ends_with("12 publications were not accepted."));
    }
}
