//! The plot of the cost per container, from the first to the thousandth.

use std::path::Path;
use std::time::Duration;

use plotters::prelude::*;

/// The number of existing objects, and the time of each contender for one more.
pub type Curve = Vec<(u32, Vec<(&'static str, Duration)>)>;

pub fn draw(curve: &Curve, place: &Path) {
    let path = place.join("attach.svg");
    let root = SVGBackend::new(&path, (800, 480)).into_drawing_area();
    root.fill(&WHITE).unwrap();
    let millis = |time: &Duration| time.as_secs_f64() * 1e3;
    let most =
        curve.iter().flat_map(|(_, all)| all).map(|(_, time)| millis(time)).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption("One more container on a bridge, without IPv6 addresses", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((1_f64..1_100_f64).log_scale(), (0.3..most * 1.3).log_scale())
        .unwrap();
    chart
        .configure_mesh()
        .x_desc("containers on the bridge")
        .y_desc("milliseconds for one more")
        .draw()
        .unwrap();
    let colors = [RED, BLACK, BLUE, GREEN, MAGENTA, CYAN];
    let names: Vec<_> = curve[0].1.iter().map(|(name, _)| *name).collect();
    for (at, (name, color)) in names.iter().zip(colors).enumerate() {
        let points =
            curve.iter().map(|(there, all)| (f64::from((*there).max(1)), millis(&all[at].1)));
        let points: Vec<_> = points.collect();
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)).point_size(3))
            .unwrap()
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()
        .unwrap();
    root.present().unwrap();
}
