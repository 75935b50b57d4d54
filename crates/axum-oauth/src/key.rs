//! What a sign-in is known by.

use std::{fmt, sync::Arc};

use oauth_tokens::Error;
use serde::{Deserialize, Serialize};

use crate::random::random_text;

/// One sign-in of one user: the key of the tokens that it brought.
///
/// It is random, and another for each sign-in: two browsers of one user neither share tokens nor end each other's. It is in the
/// session, never in the browser. Whoever has it has the user's tokens: take none from a request.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserKey(Arc<str>);

impl UserKey {
    pub(crate) fn random() -> Result<Self, Error> {
        Ok(Self(random_text()?.as_str().into()))
    }
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not shown: it names somebody.
impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserKey")
    }
}
