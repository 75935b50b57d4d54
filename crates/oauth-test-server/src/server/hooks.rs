use serde_json::Value;

use crate::api::Requirement;
#[cfg(feature = "tls")]
use crate::certificate::{CertificateName, TestCertificate};
use crate::device::DeviceCode;
use crate::dpop::NoncePolicy;
use crate::server::TestServer;

/// Keys, certificates and nonces.
impl TestServer {
    /// Signs with a new key from now on. The old ones stay in the key set, so that what they have
    /// signed can be verified.
    pub fn rotate_keys(&self) {
        self.shared.lock().keys.rotate();
    }

    /// Leaves the keys that no longer sign out of the key set.
    pub fn drop_old_keys(&self) {
        self.shared.lock().keys.drop_old();
    }

    /// A client certificate of the authority that [`ca_certificate_pem`](Self::ca_certificate_pem)
    /// shows, with this one name in it: for a client with [`Client::certificate`](crate::Client::certificate).
    ///
    /// # Errors
    ///
    /// When no certificate can be made of that name.
    #[cfg(feature = "tls")]
    pub fn issue_client_certificate(&self, name: CertificateName) -> std::io::Result<TestCertificate> {
        let certificate = self.authority()?.issue_client_certificate(&name)?;
        self.shared.lock().certificates.insert(certificate.thumbprint.clone(), name);
        Ok(certificate)
    }

    /// Takes a certificate that was issued back, by its thumbprint: the client no longer gets in with it.
    pub fn revoke_certificate(&self, thumbprint: &str) {
        self.shared.lock().certificates.remove(thumbprint);
    }

    /// What the token endpoint asks of DPoP proofs from now on. Nonces that were handed out stay good.
    pub fn set_token_nonces(&self, policy: NoncePolicy) {
        self.shared.lock().token_nonces.policy = policy;
    }

    /// What the API asks of DPoP proofs from now on. Nonces that were handed out stay good.
    pub fn set_api_nonces(&self, policy: NoncePolicy) {
        self.shared.lock().api_nonces.policy = policy;
    }

    /// Hands out new reusable nonces, with the next answers. The last ones stay good until the next time.
    pub fn rotate_nonces(&self) {
        let model = &mut *self.shared.lock();
        model.token_nonces.rotate();
        model.api_nonces.rotate();
    }

    /// Makes all nonces bad that were handed out: the next proof gets `use_dpop_nonce`.
    pub fn expire_nonces(&self) {
        let model = &mut *self.shared.lock();
        model.token_nonces.expire();
        model.api_nonces.expire();
    }
}

/// Users and their devices (RFC 8628), and pushed requests (RFC 9126).
impl TestServer {
    /// The codes that were handed out to devices, in order.
    pub fn device_codes(&self) -> Vec<DeviceCode> {
        self.shared.lock().devices.all()
    }

    /// The user `alice` types this code and agrees. False if no device waits with it.
    pub fn approve_device(&self, user_code: &str) -> bool {
        self.approve_device_as(user_code, "alice")
    }

    /// A user types this code and agrees. False if no device waits with it.
    pub fn approve_device_as(&self, user_code: &str, subject: &str) -> bool {
        self.shared.lock().devices.decide(user_code, Some(subject))
    }

    /// A user types this code and says no. False if no device waits with it.
    pub fn deny_device(&self, user_code: &str) -> bool {
        self.shared.lock().devices.decide(user_code, None)
    }

    /// The parameters of a pushed authorization request, without the client's credentials; `None` once
    /// it has expired, after a minute.
    pub fn pushed_request(&self, request_uri: &str) -> Option<Vec<(String, String)>> {
        self.shared.lock().pushed.get(request_uri)
    }
}

/// What the API asks for, and what it says of itself.
impl TestServer {
    /// Asks more of the tokens for a path and all under it, from now on. `/` is for all paths.
    ///
    /// ```
    /// use oauth_test_server::{Requirement, TestServer};
    ///
    /// let server = TestServer::builder().build();
    /// server.require("/admin", Requirement::Scope("admin".to_owned()));
    /// ```
    pub fn require(&self, path: impl Into<String>, requirement: Requirement) {
        self.shared.lock().api.requirements.push((path.into(), requirement));
    }

    /// Asks no more than the settings of the builder do.
    pub fn clear_requirements(&self) {
        self.shared.lock().api.requirements.clear();
    }

    /// Sets a member of the protected resource metadata (RFC 9728), such as a wrong `resource`;
    /// [`Value::Null`] removes it.
    pub fn set_resource_metadata(&self, name: &str, value: impl Into<Value>) {
        self.shared.lock().api.metadata.insert(name.to_owned(), value.into());
    }

    /// The URL of the metadata in all challenges from now on, be it right or wrong. `None`: the right
    /// one, if [`Builder::resource_metadata`](crate::Builder::resource_metadata) asks for one.
    pub fn set_resource_metadata_url(&self, url: Option<String>) {
        self.shared.lock().api.metadata_url = url;
    }
}
