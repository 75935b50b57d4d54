//! Many tokens by key (F1, F14, F15).

mod eviction;
mod keys;
mod sources;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use oauth_tokens::{Error, TokenPool, TokenSet, TokenSource};
use tests::source::tokens;
use tokio::sync::watch;

const HOUR: Duration = Duration::from_secs(3600);

/// What the sources of a pool were asked, and whether they answer yet.
#[derive(Clone)]
pub(crate) struct Issuer {
    fetches: Arc<Mutex<HashMap<String, usize>>>,
    made: Arc<Mutex<usize>>,
    open: watch::Sender<bool>,
}

impl Issuer {
    fn new() -> Self {
        Self { fetches: Arc::default(), made: Arc::default(), open: watch::Sender::new(true) }
    }

    /// Nothing is answered until it is opened.
    fn closed() -> Self {
        let issuer = Self::new();
        issuer.open.send_replace(false);
        issuer
    }

    fn open(&self) {
        self.open.send_replace(true);
    }

    /// How many fetches there were for a key; its scopes are part of its name.
    fn fetches_of(&self, name: &str) -> usize {
        self.fetches.lock().expect("no panic").get(name).copied().unwrap_or_default()
    }

    fn fetches(&self) -> usize {
        self.fetches.lock().expect("no panic").values().sum()
    }

    /// How often the pool had a source made.
    fn made(&self) -> usize {
        *self.made.lock().expect("no panic")
    }

    fn pool(&self) -> TokenPool<String> {
        let issuer = self.clone();
        TokenPool::new(move |key: &String| {
            *issuer.made.lock().expect("no panic") += 1;
            Ok(ForKey { issuer: issuer.clone(), name: key.clone() })
        })
    }
}

/// A source that remembers nothing, as a client-credentials request does: its tokens are named after their key.
struct ForKey {
    issuer: Issuer,
    name: String,
}

impl TokenSource for ForKey {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        let count = {
            let mut fetches = self.issuer.fetches.lock().expect("no panic");
            let count = fetches.entry(self.name.clone()).or_default();
            *count += 1;
            *count
        };
        let mut open = self.issuer.open.subscribe();
        open.wait_for(|open| *open).await.expect("the issuer lives");
        Ok(tokens(&format!("{}-{count}", self.name), Some(HOUR)))
    }

    fn scoped(mut self, scopes: &[String]) -> Result<Self, Error> {
        self.name = format!("{}+{}", self.name, scopes.join("+"));
        Ok(self)
    }

    fn holds_state(&self) -> bool {
        false
    }
}

fn key(name: &str) -> String {
    name.to_owned()
}
