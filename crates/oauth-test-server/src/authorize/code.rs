//! Authorization codes (RFC 6749 section 4.1.2).

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::session::secret;
use crate::token::Grant;

/// RFC 6749 recommends ten minutes at most; a client that is there needs seconds.
const LIFETIME: Duration = Duration::from_secs(60);

/// What a code stands for, and what its client must say to get it.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) grant: Grant,
    pub(crate) sent_redirect_uri: Option<String>,
    pub(crate) code_challenge: Option<String>,
    pub(crate) dpop_key: Option<String>,
    pub(crate) nonce: Option<String>,
}

struct Issued {
    code: Code,
    expires_at: Instant,
    used: bool,
}

/// Every code that was issued.
#[derive(Default)]
pub(crate) struct Codes(HashMap<String, Issued>);

impl fmt::Debug for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codes").field("issued", &self.0.len()).finish()
    }
}

/// What a code is worth.
pub(crate) enum Found {
    Good(Box<Code>),
    /// Redeemed before; what it brought is this family.
    Used(Option<u64>),
    Expired,
    Unknown,
}

impl Codes {
    pub(crate) fn issue(&mut self, code: Code) -> String {
        let name = format!("code-{}", secret());
        self.0.insert(name.clone(), Issued { code, expires_at: Instant::now() + LIFETIME, used: false });
        name
    }

    pub(crate) fn find(&self, name: &str, client_id: &str) -> Found {
        match self.0.get(name).filter(|issued| issued.code.grant.client_id == client_id) {
            None => Found::Unknown,
            Some(issued) if issued.used => Found::Used(issued.code.grant.family),
            Some(issued) if Instant::now() >= issued.expires_at => Found::Expired,
            Some(issued) => Found::Good(Box::new(issued.code.clone())),
        }
    }

    pub(crate) fn spend(&mut self, name: &str) {
        if let Some(issued) = self.0.get_mut(name) {
            issued.used = true;
        }
    }
}
