use std::collections::HashSet;

/// What nonces a server asks of DPoP proofs (RFC 9449 sections 8 and 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoncePolicy {
    /// It asks for none.
    #[default]
    None,
    /// One nonce is good for any number of proofs, until a test says otherwise.
    Reusable,
    /// Each nonce is good for one proof; every answer brings the next.
    SingleUse,
}

/// The nonces of one server.
#[derive(Debug)]
pub(crate) struct Nonces {
    pub(crate) policy: NoncePolicy,
    current: String,
    /// Still good, and no longer handed out.
    previous: Option<String>,
    /// Handed out for a single use.
    outstanding: HashSet<String>,
}

impl Nonces {
    pub(crate) fn new(policy: NoncePolicy) -> Self {
        Self { policy, current: generate(), previous: None, outstanding: HashSet::new() }
    }

    /// Whether a proof with this nonce will do; one for a single use is then spent.
    pub(crate) fn accept(&mut self, nonce: Option<&str>) -> bool {
        match (self.policy, nonce) {
            (NoncePolicy::None, _) => true,
            (_, None) => false,
            (NoncePolicy::Reusable, Some(nonce)) => nonce == self.current || self.previous.as_deref() == Some(nonce),
            (NoncePolicy::SingleUse, Some(nonce)) => self.outstanding.remove(nonce),
        }
    }

    /// What to send back to a proof that had this nonce.
    pub(crate) fn offer(&mut self, sent: Option<&str>) -> Option<String> {
        match self.policy {
            NoncePolicy::None => None,
            NoncePolicy::Reusable => (sent != Some(&self.current)).then(|| self.current.clone()),
            NoncePolicy::SingleUse => {
                let nonce = generate();
                self.outstanding.insert(nonce.clone());
                Some(nonce)
            }
        }
    }

    pub(crate) fn rotate(&mut self) {
        self.previous = Some(std::mem::replace(&mut self.current, generate()));
    }

    pub(crate) fn expire(&mut self) {
        *self = Self::new(self.policy);
    }
}

fn generate() -> String {
    format!("nonce-{:016x}", fastrand::u64(..))
}
