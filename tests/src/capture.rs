//! Everything that `tracing` is told, as text.

use std::{
    fmt,
    sync::{Arc, Mutex, Once, PoisonError},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};
use tracing_subscriber::{Layer, layer::Context, prelude::*, registry::LookupSpan};

/// What spans and events said on this thread since [`Capture::start`], at every level and of every crate.
#[derive(Debug)]
pub struct Capture {
    lines: Arc<Mutex<Vec<String>>>,
    _default: DefaultGuard,
}

impl Capture {
    /// Listens on this thread until it is dropped: enough for a current-thread runtime.
    #[must_use]
    pub fn start() -> Self {
        // A listener for good: where there is none, what another thread registers at this moment would stay unheard.
        static EVERYWHERE: Once = Once::new();
        EVERYWHERE.call_once(|| {
            let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        });
        let lines = Arc::default();
        let subscriber = tracing_subscriber::registry().with(Recorder(Arc::clone(&lines)));
        Self { lines, _default: tracing::subscriber::set_default(subscriber) }
    }

    /// Every line so far: level, target, name and all fields.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every line so far, as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }
}

struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    fn write(&self, head: String, fields: impl FnOnce(&mut Line)) {
        let mut line = Line(head);
        fields(&mut line);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        let metadata = attributes.metadata();
        let head = format!("{} {} span {}", metadata.level(), metadata.target(), metadata.name());
        self.write(head, |line| attributes.record(line));
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        let name = context.span(id).map_or("", |span| span.name());
        self.write(format!("record {name}"), |line| values.record(line));
    }

    fn on_follows_from(&self, id: &span::Id, follows: &span::Id, context: Context<'_, S>) {
        let name = |id| context.span(id).map_or("", |span| span.name());
        self.write(format!("{} follows {}", name(id), name(follows)), |_| ());
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        self.write(format!("{} {} event", metadata.level(), metadata.target()), |line| event.record(line));
    }
}

/// A line that grows by a field at a time.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        // As it is: Debug would escape what a search looks for.
        self.0.push_str(&format!(" {}={value}", field.name()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.0.push_str(&format!(" {}={value}", field.name()));
        let mut source = value.source();
        while let Some(cause) = source {
            self.0.push_str(&format!(" <- {cause} {cause:?}"));
            source = cause.source();
        }
    }
}
