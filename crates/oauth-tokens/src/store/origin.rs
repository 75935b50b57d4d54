//! Where stored tokens come from, and what tells them from others (F14).

use std::{any::Any, fmt, pin::Pin, sync::Arc};

use super::StoreKey;
use crate::{
    Error, Form, Grant, RefreshToken, Rejection, TokenRequest, TokenSet, TokenSource, dpop::BoundKey,
    token::Possession as _,
};

pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A source whose tokens can be told from those of others.
pub(super) trait Origin: fmt::Debug + Send + Sync {
    fn validate(&self) -> Result<(), Error>;
    /// Read anew for each fetch: what the grant hands in may have changed, and the client's key.
    fn store_key(&self) -> Boxed<'_, StoreKey>;
    /// The key that tokens are bound to.
    fn bound_key(&self) -> Option<Arc<BoundKey>>;
    fn fetch<'a>(&'a self, rejection: Option<&'a Rejection>) -> Boxed<'a, TokenSet>;
    fn accepts_claims(&self) -> bool;
    fn holds_state(&self) -> bool;
    fn credential_fingerprint(&self) -> Option<u64>;
    fn scoped(self: Box<Self>, scopes: &[String]) -> Result<Box<dyn Origin>, Error>;
}

/// A token request; its tokens are known by all that it asks for, by what the grant says of whom they speak of, and by
/// the name, if there is one.
pub(super) struct Requested<G> {
    pub(super) request: TokenRequest<G>,
    pub(super) name: Option<String>,
}

impl<G: Grant> Requested<G> {
    async fn key(&self) -> Result<StoreKey, Error> {
        let identity = match (self.request.grant.identity().await?, &self.name) {
            (Some(identity), _) => identity,
            (None, Some(_)) => Form::new(),
            (None, None) => return Err(not_told_apart(&self.request.grant)),
        };
        let (client, parameters) = (&self.request.client, self.request.parameters(None)?);
        let (server, key) = (client.server().identity(), client.bound_key());
        let mut parts: Vec<&[u8]> = vec![
            b"token request",
            server.as_bytes(),
            client.id().as_bytes(),
            self.request.grant.grant_type().as_bytes(),
            key.as_ref().map_or("", |key| key.thumbprint()).as_bytes(),
        ];
        match &self.name {
            Some(name) => parts.extend([b"named", name.as_bytes()]),
            None => parts.push(b"by the grant"),
        }
        let mut parameters: Vec<(&str, &str)> = parameters.iter().flat_map(one_by_one).collect();
        parameters.sort_unstable();
        parameters.dedup();
        for (name, value) in identity.iter() {
            parts.extend([b"identity", name.as_bytes(), value.as_bytes()]);
        }
        for (name, value) in &parameters {
            parts.extend([b"parameter", name.as_bytes(), value.as_bytes()]);
        }
        Ok(StoreKey::digest(&parts))
    }
}

/// Scopes have no order (RFC 6749, section 3.3).
fn one_by_one<'a>((name, value): (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
    if name == "scope" { value.split(' ').map(|scope| (name, scope)).collect() } else { vec![(name, value)] }
}

fn not_told_apart(grant: &impl Grant) -> Error {
    Error::config(match grant.grant_type() {
        "refresh_token" => {
            "the tokens of a refresh token are not kept in a store by themselves, since it may change with each use: keep it \
             and them by UserTokens"
        }
        _ => {
            "a store cannot tell the tokens of this grant from those of another one: implement Grant::identity, or give them a \
             name by TokenRequest::stored_as"
        }
    }
    .to_owned())
}

impl<G: Grant> Origin for Requested<G> {
    fn validate(&self) -> Result<(), Error> {
        let client = &self.request.client;
        if self.name.is_none() && (client.auth().is_tls() || client.server().http().has_identity() == Some(true)) {
            let message = "the tokens may be bound to the client's certificate, which a store knows nothing of: give them a name \
                           that says which certificate, by TokenRequest::stored_as";
            return Err(Error::config(message));
        }
        let grant = &self.request.grant;
        // Of other grants only their identity tells, which may take reading a file.
        if self.name.is_none() && (grant as &dyn Any).is::<RefreshToken>() {
            return Err(not_told_apart(grant));
        }
        grant.validate()?;
        self.request.parameters(None).map(drop)
    }

    fn store_key(&self) -> Boxed<'_, StoreKey> {
        Box::pin(self.key())
    }

    fn bound_key(&self) -> Option<Arc<BoundKey>> {
        self.request.client.bound_key()
    }

    fn fetch<'a>(&'a self, rejection: Option<&'a Rejection>) -> Boxed<'a, TokenSet> {
        fetch(&self.request, rejection)
    }

    fn accepts_claims(&self) -> bool {
        TokenSource::accepts_claims(&self.request)
    }

    fn holds_state(&self) -> bool {
        TokenSource::holds_state(&self.request)
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        TokenSource::credential_fingerprint(&self.request)
    }

    fn scoped(self: Box<Self>, scopes: &[String]) -> Result<Box<dyn Origin>, Error> {
        Ok(Box::new(Self { request: self.request.scoped(scopes)?, name: self.name }))
    }
}

impl<G: Grant> fmt::Debug for Requested<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.fmt(f)
    }
}

/// A source of the caller's own, whose tokens are known by a name.
pub(super) struct Named<S> {
    pub(super) source: S,
    pub(super) name: String,
    /// What is asked for besides.
    pub(super) scopes: Vec<String>,
}

impl<S: TokenSource> Origin for Named<S> {
    fn validate(&self) -> Result<(), Error> {
        if self.name.is_empty() { Err(Error::config("the name of stored tokens is empty")) } else { Ok(()) }
    }

    fn store_key(&self) -> Boxed<'_, StoreKey> {
        let mut parts: Vec<&[u8]> = vec![b"source", self.name.as_bytes()];
        parts.extend(self.scopes.iter().map(String::as_bytes));
        let key = StoreKey::digest(&parts);
        Box::pin(async { Ok(key) })
    }

    fn bound_key(&self) -> Option<Arc<BoundKey>> {
        None
    }

    fn fetch<'a>(&'a self, rejection: Option<&'a Rejection>) -> Boxed<'a, TokenSet> {
        fetch(&self.source, rejection)
    }

    fn accepts_claims(&self) -> bool {
        self.source.accepts_claims()
    }

    fn holds_state(&self) -> bool {
        self.source.holds_state()
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        self.source.credential_fingerprint()
    }

    fn scoped(self: Box<Self>, scopes: &[String]) -> Result<Box<dyn Origin>, Error> {
        let Self { source, name, scopes: mut all } = *self;
        all.extend_from_slice(scopes);
        all.sort();
        all.dedup();
        Ok(Box::new(Self { source: source.scoped(scopes)?, name, scopes: all }))
    }
}

impl<S> fmt::Debug for Named<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("name", &self.name).finish_non_exhaustive()
    }
}

fn fetch<'a>(source: &'a impl TokenSource, rejection: Option<&'a Rejection>) -> Boxed<'a, TokenSet> {
    match rejection {
        Some(rejection) => Box::pin(source.fetch_after(rejection)),
        None => Box::pin(source.fetch()),
    }
}
