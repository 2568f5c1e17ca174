//! A sweep as a picture: an SVG with a row for each kind of request, and in it rate, latency and
//! cost, by the system.
//!
//! It has a white ground of its own, so that it can be read on pages that are dark. Axes are
//! logarithmic where figures differ by orders of magnitude; on such an axis a ratio is a distance.

use std::ops::Range;
use std::path::Path;

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::coord::{Shift, ranged1d::Ranged};
use plotters::prelude::*;

use crate::Fallible;
use crate::peers::System;
use crate::report::{Axis, Figures, Table};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const PANEL: (u32, u32) = (360, 270);
const HEAD_HEIGHT: u32 = 62;
const FONT: &str = "sans-serif";

/// What a panel shows.
struct Measure {
    title: &'static str,
    value: fn(&Figures) -> f64,
    /// What is shown as a thin line beside it.
    thin: Option<fn(&Figures) -> f64>,
}

const MEASURES: [Measure; 3] = [
    Measure { title: "per second", value: |figures| figures.per_second, thin: None },
    Measure {
        title: "latency, ms: p99, and thin p50",
        value: |figures| figures.p99_us / 1e3,
        thin: Some(|figures| figures.p50_us / 1e3),
    },
    Measure { title: "CPU, µs for each", value: |figures| figures.cpu_us, thin: None },
];

/// A line of a panel.
struct Line {
    color: RGBColor,
    width: u32,
    points: Vec<(f64, f64)>,
}

/// Writes the picture of a table that has an axis.
pub(crate) fn write(table: &Table, axis: Axis, machine: &str, path: &Path) -> Fallible<()> {
    let mut kinds: Vec<&str> = table.rows.iter().map(|row| row.load.as_str()).collect();
    kinds.dedup();
    kinds.sort_unstable_by(|a, b| b.cmp(a));
    kinds.dedup();
    let size = (PANEL.0 * 3, HEAD_HEIGHT + PANEL.1 * u32::try_from(kinds.len())?);
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(HEAD_HEIGHT);
    draw_head(&head, table, machine)?;
    let panels = body.split_evenly((kinds.len(), MEASURES.len()));
    let wanted = kinds.iter().flat_map(|kind| MEASURES.iter().map(move |measure| (kind, measure)));
    for (panel, (kind, measure)) in panels.iter().zip(wanted) {
        let title = format!("{kind}: {}", measure.title);
        let lines = lines(table, kind, measure);
        let Some((x, y)) = ranges(&lines) else { continue };
        match axis.is_logarithmic {
            true => draw_panel(panel, &title, axis, x.log_scale(), y, &lines)?,
            false => draw_panel(panel, &title, axis, x, y, &lines)?,
        }
    }
    root.present()?;
    Ok(())
}

fn color_of(system: System) -> RGBColor {
    // Such as people who do not see all colours can tell apart.
    match system {
        System::Raftkv => RGBColor(0, 114, 178),
        System::RaftkvLease => RGBColor(86, 180, 233),
        System::RedisAlways => RGBColor(213, 94, 0),
        System::RedisMemory => RGBColor(230, 159, 0),
        System::Etcd => RGBColor(0, 158, 115),
    }
}

fn width_of(system: System) -> u32 {
    if system == System::Raftkv { 3 } else { 2 }
}

/// Returns the systems of a table.
fn systems_of(table: &Table) -> Vec<System> {
    let is_in = |system: &System| {
        table.rows.iter().any(|row| row.peers().any(|peer| peer == system.name()))
    };
    System::ALL.into_iter().filter(is_in).collect()
}

fn lines(table: &Table, kind: &str, measure: &Measure) -> Vec<Line> {
    let mut lines = Vec::new();
    for system in systems_of(table) {
        let values = [Some(measure.value), measure.thin];
        for (value, width) in values.into_iter().flatten().zip([width_of(system), 1]) {
            let rows = table.rows.iter().filter(|row| row.load == kind);
            let points = rows.filter_map(|row| {
                let y = value(&row.figures(system.name())?);
                // What has done nothing has no place on a logarithmic axis.
                (y.is_finite() && y > 0.0).then_some((row.x?, y))
            });
            lines.push(Line { color: color_of(system), width, points: points.collect() });
        }
    }
    lines
}

/// Returns what the axes must span, if there is anything to be shown.
fn ranges(lines: &[Line]) -> Option<(Range<f64>, Range<f64>)> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let span = |values: &mut dyn Iterator<Item = f64>| {
        values.fold(None, |span: Option<(f64, f64)>, value| match span {
            None => Some((value, value)),
            Some((low, high)) => Some((low.min(value), high.max(value))),
        })
    };
    let (left, right) = span(&mut points().map(|point| point.0))?;
    let (low, high) = span(&mut points().map(|point| point.1))?;
    // One point alone still needs a place.
    let right = if right > left { right } else { left + 1.0 };
    Some((left..right, low / 1.5..high * 1.5))
}

fn draw_head(head: &Area<'_>, table: &Table, machine: &str) -> Fallible<()> {
    head.draw(&Text::new(table.title.clone(), (12, 8), (FONT, 16)))?;
    head.draw(&Text::new(
        machine.to_owned(),
        (12, 47),
        (FONT, 10).into_font().color(&BLACK.mix(0.6)),
    ))?;
    let mut x = 12;
    for system in systems_of(table) {
        let style = color_of(system).stroke_width(width_of(system));
        head.draw(&PathElement::new([(x, 36), (x + 24, 36)], style))?;
        head.draw(&Text::new(system.name(), (x + 30, 29), (FONT, 13)))?;
        x += 50 + 8 * i32::try_from(system.name().len())?;
    }
    Ok(())
}

fn draw_panel<X>(
    panel: &Area<'_>,
    title: &str,
    axis: Axis,
    x: X,
    y: Range<f64>,
    lines: &[Line],
) -> Fallible<()>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(panel)
        .caption(title, (FONT, 13))
        .margin(8)
        .margin_right(18)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(x, y.log_scale())?;
    chart
        .configure_mesh()
        .x_desc(axis.label)
        .x_labels(6)
        .y_labels(6)
        .max_light_lines(4)
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(*y))
        .bold_line_style(BLACK.mix(0.18))
        .light_line_style(BLACK.mix(0.06))
        .label_style((FONT, 11))
        .axis_desc_style((FONT, 12))
        .draw()?;
    for line in lines {
        let style = line.color.stroke_width(line.width);
        chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
        if line.width > 1 {
            let dots = line.points.iter().map(|at| Circle::new(*at, 3, line.color.filled()));
            chart.draw_series(dots)?;
        }
    }
    Ok(())
}

/// Returns a number as short as it can be said.
fn short(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e3 => (value / 1e3, "k"),
        value => (value, ""),
    };
    // Three digits, without zeros that say nothing.
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{unit}")
}
