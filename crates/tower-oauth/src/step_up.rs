//! APIs that ask for a stronger token: another scope (RFC 6750, section 3.1), or another way of signing in (RFC 9470).

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use oauth_tokens::TokenCache;
use tokio::time::Instant;

use crate::{Origin, challenge};

/// The most that is taken of one value of a challenge (R14).
const MAX_VALUE_BYTES: usize = 4096;
/// So many demands have their tokens kept, those that came last.
const MAX_DEMANDS: usize = 16;
/// So many demands that were not met before are looked at in a minute: an API that varies them must not make the
/// authorization server's load. As many as the renewals that 401s cause.
const MAX_ASKED_A_MINUTE: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// What an API asks of the next token, from the challenges of its response.
///
/// It comes from the API, within limits of size only (R14): what of it is granted is for the client to say.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
/// use tower_oauth::Demand;
///
/// let challenge = HeaderValue::from_static(r#"Bearer error="insufficient_scope", scope="orders.write""#);
/// let demand = Demand::of(&HeaderMap::from_iter([(WWW_AUTHENTICATE, challenge)]));
/// assert_eq!(demand.map(|demand| demand.scopes), Some(vec!["orders.write".to_owned()]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Demand {
    /// The scopes that the request needs (RFC 6750, section 3), in alphabetical order.
    pub scopes: Vec<String>,
    /// The authentication contexts of which one is needed, the preferred first (RFC 9470, section 3).
    pub acr_values: Vec<String>,
    /// How long ago the user may have signed in (RFC 9470, section 3).
    pub max_age: Option<Duration>,
}

impl Demand {
    /// Reads a demand from a response's headers: that of its first challenge, Bearer or DPoP, with the error
    /// `insufficient_scope` or `insufficient_user_authentication`. None: there is no such challenge, or it does not say what it
    /// asks for.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let challenges = challenge::parse(headers);
        let challenge = challenges
            .iter()
            .filter(|found| found.is("Bearer") || found.is("DPoP"))
            .find(|found| matches!(found.error(), Some("insufficient_scope" | "insufficient_user_authentication")))?;
        // One that is too long makes the whole demand none: less than was asked for would not do.
        let words = |name: &str| -> Option<Vec<String>> {
            let text = challenge.param(name).unwrap_or_default();
            let words = text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
            (text.len() <= MAX_VALUE_BYTES).then(|| words.collect())
        };
        let mut scopes = words("scope")?;
        scopes.sort();
        scopes.dedup();
        let max_age = challenge.param("max_age").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let mut acr_values = words("acr_values")?;
        let mut seen = HashSet::new();
        acr_values.retain(|acr| seen.insert(acr.clone()));
        let demand = Self { scopes, acr_values, max_age };
        (demand != Self::default()).then_some(demand)
    }
}

/// Gets stronger tokens when an API asks for them, within a ceiling: see
/// [`OAuthLayer::step_up`](crate::OAuthLayer::step_up).
///
/// ```
/// use tower_oauth::{OAuthLayer, StepUp, oauth_tokens::{AuthorizationServer, ClientAuth, Secret}};
///
/// # #[cfg(feature = "reqwest")] {
/// let client = AuthorizationServer::issuer("https://id.example.com")?
///     .client("m2m", ClientAuth::secret_basic(Secret::file("/run/secrets/m2m")))?;
/// let tokens = client.client_credentials().scope("orders.read").cached()?;
///
/// let step_up = StepUp::new(move |_origin, demand| {
///     client.client_credentials().scope(demand.scopes.join(" ")).cached().ok()
/// });
/// let layer = OAuthLayer::new("https://api.example.com", tokens)?
///     .step_up(step_up.allow_scopes(["orders.read", "orders.write"]));
/// # let _ = layer;
/// # }
/// # Ok::<(), tower_oauth::BoxError>(())
/// ```
#[derive(Clone)]
pub struct StepUp {
    obtain: Arc<Obtain>,
    scopes: Vec<String>,
    acr_values: Vec<String>,
    max_age: bool,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    known: VecDeque<Known>,
    /// When the function was asked, within the last minute.
    asked: VecDeque<Instant>,
}

