//! Outputs over time, for the terminal and as SVG.

use std::fmt::Write as _;
use std::path::Path;

use super::{Failure, Outcome, because};
use crate::model::Millis;
use crate::rerun::{Kind, Series};

/// Columns of a line in the terminal.
pub(super) const BINS: usize = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Size of a panel of the SVG, pixels.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 120.0;

/// A named line of a plot, once or as it was and with a change.
#[derive(Debug)]
pub(super) struct Plot {
    pub(super) before: Series,
    pub(super) after: Option<Series>,
}

impl Plot {
    fn title(&self) -> String {
        let Series {
            kind, plugin, name, ..
        } = &self.before;
        match kind {
            Kind::Alert => format!("{plugin}: alerts {name} raised"),
            Kind::Command => format!("{plugin}: commands {name}"),
            Kind::Derived => format!("{plugin}: {name}, mean"),
        }
    }

    fn lines(&self) -> impl Iterator<Item = (&'static str, &Series)> {
        let after = self.after.as_ref().map(|after| ("change", after));
        let name = if after.is_some() { "before" } else { "" };
        std::iter::once((name, &self.before)).chain(after)
    }

    /// Smallest and largest value of all lines; counts begin at 0.
    fn range(&self) -> Option<(f64, f64)> {
        let values = || {
            self.lines()
                .flat_map(|(_, series)| series.bins.iter().flatten().copied())
        };
        let low = match self.before.kind {
            Kind::Derived => values().fold(f64::INFINITY, f64::min),
            Kind::Alert | Kind::Command => 0.0,
        };
        let high = values().fold(f64::NEG_INFINITY, f64::max);
        (low <= high).then_some((low, high))
    }
}

/// Lines of bars, one below the other, with the time below.
pub(super) fn terminal(plots: &[Plot], (from, to): (Millis, Millis)) -> String {
    let mut text = String::new();
    for plot in plots {
        let Some(range) = plot.range() else { continue };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", plot.title());
        for (name, series) in plot.lines() {
            let bars: String = series.bins.iter().map(|bin| bar(*bin, range)).collect();
            let _ = writeln!(
                text,
                "  {name:6} {bars}  {} to {}",
                short(range.0),
                short(range.1)
            );
        }
    }
    if !text.is_empty() {
        let _ = writeln!(text, "         {from} to {to}");
    }
    text
}

fn bar(value: Option<f64>, (low, high): (f64, f64)) -> char {
    let Some(value) = value else { return ' ' };
    if value == 0.0 && low == 0.0 {
        return '·';
    }
    let share = if high > low {
        (value - low) / (high - low)
    } else {
        0.5
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of eight bars"
    )]
    let index = (share * 7.0).round() as usize;
    BARS.get(index).copied().unwrap_or('█')
}

/// Three digits behind the point at most.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Writes the plots as an SVG file, a panel each.
pub(super) fn write_svg(path: &Path, plots: &[Plot], span: (Millis, Millis)) -> Outcome {
    let failed = because(format!("{}: cannot be written", path.display()));
    std::fs::write(path, svg(plots, span)).map_err(|error| Failure::fault(failed(error)))
}

fn svg(plots: &[Plot], (from, to): (Millis, Millis)) -> String {
    let panels: Vec<&Plot> = plots.iter().filter(|plot| plot.range().is_some()).collect();
    #[expect(clippy::cast_precision_loss, reason = "a few panels")]
    let height = (HEIGHT + 40.0) * panels.len() as f64 + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        WIDTH + 80.0
    );
    for (number, plot) in (0u32..).zip(&panels) {
        let top = f64::from(number) * (HEIGHT + 40.0) + 30.0;
        let _ = writeln!(
            svg,
            "<text x=\"60\" y=\"{}\">{}</text>",
            top - 8.0,
            escaped(&plot.title())
        );
        let _ = writeln!(
            svg,
            "<rect x=\"60\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#ccc\"/>"
        );
        let Some(range) = plot.range() else { continue };
        for (value, y) in [(range.1, top + 10.0), (range.0, top + HEIGHT)] {
            let _ = writeln!(svg, "<text x=\"4\" y=\"{y}\">{}</text>", short(value));
        }
        for ((_, series), colour) in plot.lines().zip(["#1f6fb4", "#d1495b"]) {
            let _ = writeln!(
                svg,
                "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
                path_of(series, range, top)
            );
        }
    }
    let _ = writeln!(svg, "<text x=\"60\" y=\"{}\">{from} to {to}", height - 8.0);
    if panels.iter().any(|plot| plot.after.is_some()) {
        svg.push_str(" - blue: as it was, red: with the change");
    }
    svg.push_str("</text>\n</svg>\n");
    svg
}

/// Through the bins that have a value; a gap begins a new stroke.
fn path_of(series: &Series, (low, high): (f64, f64), top: f64) -> String {
    let (mut path, mut pen) = (String::new(), 'M');
    #[expect(clippy::cast_precision_loss, reason = "some dozens of bins")]
    let step = WIDTH / series.bins.len().max(1) as f64;
    for (number, value) in (0u32..).zip(&series.bins) {
        let Some(value) = value else {
            pen = 'M';
            continue;
        };
        let share = if high > low {
            (value - low) / (high - low)
        } else {
            0.5
        };
        let x = 60.0 + (f64::from(number) + 0.5) * step;
        let _ = write!(path, "{pen}{x:.1} {:.1}", top + HEIGHT * (1.0 - share));
        if pen == 'M' {
            // A value alone is a dot, not nothing.
            path.push_str("h0.1");
        }
        pen = 'L';
    }
    path
}

fn escaped(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    escaped.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(kind: Kind, name: &str, bins: &[Option<f64>]) -> Series {
        Series {
            kind,
            plugin: "p".to_owned(),
            name: name.to_owned(),
            bins: bins.to_vec(),
        }
    }

    #[test]
    fn a_line_shows_its_range_gaps_and_zeros() {
        let derived = series(Kind::Derived, "eaqi", &[Some(1.0), None, Some(6.0)]);
        let (before, after) = (derived, None);
        let alerts = |bins: &[f64]| {
            let bins: Vec<_> = bins.iter().copied().map(Some).collect();
            series(Kind::Alert, "hot<", &bins)
        };
        let change = Plot {
            before: alerts(&[0.0, 0.0, 1.0]),
            after: Some(alerts(&[0.0, 2.0, 1.0])),
        };
        let plots = [Plot { before, after }, change];
        let span = (Millis(0), Millis(3000));
        let text = terminal(&plots, span);
        assert!(text.contains("▁ █  1 to 6"), "{text}");
        assert!(
            text.contains("before ··▅  0 to 2") && text.contains("change ·█▅"),
            "{text}"
        );
        let svg = svg(&plots, span);
        assert!(
            svg.contains("hot&lt;") && svg.matches("<path").count() == 3,
            "{svg}"
        );
        assert_eq!(terminal(&[], span), "");
    }
}
