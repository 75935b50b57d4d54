//! The rates as a chart: SVG of lines and words, for pages light and dark.

use std::{fmt::Write as _, ops::Range, time::Duration};

use super::{MINUTE, Rates};

const WIDTH: f64 = 860.0;
const PANEL: f64 = 250.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 44.0;
/// Requests a minute at the ends of the scale, which is logarithmic.
const SCALE: (f64, f64) = (10.0, 1_000_000.0);

/// One diagram: what happened to each fleet, a minute for each point.
pub(super) struct Panel<'a> {
    pub(super) title: &'a str,
    pub(super) lines: [Line<'a>; 2],
    /// A moment to count minutes from, and how much is shown before and after it.
    pub(super) event: Duration,
    pub(super) shown: Range<Duration>,
    /// How long the server is down from there on.
    pub(super) down: Duration,
    /// A rate to compare with, requests a minute.
    pub(super) goal: f64,
}

pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) colour: &'a str,
    pub(super) requests: &'a Rates,
}

/// All panels, one below the other. Without an empty line, which would end it in Markdown.
pub(super) fn svg(panels: &[Panel<'_>]) -> String {
    let height = (TOP + PANEL + BOTTOM) * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\" role=\"img\" aria-label=\"Token requests a minute over time\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        panel.draw(&mut svg, (TOP + PANEL + BOTTOM) * number as f64 + TOP);
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel<'_> {
    fn draw(&self, svg: &mut String, top: f64) {
        let bottom = top + PANEL;
        text(svg, LEFT, top - 24.0, "start", "#111", &format!("<tspan font-weight=\"bold\">{}</tspan>", self.title));
        if !self.down.is_zero() {
            let (from, to) = (self.x(self.event), self.x(self.event + self.down));
            let _ = writeln!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{PANEL}\" fill=\"#eee\"/>",
                to - from
            );
            text(svg, (from + to) / 2.0, bottom - 8.0, "middle", "#777", "down");
        }
        let mut power = SCALE.0;
        while power <= SCALE.1 {
            let y = y(power, top);
            rule(svg, (LEFT, y), (WIDTH - RIGHT, y), "#ddd", "");
            text(svg, LEFT - 8.0, y + 4.0, "end", "#555", &grouped(power));
            power *= 10.0;
        }
        let goal = y(self.goal, top);
        rule(svg, (LEFT, goal), (WIDTH - RIGHT, goal), "#1a7f37", " stroke-dasharray=\"6 4\"");
        text(svg, WIDTH - RIGHT, goal - 5.0, "end", "#1a7f37", "twice our steady mean");
        self.draw_minutes(svg, bottom);
        for (number, line) in self.lines.iter().enumerate() {
            self.draw_line(svg, line, top);
            let x = LEFT + 240.0 + 310.0 * number as f64;
            text(svg, x, top - 6.0, "start", line.colour, &format!("— {}", line.name));
        }
        text(svg, LEFT, top - 6.0, "start", "#555", "token requests a minute");
    }

    fn draw_minutes(&self, svg: &mut String, bottom: f64) {
        let mut at = self.shown.start;
        while at <= self.shown.end {
            let x = self.x(at);
            let minute = (at.as_secs() as i64 - self.event.as_secs() as i64) / 60;
            rule(svg, (x, bottom), (x, bottom + 5.0), "#555", "");
            text(svg, x, bottom + 19.0, "middle", "#555", &minute.to_string());
            at += 15 * MINUTE;
        }
        text(svg, WIDTH - RIGHT, bottom + 36.0, "end", "#555", "minutes");
    }

    fn draw_line(&self, svg: &mut String, line: &Line<'_>, top: f64) {
        let _ = write!(svg, "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" points=\"", line.colour);
        let bins = line.requests.bins(self.shown.clone(), MINUTE);
        for (minute, requests) in bins.into_iter().enumerate() {
            let x = self.x(self.shown.start + MINUTE.mul_f64(minute as f64 + 0.5));
            let _ = write!(svg, "{x:.1},{:.1} ", y(requests as f64, top));
        }
        svg.push_str("\"/>\n");
    }

    fn x(&self, at: Duration) -> f64 {
        let share = (at - self.shown.start).div_duration_f64(self.shown.end - self.shown.start);
        LEFT + (WIDTH - LEFT - RIGHT) * share
    }
}

fn y(rate: f64, top: f64) -> f64 {
    let (least, most) = SCALE;
    let share = (rate.clamp(least, most) / least).log10() / (most / least).log10();
    top + PANEL * (1.0 - share)
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, more: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"{more}/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, colour: &str, words: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{words}</text>");
}

fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