type Obtain = dyn Fn(&Origin, &Demand) -> Option<TokenCache> + Send + Sync;
type Known = (Origin, Demand, TokenCache);

impl StepUp {
    /// Asks this function for the tokens that meet a demand, once for each demand of an origin that it meets; the sixteen that
    /// were met last are kept. It is asked 20 times a minute at most; demands beyond that are not met. None: there are none,
    /// and the caller gets the API's response. The function is not to block, and only says where tokens come from.
    ///
    /// Nothing is allowed yet: a demand that exceeds what the methods below allow is not met (R14).
    #[must_use]
    pub fn new(obtain: impl Fn(&Origin, &Demand) -> Option<TokenCache> + Send + Sync + 'static) -> Self {
        let memory = Arc::default();
        Self { obtain: Arc::new(obtain), scopes: Vec::new(), acr_values: Vec::new(), max_age: false, memory }
    }

    /// Allows these scopes.
    #[must_use]
    pub fn allow_scopes<T: Into<String>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Allows these authentication contexts (RFC 9470). A demand that offers a choice is met if one of them is allowed, and the
    /// function sees only those.
    #[must_use]
    pub fn allow_acr_values<T: Into<String>>(mut self, acr_values: impl IntoIterator<Item = T>) -> Self {
        self.acr_values.extend(acr_values.into_iter().map(Into::into));
        self
    }

    /// Allows the demand that the user has signed in lately (RFC 9470).
    #[must_use]
    pub fn allow_max_age(mut self) -> Self {
        self.max_age = true;
        self
    }

    /// The tokens that meet the demand of a response, if it makes one that is allowed.
    pub(crate) fn tokens(&self, origin: &Origin, headers: &HeaderMap) -> Option<TokenCache> {
        let demand = self.within_ceiling(Demand::of(headers)?)?;
        {
            let mut memory = self.memory();
            if let Some(tokens) = met(&mut memory.known, origin, &demand) {
                return Some(tokens);
            }
            if !may_ask(&mut memory.asked, Instant::now()) {
                return None;
            }
        }
        // Not under the lock: it is code of others.
        let tokens = (self.obtain)(origin, &demand)?;
        let known = &mut self.memory().known;
        // Another request may have come by the same demand meanwhile: both use the same tokens.
        if let Some(tokens) = met(known, origin, &demand) {
            return Some(tokens);
        }
        if known.len() == MAX_DEMANDS {
            known.pop_front();
        }
        known.push_back((origin.clone(), demand, tokens.clone()));
        Some(tokens)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn within_ceiling(&self, mut demand: Demand) -> Option<Demand> {
        let wants_acr = !demand.acr_values.is_empty();
        demand.acr_values.retain(|acr| self.acr_values.contains(acr));
        let allowed = demand.scopes.iter().all(|scope| self.scopes.contains(scope))
            && (!wants_acr || !demand.acr_values.is_empty())
            && (demand.max_age.is_none() || self.max_age);
        allowed.then_some(demand)
    }
}

fn may_ask(asked: &mut VecDeque<Instant>, now: Instant) -> bool {
    while asked.front().is_some_and(|at| now.saturating_duration_since(*at) >= MINUTE) {
        asked.pop_front();
    }
    let may = asked.len() < MAX_ASKED_A_MINUTE;
    if may {
        asked.push_back(now);
    }
    may
}

/// The tokens that met this demand before; it is then the one that was met last.
fn met(known: &mut VecDeque<Known>, origin: &Origin, demand: &Demand) -> Option<TokenCache> {
    let index = known.iter().position(|(at, what, _)| at == origin && what == demand)?;
    let found = known.remove(index)?;
    let tokens = found.2.clone();
    known.push_back(found);
    Some(tokens)
}

impl fmt::Debug for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepUp")
            // How many: in settings any text may be a secret in the wrong place.
            .field("scopes", &self.scopes.len())
            .field("acr_values", &self.acr_values.len())
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}
