//! No token is bound to a key where the feature `dpop` is off.

use std::convert::Infallible;

use http::{HeaderMap, Method};

use crate::token::{Possession, Proof};

pub(crate) struct BoundKey(Infallible);

impl BoundKey {
    pub(crate) fn proof(&self, _: &Method, _: &str, _: Option<&str>, _: Option<&str>) -> Proof {
        match self.0 {}
    }
}

impl Possession for BoundKey {
    fn prove(&self, _: &Method, _: &str, _: &str, _: Option<&str>) -> Proof {
        match self.0 {}
    }

    fn learn_nonce(&self, _: &str, _: &HeaderMap) -> Option<String> {
        match self.0 {}
    }

    #[cfg(any(feature = "sign-in", feature = "store"))]
    fn thumbprint(&self) -> &str {
        match self.0 {}
    }
}

#[cfg(feature = "store")]
pub(crate) fn bind(_: &str, key: &std::sync::Arc<BoundKey>) -> Result<crate::AccessToken, crate::Error> {
    match key.0 {}
}
