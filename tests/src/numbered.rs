//! A source of tokens `t1`, `t2`, ... that a test can hold up, or let fail.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use tokio::sync::Semaphore;
use tower_oauth::oauth_tokens::{AccessToken, Error, TokenCache, TokenSet, source_fn};

/// A cache over numbered tokens, and the strings by which a test pulls them.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// What the layer is given.
    pub cache: TokenCache,
    strings: Arc<Strings>,
}

#[derive(Debug)]
struct Strings {
    fetches: AtomicU64,
    last: AtomicU64,
    gate: Semaphore,
    next: Mutex<Next>,
}

/// What the source answers from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another token each time.
    New,
    /// The token that it answered last.
    Same,
    /// An error.
    Failure,
}

/// The message of [`Next::Failure`].
pub const FAILURE: &str = "the source was told to fail";

impl Numbered {
    /// Answers at once.
    #[must_use]
    pub fn new() -> Self {
        Self::gated(Semaphore::MAX_PERMITS)
    }

    /// Answers `open` times at once, and then waits for [`open`](Self::open).
    #[must_use]
    pub fn gated(open: usize) -> Self {
        let strings = Arc::new(Strings {
            fetches: AtomicU64::new(0),
            last: AtomicU64::new(0),
            gate: Semaphore::new(open),
            next: Mutex::new(Next::New),
        });
        let source = Arc::clone(&strings);
        let cache = TokenCache::new(source_fn(move || fetch(Arc::clone(&source))));
        Self { cache, strings }
    }

    /// Lets `times` more answers through.
    pub fn open(&self, times: usize) {
        self.strings.gate.add_permits(times);
    }

    /// What is answered from now on.
    pub fn will(&self, next: Next) {
        *self.strings.next.lock().expect("no test panics here") = next;
    }

    /// How often the source was asked.
    #[must_use]
    pub fn fetches(&self) -> u64 {
        self.strings.fetches.load(SeqCst)
    }
}

impl Default for Numbered {
    fn default() -> Self {
        Self::new()
    }
}

async fn fetch(strings: Arc<Strings>) -> Result<TokenSet, Error> {
    let number = strings.fetches.fetch_add(1, SeqCst) + 1;
    strings.gate.acquire().await.expect("the gate is never closed").forget();
    let next = *strings.next.lock().expect("no test panics here");
    match next {
        Next::New => strings.last.store(number, SeqCst),
        Next::Same => {}
        Next::Failure => return Err(Error::source_failed(FAILURE)),
    }
    let number = strings.last.load(SeqCst);
    Ok(TokenSet::new(AccessToken::bearer(&format!("t{number}"))?))
}
