//! What comes out of a token store, from whoever could write to it: none of it panics, shows, or is taken for what it is not.
//!
//! The first byte chooses what is read; in texts `$S` stands for a secret, and `$N` for now, in milliseconds since 1970.

#![no_main]

#[path = "../canned.rs"]
mod canned;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use canned::{Canned, block_on, shown};
use libfuzzer_sys::fuzz_target;
use oauth_tokens::{
    AccessToken, AuthorizationServer, BoxError, ClientAuth, ErrorKind, Lease, Record, StoreKey, StoreKeys, TokenClient,
    TokenSource, TokenStore, UserTokens,
};

const SECRET: &str = "Q7s3cr3tQ7s3cr3t";
const ISSUED: &str = r#"{"access_token":"issued","token_type":"Bearer","expires_in":3600}"#;

fuzz_target!(|data: &[u8]| {
    let [what, data @ ..] = data else { return };
    match what % 3 {
        0 => block_on(sealed(data)),
        1 => block_on(token(content(data))),
        _ => block_on(user(content(data))),
    }
});

fn content(data: &[u8]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis().to_string();
    match std::str::from_utf8(data) {
        Ok(text) => text.replace("$S", SECRET).replace("$N", &now).into_bytes(),
        Err(_) => data.to_vec(),
    }
}

/// Nobody forges a record; and what is sealed opens as it was.
async fn sealed(data: &[u8]) {
    let keys = StoreKeys::new("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
    let [here, elsewhere] = [b"here", b"else"].map(|name: &[u8; 4]| StoreKey::digest(&[name]));
    assert!(keys.open(&here, data).await.is_ok_and(|record| record.is_none()), "a forged record");
    let record = Record { version: data.len() as u64, expires_at: None, content: data.to_vec().into() };
    let sealed = keys.seal(&here, &record).await.unwrap_or_else(|error| unreachable!("{error}"));
    assert!(keys.open(&elsewhere, &sealed).await.is_ok_and(|record| record.is_none()), "another key's record");
    let opened = keys.open(&here, &sealed).await.ok().flatten().unwrap_or_else(|| unreachable!("what was sealed"));
    assert!(opened.version == record.version && opened.content == record.content);
}

/// There is a token, whatever the store holds.
async fn token(content: Vec<u8>) {
    let stored = client().client_credentials().stored(Holding(content));
    let tokens = stored.fetch().await.unwrap_or_else(|error| unreachable!("{error}"));
    assert!(!tokens.access_token.secret().is_empty());
    assert!(tokens.expires_in.is_none_or(|left| left > Duration::ZERO), "an expired token");
}

/// There is a token, or the user signs in again.
async fn user(content: Vec<u8>) {
    let users = UserTokens::<u64>::new(client()).store(Holding(content));
    match users.token(&7).await {
        Ok(token) => assert!(AccessToken::bearer(token.secret()).is_ok()),
        Err(error) => {
            assert!(!shown(&error).contains(SECRET), "{error}");
            assert!(matches!(error.kind(), ErrorKind::SignInRequired | ErrorKind::Store), "{error:?}");
        }
    }
}

fn client() -> TokenClient {
    AuthorizationServer::via(Canned::http(http::Response::new(ISSUED.into())))
        .token_endpoint("https://id.test/token")
        .and_then(|server| server.client("app", ClientAuth::none()))
        .unwrap_or_else(|error| unreachable!("{error}"))
}

/// A store that holds this, and takes everything.
struct Holding(Vec<u8>);

impl TokenStore for Holding {
    async fn load(&self, _: &StoreKey) -> Result<Option<Record>, BoxError> {
        Ok(Some(Record { version: 7, expires_at: None, content: self.0.clone().into() }))
    }

    async fn replace(&self, _: &StoreKey, _: Option<u64>, _: &Record) -> Result<bool, BoxError> {
        Ok(true)
    }

    async fn delete(&self, _: &StoreKey, _: u64) -> Result<bool, BoxError> {
        Ok(true)
    }

    async fn lease(&self, _: &StoreKey, _: Duration) -> Result<Option<Lease>, BoxError> {
        Ok(Some(Lease::new("fuzz")))
    }

    async fn release(&self, _: &StoreKey, _: &Lease) -> Result<(), BoxError> {
        Ok(())
    }
}
