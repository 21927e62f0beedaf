//! The picture of [`super::growth`]: CPU per delivery over the number of things, on a logarithmic
//! axis, as SVG that fits light and dark pages.

/// One line of the picture.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    pub(super) name: &'static str,
    /// How many there were, and the microseconds of CPU per delivery.
    pub(super) points: Vec<(u64, f64)>,
}

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 64.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 76.0;
/// Steps of the axis of microseconds.
const STEPS: u32 = 4;

/// The whole picture.
pub(super) fn draw(curves: &[Curve]) -> String {
    let points = || curves.iter().flat_map(|curve| curve.points.iter());
    let most_us = points().map(|point| point.1).fold(1.0, f64::max);
    let top_us = (most_us * 1.25 / 20.0).ceil() * 20.0;
    let least = points().map(|point| log10(point.0)).fold(9.0, f64::min);
    let most = points().map(|point| log10(point.0)).fold(1.0, f64::max);
    let first = least.floor();
    let end = most.ceil().max(first + 1.0);
    let x = |count: u64| LEFT + (log10(count) - first) / (end - first) * (WIDTH - LEFT - RIGHT);
    let y = |us: f64| HEIGHT - BOTTOM - us / top_us * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"CPU per delivery as subscriptions, companies and stored events grow\">\n\
         <style>text{{font:13px system-ui,sans-serif;fill:#333}}.grid{{stroke:#bbb}}\
         .c0{{stroke:#0b6e4f;fill:#0b6e4f}}.c1{{stroke:#0a57c2;fill:#0a57c2}}\
         .c2{{stroke:#b3561e;fill:#b3561e}}polyline{{fill:none!important;stroke-width:2.5}}\
         @media(prefers-color-scheme:dark){{text{{fill:#ddd}}.grid{{stroke:#555}}\
         .c0{{stroke:#4fc79a;fill:#4fc79a}}.c1{{stroke:#8ab8ff;fill:#8ab8ff}}\
         .c2{{stroke:#f0a060;fill:#f0a060}}}}</style>\n"
    );
    let mut line = |text: String| {
        svg.push_str(&text);
        svg.push('\n');
    };
    for step in 0..=STEPS {
        let us = top_us * f64::from(step) / f64::from(STEPS);
        let at = y(us);
        line(format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
            WIDTH - RIGHT
        ));
        line(format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{us:.0} µs</text>",
            LEFT - 8.0,
            at + 4.0
        ));
    }
    for (count, label) in [
        (10, "10"),
        (100, "100"),
        (1_000, "1,000"),
        (10_000, "10,000"),
        (100_000, "100,000"),
        (1_000_000, "1 million"),
        (10_000_000, "10 million"),
    ] {
        if (first..=end).contains(&log10(count)) {
            line(format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
                x(count),
                HEIGHT - BOTTOM + 22.0
            ));
        }
    }
    for (number, curve) in curves.iter().enumerate() {
        let class = format!("c{}", number % 3);
        let dots = curve.points.iter().map(|&(count, us)| (x(count), y(us)));
        let path: Vec<String> = dots
            .clone()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        line(format!(
            "<polyline class=\"{class}\" points=\"{}\"/>",
            path.join(" ")
        ));
        for (x, y) in dots {
            line(format!(
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
            ));
        }
        let left = LEFT + 250.0 * f64::from(u8::try_from(number).unwrap_or(0));
        let at = HEIGHT - 30.0;
        line(format!(
            "<circle class=\"{class}\" cx=\"{left:.1}\" cy=\"{:.1}\" r=\"5\"/>",
            at - 4.0
        ));
        line(format!(
            "<text x=\"{:.1}\" y=\"{at:.1}\">{}</text>",
            left + 12.0,
            curve.name
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

#[expect(clippy::cast_precision_loss, reason = "for a place in a picture")]
fn log10(count: u64) -> f64 {
    (count.max(1) as f64).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_drawn_inside_the_picture() {
        let curves = [
            Curve {
                name: "a",
                points: vec![(10, 40.0), (1_000, 44.0)],
            },
            Curve {
                name: "b",
                points: vec![(10_000, 41.0), (10_000_000, 50.0)],
            },
        ];
        let svg = draw(&curves);
        assert_eq!(svg.matches("r=\"4\"").count(), 4);
        assert_eq!(svg.matches("<polyline").count(), 2);
        for number in svg.split("cx=\"").skip(1) {
            let x: f64 = number.split('"').next().unwrap().parse().unwrap();
            assert!((0.0..=WIDTH).contains(&x), "{x}");
        }
        assert!(svg.contains("10 million") && svg.ends_with("</svg>\n"));
    }
}
