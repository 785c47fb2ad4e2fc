//! Curves and bars, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

const SIZE: (u32, u32) = (760, 420);
/// Blue, orange, green, purple, sky blue: apart also for readers who see red and green alike (Okabe and Ito, 2008).
const COLORS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
];
const FONT: (&str, u32) = ("sans-serif", 15);

/// A name, and points.
pub(super) type Curve = (String, Vec<(f64, f64)>);

/// The axes.
pub(super) struct Axes {
    pub(super) x: &'static str,
    pub(super) y: &'static str,
}

/// Draws curves over a logarithmic axis.
pub(super) fn curves(file: &Path, axes: &Axes, curves: &[Curve]) -> Result<()> {
    draw(file, axes, curves).map_err(|error| anyhow!("{}: {error}", file.display()))
}

fn draw(file: &Path, axes: &Axes, curves: &[Curve]) -> Result<(), Box<dyn std::error::Error>> {
    let points = || curves.iter().flat_map(|(_, points)| points);
    let right = points().map(|point| point.0).fold(10.0, f64::max);
    let left = points().map(|point| point.0).fold(right / 10.0, f64::min);
    let top = points().map(|point| point.1).fold(0.0, f64::max) * 1.05;
    let bottom = points().map(|point| point.1).fold(0.0, f64::min);
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .margin_right(32)
        .x_label_area_size(46)
        .y_label_area_size(64)
        .build_cartesian_2d((left..right).log_scale(), bottom..top)?;
    chart
        .configure_mesh()
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .label_style(FONT)
        .axis_desc_style(FONT)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for ((name, points), color) in curves.iter().zip(COLORS.iter().cycle()) {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(3))?
            .label(name)
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE)
        .label_font(FONT)
        .draw()?;
    area.present()?;
    Ok(())
}

/// Draws a bar for each name.
pub(super) fn bars(file: &Path, x: &str, bars: &[(String, f64)]) -> Result<()> {
    draw_bars(file, x, bars).map_err(|error| anyhow!("{}: {error}", file.display()))
}

fn draw_bars(file: &Path, x: &str, bars: &[(String, f64)]) -> Result<(), Box<dyn std::error::Error>> {
    let right = bars.iter().map(|bar| bar.1).fold(0.0, f64::max) * 1.05;
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    // The end of the range is a row too.
    let rows = (0..bars.len().saturating_sub(1)).into_segmented();
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .margin_right(32)
        .x_label_area_size(46)
        .y_label_area_size(240)
        .build_cartesian_2d(0.0..right, rows)?;
    // The first one is on top.
    let name = |row: &SegmentValue<usize>| match row {
        SegmentValue::CenterOf(row) => bars.iter().rev().nth(*row).map_or("", |bar| &bar.0).to_owned(),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_desc(x)
        .y_labels(bars.len())
        .y_label_formatter(&name)
        .label_style(FONT)
        .axis_desc_style(FONT)
        .light_line_style(TRANSPARENT)
        .draw()?;
    chart.draw_series(bars.iter().rev().enumerate().map(|(row, (_, length))| {
        let corners = [(0.0, SegmentValue::Exact(row)), (*length, SegmentValue::Exact(row + 1))];
        let mut bar = Rectangle::new(corners, COLORS[0].filled());
        bar.set_margin(4, 4, 0, 0);
        bar
    }))?;
    area.present()?;
    Ok(())
}
