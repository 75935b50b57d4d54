//! Bar charts as SVG: dark on a light ground of their own, for pages light and dark.

use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
const MARGIN: f64 = 20.0;
const LABELS: f64 = 250.0;
/// Room for the value at the end of the longest bar.
const VALUES: f64 = 110.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
const HEADING: f64 = 32.0;
const TITLE: f64 = 52.0;

/// A file beside `RESULTS.md`.
#[derive(Debug)]
pub(crate) struct Chart {
    /// Without folder and ending.
    pub(crate) name: &'static str,
    /// What it says, in words.
    pub(crate) title: String,
    pub(crate) svg: String,
}

/// One row of a chart.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
    /// How the value is written at the end of the bar.
    pub(crate) text: String,
    /// Ours are drawn in a colour of their own.
    pub(crate) ours: bool,
}

impl Chart {
    /// Horizontal bars from zero, in the order given.
    pub(crate) fn bars(name: &'static str, title: &str, bars: &[Bar]) -> Self {
        Self::groups(name, title, &[("", bars)])
    }

    /// As [`bars`](Self::bars), in groups under headings of their own, all on one scale.
    pub(crate) fn groups(name: &'static str, title: &str, groups: &[(&str, &[Bar])]) -> Self {
        Self { name, title: title.to_owned(), svg: svg(title, groups) }
    }
}

fn svg(title: &str, groups: &[(&str, &[Bar])]) -> String {
    let rows: f64 = groups.iter().map(|(heading, bars)| heading_height(heading) + ROW * bars.len() as f64).sum();
    let height = TITLE + rows + MARGIN;
    let title = escaped(title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\" role=\"img\" aria-label=\"{title}\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"6\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"32\" font-size=\"15\" font-weight=\"bold\" fill=\"#111\">{title}</text>\n"
    );
    let largest = groups.iter().flat_map(|(_, bars)| *bars).map(|bar| bar.value).fold(0.0, f64::max);
    let mut top = TITLE;
    for (heading, bars) in groups {
        if !heading.is_empty() {
            let _ = writeln!(
                svg,
                "<text x=\"{MARGIN}\" y=\"{:.1}\" font-style=\"italic\" fill=\"#555\">{}</text>",
                top + 20.0,
                escaped(heading)
            );
        }
        top += heading_height(heading);
        for bar in *bars {
            bar.draw(&mut svg, top, largest);
            top += ROW;
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn heading_height(heading: &str) -> f64 {
    if heading.is_empty() { 0.0 } else { HEADING }
}

impl Bar {
    fn draw(&self, svg: &mut String, top: f64, largest: f64) {
        let full = WIDTH - 2.0 * MARGIN - LABELS - VALUES;
        // Nothing is drawn to the left of zero; the text says what it is.
        let share = if largest > 0.0 { self.value.max(0.0) / largest } else { 0.0 };
        let (left, length, line) = (MARGIN + LABELS, (full * share).max(1.0), top + BAR / 2.0 + 5.0);
        let (colour, weight) = if self.ours { ("#1f6feb", "bold") } else { ("#9aa4af", "normal") };
        let (label, text) = (escaped(&self.label), escaped(&self.text));
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{line:.1}\" text-anchor=\"end\" font-weight=\"{weight}\" fill=\"#111\">{label}</text>\n\
             <rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{colour}\"/>\n\
             <text x=\"{:.1}\" y=\"{line:.1}\" font-weight=\"{weight}\" fill=\"#111\">{text}</text>",
            left - 8.0,
            left + length + 6.0
        );
    }
}

/// As text of XML and in its attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, value: f64) -> Bar {
        Bar { label: label.to_owned(), value, text: format!("{value}"), ours: false }
    }

    #[test]
    fn what_xml_reserves_is_escaped() {
        let bars = [bar("Mutex<Option<\"T\">> & co", 1.0)];
        let svg = Chart::groups("x", "a < b", &[("p > q", &bars)]).svg;
        assert!(svg.contains("Mutex&lt;Option&lt;&quot;T&quot;&gt;&gt; &amp; co"), "{svg}");
        assert!(svg.contains("aria-label=\"a &lt; b\"") && svg.contains(">p &gt; q<"), "{svg}");
    }

    #[test]
    fn lengths_are_shares_of_the_largest() {
        let svg = Chart::bars("x", "x", &[bar("a", 50.0), bar("b", 100.0), bar("c", -3.0)]).svg;
        let lengths: Vec<f64> = svg
            .split("<rect x=")
            .skip(1)
            .filter_map(|rect| rect.split_once("width=\"")?.1.split_once('"')?.0.parse().ok())
            .collect();
        assert_eq!(lengths, [230.0, 460.0, 1.0]);
    }

    #[test]
    fn nothing_but_zeros_is_drawn_too() {
        assert!(!Chart::bars("x", "x", &[bar("a", 0.0)]).svg.contains("NaN"));
    }

    /// An empty line would end the SVG where Markdown embeds it.
    #[test]
    fn there_is_no_empty_line() {
        assert!(!Chart::bars("x", "x", &[bar("a", 1.0)]).svg.contains("\n\n"));
    }
}
