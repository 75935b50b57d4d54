//! What code tells the `metrics` facade.

use std::collections::BTreeMap;

use metrics::Unit;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

/// Everything that was counted and measured.
#[derive(Debug)]
pub struct Figures(Vec<Figure>);

/// One metric with one set of labels.
#[derive(Debug)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// `label=value`, with spaces between.
    pub labels: String,
    /// Its unit, if somebody described it.
    pub unit: Option<Unit>,
    /// What it means, if somebody described it.
    pub description: Option<String>,
    value: DebugValue,
}

impl Figures {
    /// What this thread told until these calls ended: enough for a current-thread runtime.
    pub async fn of(calls: impl Future<Output = ()>) -> Self {
        let recorder = DebuggingRecorder::new();
        let snapshots = recorder.snapshotter();
        let listening = metrics::set_default_local_recorder(&recorder);
        calls.await;
        drop(listening);
        let figures = snapshots.snapshot().into_vec().into_iter().map(|(key, unit, description, value)| {
            let labels: Vec<_> = key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            Figure {
                name: key.key().name().to_owned(),
                labels: labels.join(" "),
                unit,
                description: description.map(|text| text.to_string()),
                value,
            }
        });
        Self(figures.collect())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Figure> {
        self.0.iter()
    }

    /// The counts of a counter, by labels.
    ///
    /// # Panics
    ///
    /// When it is no counter.
    pub fn counts(&self, name: &str) -> BTreeMap<&str, u64> {
        let value = |figure: &Figure| match figure.value {
            DebugValue::Counter(count) => count,
            _ => panic!("{name} is no counter"),
        };
        self.named(name).into_iter().map(|figure| (figure.labels.as_str(), value(figure))).collect()
    }

    /// What a histogram measured, in order, by labels.
    ///
    /// # Panics
    ///
    /// When it is no histogram.
    pub fn measured(&self, name: &str) -> BTreeMap<&str, Vec<f64>> {
        let value = |figure: &Figure| match &figure.value {
            DebugValue::Histogram(values) => values.iter().map(|value| value.into_inner()).collect(),
            _ => panic!("{name} is no histogram"),
        };
        self.named(name).into_iter().map(|figure| (figure.labels.as_str(), value(figure))).collect()
    }

    fn named(&self, name: &str) -> Vec<&Figure> {
        self.iter().filter(|figure| figure.name == name).collect()
    }
}
