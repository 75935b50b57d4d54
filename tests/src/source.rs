//! A token source whose answers a test gives: by a script, or by hand, one step at a time.

use std::{
    fmt,
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use oauth_tokens::{AccessToken, Error, TokenCache, TokenSet, TokenSource};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

/// What the source makes of one fetch.
#[derive(Debug)]
pub enum Answer {
    /// It ends at once.
    Now(Result<TokenSet, Error>),
    /// It waits for the test, which gets it from [`Source::next`].
    ByHand,
    /// It never ends.
    Never,
    /// It panics while it is polled.
    Panic,
}

/// A source for a [`TokenCache`], and the test's hold on it. Clones are one source.
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    script: Mutex<Script>,
    hand_over: mpsc::UnboundedSender<Fetch>,
    by_hand: tokio::sync::Mutex<mpsc::UnboundedReceiver<Fetch>>,
    begun: Mutex<Vec<Instant>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    /// Zero: there is none.
    fingerprint: AtomicU64,
}

type Script = Box<dyn FnMut(usize) -> Answer + Send>;

/// A fetch that waits for its answer.
#[derive(Debug)]
pub struct Fetch(oneshot::Sender<Result<TokenSet, Error>>);

impl Fetch {
    /// Ends the fetch.
    pub fn answer(self, answer: Result<TokenSet, Error>) {
        // Nobody may be there any more: the runtime that fetched has ended, or the deadline has passed.
        let _ = self.0.send(answer);
    }

    /// Whether somebody still waits for the answer.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.0.is_closed()
    }
}

impl Source {
    /// A source whose fetches wait for the test.
    #[must_use]
    pub fn by_hand() -> Self {
        Self::scripted(|_| Answer::ByHand)
    }

    /// A source that answers each fetch with a new token of this lifetime: `token-1`, `token-2`, ...
    #[must_use]
    pub fn issuing(lifetime: Option<Duration>) -> Self {
        Self::scripted(move |number| Answer::Now(Ok(tokens(&format!("token-{number}"), lifetime))))
    }

    /// A source that answers by the number of the fetch, which begins at one.
    #[must_use]
    pub fn scripted(script: impl FnMut(usize) -> Answer + Send + 'static) -> Self {
        let (hand_over, by_hand) = mpsc::unbounded_channel();
        Self(Arc::new(Inner {
            script: Mutex::new(Box::new(script)),
            hand_over,
            by_hand: tokio::sync::Mutex::new(by_hand),
            begun: Mutex::default(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            fingerprint: AtomicU64::new(0),
        }))
    }

    /// Goes on by another script.
    pub fn follow(&self, script: impl FnMut(usize) -> Answer + Send + 'static) {
        *lock(&self.0.script) = Box::new(script);
    }

    /// A cache over this source.
    #[must_use]
    pub fn cache(&self) -> TokenCache {
        TokenCache::new(self.clone())
    }

    /// The next fetch that waits for the test, as soon as there is one.
    ///
    /// # Panics
    ///
    /// When none begins for a minute.
    pub async fn next(&self) -> Fetch {
        let next = async { self.0.by_hand.lock().await.recv().await };
        timeout(Duration::from_secs(60), next).await.expect("a fetch begins").expect("the channel is open")
    }

    /// The next fetch that waits for the test, if there is one now.
    #[must_use]
    pub fn try_next(&self) -> Option<Fetch> {
        self.0.by_hand.try_lock().ok()?.try_recv().ok()
    }

    /// How many fetches have begun.
    #[must_use]
    pub fn fetches(&self) -> usize {
        lock(&self.0.begun).len()
    }

    /// When each fetch began.
    #[must_use]
    pub fn begun(&self) -> Vec<Instant> {
        lock(&self.0.begun).clone()
    }

    /// How many fetches have begun, and neither ended nor been dropped.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.running.load(SeqCst)
    }

    /// The most fetches that ever ran at once.
    #[must_use]
    pub fn most_running(&self) -> usize {
        self.0.most_running.load(SeqCst)
    }

    /// The credential is another one from now on.
    pub fn change_credential(&self) {
        self.0.fingerprint.fetch_add(1, SeqCst);
    }

    /// How many hold this source: the test, caches, and renewals in flight.
    #[must_use]
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl TokenSource for Source {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        let running = self.0.running.fetch_add(1, SeqCst) + 1;
        self.0.most_running.fetch_max(running, SeqCst);
        let _running = Running(&self.0.running);
        let number = {
            let mut begun = lock(&self.0.begun);
            begun.push(Instant::now());
            begun.len()
        };
        let answer = lock(&self.0.script)(number);
        match answer {
            Answer::Now(result) => result,
            Answer::Never => pending().await,
            Answer::Panic => panic!("the source panics, as the test told it to"),
            Answer::ByHand => {
                let (fetch, answer) = oneshot::channel();
                let _ = self.0.hand_over.send(Fetch(fetch));
                match answer.await {
                    Ok(answer) => answer,
                    Err(_) => pending().await,
                }
            }
        }
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        Some(self.0.fingerprint.load(SeqCst)).filter(|number| *number > 0)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("fetches", &self.fetches()).field("running", &self.running()).finish()
    }
}

struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A token by name.
///
/// # Panics
///
/// When the name cannot be a token.
#[must_use]
pub fn token(name: &str) -> AccessToken {
    AccessToken::bearer(name).expect("a token")
}

/// What a server answers: a token by name, and its lifetime.
///
/// # Panics
///
/// When the name cannot be a token.
#[must_use]
pub fn tokens(name: &str, lifetime: Option<Duration>) -> TokenSet {
    let mut tokens = TokenSet::new(token(name));
    tokens.expires_in = lifetime;
    tokens
}

/// Lets everything run that can run now, on the current runtime. Time stands still meanwhile.
pub async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}
