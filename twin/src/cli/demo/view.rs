//! The live view on the terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Table};

use super::scene::Scene;
use crate::status::State;

/// What stays the same while the demo runs.
pub(super) struct Frameset {
    pub(super) title: String,
    /// Commands to try, and what is missing.
    pub(super) hints: Vec<String>,
}

pub(super) fn draw(frame: &mut Frame<'_>, fixed: &Frameset, scene: &Scene) {
    let hints = u16::try_from(fixed.hints.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2);
    let rows = [
        Constraint::Length(1),
        Constraint::Length(7),
        Constraint::Min(6),
        Constraint::Length(hints),
    ];
    let [top, upper, lower, bottom] = Layout::vertical(rows).areas(frame.area());
    let halves = || Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]);
    let [quarters, parts] = halves().areas(upper);
    let [cells, right] = halves().areas(lower);
    let plugins = u16::try_from(scene.plugins.len())
        .unwrap_or(u16::MAX)
        .saturating_add(3);
    let [plugin, alerts] =
        Layout::vertical([Constraint::Max(plugins), Constraint::Min(3)]).areas(right);

    let head = format!(
        "{}  {:.0} readings/s, {} in all   q ends",
        fixed.title, scene.per_second, scene.readings
    );
    frame.render_widget(Line::from(head).bold(), top);
    draw_quarters(frame, quarters, scene);
    draw_parts(frame, parts, scene);
    draw_cells(frame, cells, scene);
    draw_plugins(frame, plugin, scene);
    let lines: Vec<_> = scene
        .alerts
        .1
        .iter()
        .map(|alert| Line::from(alert.as_str()))
        .collect();
    let title = format!("Active alerts: {}", scene.alerts.0);
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(title)),
        alerts,
    );
    let lines: Vec<_> = fixed
        .hints
        .iter()
        .map(|hint| Line::from(hint.as_str()))
        .collect();
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title("Try")),
        bottom,
    );
}

fn draw_quarters(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let rows = scene.quarters.iter().map(|quarter| {
        let figures =
            [u64::from(quarter.assets), quarter.streams, quarter.values].map(|n| n.to_string());
        Row::new([vec![quarter.name.clone()], figures.to_vec()].concat())
    });
    table(
        frame,
        area,
        "Quarters",
        ["quarter", "assets", "streams", "values"],
        [34, 22, 22, 22],
        rows,
    );
}

fn draw_parts(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let rows = scene.parts.iter().map(|part| {
        let (state, colour) = match part.state {
            State::Ok => ("ok", Color::Green),
            State::Degraded => ("degraded", Color::Yellow),
            State::Down => ("down", Color::Red),
        };
        let cells = [part.name.to_owned(), state.to_owned(), part.detail.clone()];
        Row::new(cells).style(Style::new().fg(colour))
    });
    table(
        frame,
        area,
        "Parts",
        ["part", "state", "", ""],
        [14, 14, 72, 0],
        rows,
    );
}

fn draw_cells(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let rows = scene.cells.iter().map(|cell| {
        let mean = format!("{:.1} {}", cell.mean, cell.unit);
        Row::new([
            cell.metric.clone(),
            cell.cell.clone(),
            mean,
            cell.assets.to_string(),
        ])
    });
    table(
        frame,
        area,
        "Hottest cells",
        ["metric", "cell", "mean", "assets"],
        [24, 34, 28, 14],
        rows,
    );
}

fn draw_plugins(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let rows = scene.plugins.iter().map(|plugin| {
        let cost = plugin
            .ns_a_row
            .map_or_else(|| "-".to_owned(), |ns| format!("{ns} ns"));
        let state = if plugin.quarantined { "quarantine" } else { "" };
        Row::new([
            plugin.name.clone(),
            plugin.rows.to_string(),
            cost,
            state.to_owned(),
        ])
    });
    table(
        frame,
        area,
        "Plugins",
        ["plugin", "rows", "a row", ""],
        [44, 20, 20, 16],
        rows,
    );
}

/// A table in a box; `widths` in percent.
fn table<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &'static str,
    head: [&'static str; 4],
    widths: [u16; 4],
    rows: impl Iterator<Item = Row<'a>>,
) {
    let table = Table::new(rows, widths.map(Constraint::Percentage))
        .header(Row::new(head).dim())
        .block(Block::bordered().title(title));
    frame.render_widget(table, area);
}
