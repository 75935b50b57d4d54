//! One renewal of a user's tokens at a time, in the whole fleet; nothing rotated is lost.

use std::{
    fmt::Display,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tracing::Instrument as _;
use zeroize::Zeroizing;

use super::{
    discarded::Discarded,
    sign_ins::SignIns,
    unsaved::{AllUnsaved, Saved},
};
use crate::{
    AccessToken, Error, ErrorKind, Exchange, Form, Lease, SharedStore, StoreKey, TokenClient, TokenHint, TokenSet,
    clock::jitter,
    renewed_user,
    request::{EXCHANGE_DEADLINE, within_deadline},
    store::{Kept, counted_from_before},
    timer,
};

/// How long a user's tokens are kept without being renewed.
const IDLE: Duration = Duration::from_secs(90 * 24 * 3600);
/// A lease that is older than this is not begun with any more: the runtime stood still.
const BEGIN_WITHIN: Duration = Duration::from_secs(2);
/// Longer than all that is done with it: begin, exchange, save.
pub(super) const LEASE: Duration = EXCHANGE_DEADLINE.saturating_add(Duration::from_secs(6));
/// How long somebody waits for another one's renewal.
const WAIT: Duration = Duration::from_secs(9);
/// The pauses between two looks: the first, and the longest.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// What all users of a client share.
pub(super) struct Users {
    pub(super) client: TokenClient,
    pub(super) store: SharedStore,
    pub(super) unsaved: AllUnsaved,
    pub(super) discarded: Discarded,
    sign_ins: SignIns,
    pub(super) idle: Duration,
    /// How many users' access tokens are held in memory, if not as many as usual.
    pub(super) capacity: Option<usize>,
    resources: Vec<String>,
}

/// A user's record that was loaded.
struct Loaded {
    version: u64,
    kept: Kept,
    /// What can be used of it, and was not rejected.
    tokens: Option<TokenSet>,
    is_due: bool,
    /// Whether the access token is for others' resources: the refresh token alone is ours, too.
    is_for_others: bool,
}

impl Loaded {
    fn fresh(&self) -> Option<&TokenSet> {
        self.tokens.as_ref().filter(|_| !self.is_due)
    }
}

impl Users {
    pub(super) fn new(client: TokenClient, store: SharedStore) -> Self {
        Self {
            client,
            store,
            unsaved: AllUnsaved::default(),
            discarded: Discarded::default(),
            sign_ins: SignIns::default(),
            idle: IDLE,
            capacity: None,
            resources: Vec::new(),
        }
    }

    fn again(&self) -> Self {
        let new = Self::new(self.client.clone(), self.store.clone());
        Self { idle: self.idle, capacity: self.capacity, resources: self.resources.clone(), ..new }
    }

    pub(super) fn with_store(&self, store: SharedStore) -> Self {
        Self { store, ..self.again() }
    }

    pub(super) fn with_idle(&self, idle: Duration) -> Self {
        Self { idle, ..self.again() }
    }

    pub(super) fn with_capacity(&self, users: usize) -> Self {
        Self { capacity: Some(users), ..self.again() }
    }

    pub(super) fn with_resource(&self, resource: String) -> Self {
        let mut users = self.again();
        users.resources.push(resource);
        users
    }

    pub(super) fn key(&self, user: &impl Display) -> StoreKey {
        let (server, user) = (self.client.server().identity(), user.to_string());
        StoreKey::digest(&[b"user", server.as_bytes(), self.client.id().as_bytes(), user.as_bytes()])
    }

    /// What is kept of tokens that were asked for at this moment, for our resources.
    pub(super) fn kept(&self, tokens: &TokenSet, issued_at: SystemTime) -> Kept {
        let mut kept = Kept::of(tokens, issued_at);
        kept.resources = self.resources_digest();
        kept
    }

    fn kept_with(&self, tokens: &TokenSet, refresh_token: Option<Zeroizing<String>>, issued_at: SystemTime) -> Kept {
        let mut kept = self.kept(tokens, issued_at);
        kept.refresh_token = refresh_token;
        kept
    }

    fn resources_digest(&self) -> Option<String> {
        let mut resources: Vec<&[u8]> = self.resources.iter().map(String::as_bytes).collect();
        resources.sort_unstable();
        resources.dedup();
        (!resources.is_empty()).then(|| StoreKey::digest(&resources).as_str().to_owned())
    }

    /// Nothing that was known of the user before counts any more.
    pub(super) fn signed_in(&self, key: &StoreKey) {
        self.unsaved.take(key);
        self.discarded.take_back(key);
        self.sign_ins.count(key);
    }

    /// Changes with each sign-in of the user, and when the client's credential may have changed.
    pub(super) fn fingerprint(&self, key: &StoreKey) -> u64 {
        self.client.credential_fingerprint().unwrap_or_default().rotate_left(1) ^ self.sign_ins.of(key)
    }

    /// A user's tokens: those in the store, unless they are due or were rejected; else new ones.
    pub(super) async fn obtain(
        self: &Arc<Self>,
        key: &StoreKey,
        rejected: Option<&AccessToken>,
    ) -> Result<TokenSet, Error> {
        let began = Instant::now();
        let mut pause = LOOK_EVERY.0;
        if let Err(unsaved) = self.save_unsaved(key).await {
            self.keep_saving(key)?;
            return Err(unsaved);
        }
        loop {
            let loaded = self.load(key, rejected, began).await?;
            if let Some(tokens) = loaded.fresh() {
                return Ok(tokens.clone());
            }
            let lease = self.store.lease(key, LEASE).await;
            if let Ok(Some(lease)) = lease {
                return self.renew_detached(key, lease, rejected, began).await;
            }
            if let Some(tokens) = loaded.tokens {
                return Ok(tokens);
            }
            lease?;
            if began.elapsed() >= WAIT {
                let message = "the user's tokens are being renewed by another process, which takes too long; they are not \
                               renewed twice, since the refresh token may be good for one use";
                return Err(Error::new(ErrorKind::Store, message));
            }
            timer::sleep(pause / 2 + jitter(pause))?.await;
            pause = (pause * 3 / 2).min(LOOK_EVERY.1);
        }
    }

    async fn load(&self, key: &StoreKey, rejected: Option<&AccessToken>, began: Instant) -> Result<Loaded, Error> {
        let record = self.store.load(key).await?.ok_or_else(sign_in_required)?;
        // An older one than before holds a refresh token that was used: to use it again would look like theft.
        let is_old = record.version < self.store.floor(key);
        let kept = Kept::read(&record).filter(|_| !is_old).ok_or_else(sign_in_required)?;
        self.store.raise_floor(key, record.version);
        let now = self.store.now();
        let is_rejected = rejected.is_some_and(|rejected| rejected.secret() == kept.access_token());
        let is_for_others = kept.resources != self.resources_digest();
        let tokens = kept.tokens(now, self.client.bound_key().as_ref()).filter(|_| !is_rejected && !is_for_others);
        let tokens = tokens.map(|tokens| counted_from_before(tokens, began.elapsed()));
        Ok(Loaded { version: record.version, is_due: kept.is_due(now), kept, tokens, is_for_others })
    }

    /// The renewal belongs to nobody: whoever waits for it may be dropped, and what it brought is saved all the same.
    async fn renew_detached(
        self: &Arc<Self>,
        key: &StoreKey,
        lease: Lease,
        rejected: Option<&AccessToken>,
        began: Instant,
    ) -> Result<TokenSet, Error> {
        let (users, key, rejected) = (Arc::clone(self), key.clone(), rejected.cloned());
        let renewal = async move { users.renew(&key, lease, rejected.as_ref(), began).await }.in_current_span();
        let renewal = timer::runtime()?.spawn(renewal);
        let left = EXCHANGE_DEADLINE.saturating_sub(began.elapsed());
        match timer::timeout(left, renewal).await? {
            Some(Ok(result)) => result,
            Some(Err(_)) => {
                Err(Error::new(ErrorKind::Source, "the renewal of a user's tokens panicked, or its runtime ended"))
            }
            None => Err(Error::new(ErrorKind::Timeout, "the renewal of a user's tokens takes too long; it goes on")),
        }
    }

    async fn renew(
        self: &Arc<Self>,
        key: &StoreKey,
        lease: Lease,
        rejected: Option<&AccessToken>,
        began: Instant,
    ) -> Result<TokenSet, Error> {
        let result = self.renew_with(key, &lease, rejected, began).await;
        if self.unsaved.get(key).is_none() {
            self.store.release(key, &lease).await;
        } else {
            self.keep_saving(key)?;
        }
        result
    }

    async fn renew_with(
        self: &Arc<Self>,
        key: &StoreKey,
        lease: &Lease,
        rejected: Option<&AccessToken>,
        began: Instant,
    ) -> Result<TokenSet, Error> {
        let leased_at = Instant::now();
        // Another renewal in this process may have rotated since we looked: what the store has was redeemed then.
        if let Err(unsaved) = self.save_unsaved(key).await {
            self.unsaved.hold(key, lease);
            return Err(unsaved);
        }
        // Another one may have renewed them, and given the lease back, since we looked.
        let loaded = self.load(key, rejected, began).await?;
        if let Some(tokens) = loaded.fresh() {
            return Ok(tokens.clone());
        }
        let Some(refresh_token) = loaded.kept.refresh_token.clone() else {
            return match loaded.tokens {
                Some(tokens) => Ok(tokens),
                // It is of use to those that it is for.
                None if loaded.is_for_others => Err(sign_in_required().caused_by(no_refresh_token())),
                None => Err(self.end(key, &loaded, no_refresh_token()).await),
            };
        };
        if self.unsaved.is_full() {
            let message =
                "too many refresh tokens could not be saved yet; no more are used until the token store takes them";
            return Err(Error::new(ErrorKind::Store, message));
        }
        if leased_at.elapsed() >= BEGIN_WITHIN {
            return Err(Error::new(ErrorKind::Store, "the lease of a user's tokens is too old to begin with"));
        }
        let (issued_at, waited) = (self.store.now(), began.elapsed());
        match self.exchange(&refresh_token).await {
            Ok(tokens)
                if renewed_user::is_another(
                    loaded.kept.id_token.as_deref().map(|t| t.as_str()),
                    tokens.id_token.as_deref().map(|t| t.as_str()),
                ) =>
            {
                self.revoke_detached(&self.kept_with(&tokens, tokens.refresh_token.clone(), issued_at))?;
                Err(self.end(key, &loaded, renewed_user::another()).await)
            }
            Ok(tokens) => {
                let rotated = tokens.refresh_token.clone().filter(|new| !new.is_empty() && *new != refresh_token);
                let is_rotated = rotated.is_some();
                let mut kept = self.kept_with(&tokens, rotated.or(Some(refresh_token)), issued_at);
                kept.id_token.clone_from(&loaded.kept.id_token);
                match self.save(key, loaded.version, &kept, lease).await {
                    Ok(Saved::Here) => Ok(counted_from_before(tokens, waited)),
                    Ok(Saved::Superseded) => Err(superseded()),
                    // The refresh token that the store has is as good as before.
                    Err(_) if !is_rotated => {
                        self.unsaved.take(key);
                        Ok(counted_from_before(tokens, waited))
                    }
                    Err(unsaved) => Err(unsaved),
                }
            }
            Err(error) => Err(self.failed(key, loaded, error, lease, rejected).await),
        }
    }

    async fn exchange(&self, refresh_token: &str) -> Result<TokenSet, Error> {
        let mut request = self.client.client_credentials();
        for resource in &self.resources {
            request = request.resource(resource);
        }
        let parameters = request.parameters(None)?;
        let exchange = Exchange::new(&self.client, "refresh_token", &parameters);
        let sent = exchange.send_once(Form::new().with("refresh_token", refresh_token));
        within_deadline(&exchange, exchange.traced(sent, |tokens| tokens.expires_in)).await
    }

    /// What becomes of the record when an exchange failed.
    async fn failed(
        self: &Arc<Self>,
        key: &StoreKey,
        loaded: Loaded,
        mut error: Error,
        lease: &Lease,
        rejected: Option<&AccessToken>,
    ) -> Error {
        let Loaded { version, mut kept, .. } = loaded;
        // The server may have rotated in an answer that is of no other use.
        if let Some(rotated) = error.take_rotated() {
            kept.refresh_token = Some(rotated);
            return self.save(key, version, &kept, lease).await.err().unwrap_or(error);
        }
        let is_over = error.oauth().is_some_and(|oauth| oauth.code == "invalid_grant") && !error.is_transient();
        if is_over {
            let loaded = Loaded { version, kept, tokens: None, is_due: true, is_for_others: false };
            return self.end(key, &loaded, error).await;
        }
        // A token that was rejected is not read back.
        if rejected.is_some_and(|rejected| rejected.secret() == kept.access_token()) {
            kept.spend();
            let _ = self.replace(key, Some(version), &kept).await;
        }
        error
    }

    /// The sign-in is over, unless there has been another one meanwhile.
    async fn end(&self, key: &StoreKey, loaded: &Loaded, cause: Error) -> Error {
        match self.store.delete(key, loaded.version).await {
            Ok(false) if matches!(self.store.load(key).await, Ok(Some(_))) => superseded().caused_by(cause),
            _ => sign_in_required().caused_by(cause),
        }
    }
}

/// Has the server forget a user's tokens.
pub(super) async fn revoke(client: &TokenClient, kept: &Kept) -> Result<(), Error> {
    if let Some(refresh_token) = &kept.refresh_token {
        match client.revoke(refresh_token.as_str()).hint(TokenHint::RefreshToken).await {
            Err(error) if error.kind() == ErrorKind::MissingEndpoint => return Ok(()),
            revoked => revoked?,
        }
    }
    // Most servers revoke it with the refresh token, and some cannot revoke it at all.
    let _ = client.revoke(kept.access_token()).hint(TokenHint::AccessToken).await;
    Ok(())
}

fn superseded() -> Error {
    let message =
        "the user's tokens were replaced or deleted while they were renewed; the next call takes what there is";
    Error::new(ErrorKind::Store, message)
}

fn sign_in_required() -> Error {
    Error::new(
        ErrorKind::SignInRequired,
        "nobody is signed in under this name, or not any more: the user has to sign in again",
    )
}

fn no_refresh_token() -> Error {
    let message = "the access token has had its use, and came without a refresh token; for one, ask for the scope that the \
                   server gives one for, often offline_access";
    Error::new(ErrorKind::Config, message)
}
