use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri};
use tokio::time::Instant;

use crate::certificate::PresentedCertificate;
use crate::client::ClientAuthMethod;
use crate::form;
use crate::jws::DecodedJwt;

/// Which part of the server a request went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// The authorization server's metadata, at either well-known path.
    Discovery,
    /// The token endpoint (RFC 6749 section 3.2).
    Token,
    /// The introspection endpoint (RFC 7662).
    Introspection,
    /// The revocation endpoint (RFC 7009).
    Revocation,
    /// The keys that verify signed tokens (RFC 7517).
    Jwks,
    /// The device authorization endpoint (RFC 8628 section 3.1).
    DeviceAuthorization,
    /// The page where a user types a device's code (RFC 8628 section 3.3).
    DeviceVerification,
    /// The pushed authorization request endpoint (RFC 9126).
    PushedAuthorization,
    /// The authorization endpoint (RFC 6749 section 3.1), where a user's browser begins.
    Authorization,
    /// The form of the sign-in page.
    SignIn,
    /// The form of the consent page.
    Consent,
    /// The userinfo endpoint (OpenID Connect Core section 5.3).
    Userinfo,
    /// Where a user's session ends (OpenID Connect RP-Initiated Logout).
    EndSession,
    /// Any path of the API.
    Api,
    /// A path of the authorization server where nothing is.
    Unknown,
}

/// What the server has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Requests for the authorization server's metadata.
    pub discovery_requests: u64,
    /// Requests for the key set.
    pub jwks_requests: u64,
    /// Requests to the token endpoint.
    pub token_requests: u64,
    /// Access tokens issued by the token endpoint, each counted once.
    pub tokens_issued: u64,
    /// Answers of the token endpoint that were no 200, faults among them.
    pub token_errors: u64,
    /// Refresh tokens that came again after they had been replaced.
    pub refresh_reuse_detected: u64,
    /// Requests to the introspection endpoint.
    pub introspections: u64,
    /// Requests to the revocation endpoint.
    pub revocations: u64,
    /// Requests to the device authorization endpoint.
    pub device_authorizations: u64,
    /// Requests to the page where a user types a device's code.
    pub device_verifications: u64,
    /// Requests to the pushed authorization request endpoint.
    pub pushed_authorizations: u64,
    /// Requests to the authorization endpoint.
    pub authorization_requests: u64,
    /// Forms of the sign-in page.
    pub sign_ins: u64,
    /// Forms of the consent page.
    pub consents: u64,
    /// Requests to the userinfo endpoint.
    pub userinfo_requests: u64,
    /// Requests to end a session, with those of its page.
    pub end_session_requests: u64,
    /// JWTs refused because their `jti` was used before, assertions and proofs alike.
    pub replays_refused: u64,
    /// Answers of the authorization server that asked for a DPoP nonce.
    pub token_nonce_challenges: u64,
    /// Answers of the API that asked for a DPoP nonce.
    pub api_nonce_challenges: u64,
    /// Requests to paths of the authorization server where nothing is.
    pub unknown_requests: u64,
    /// Requests to the API.
    pub api_requests: u64,
    /// API requests whose token was good.
    pub api_accepted: u64,
    /// API requests to public paths, where no token is asked for.
    pub api_public: u64,
    /// API answers with the status 401, faults among them.
    pub api_unauthorized: u64,
    /// API answers with the status 403, faults among them.
    pub api_forbidden: u64,
}

impl Counters {
    /// How many requests arrived at an endpoint.
    pub fn requests_to(&self, endpoint: Endpoint) -> u64 {
        let mut copy = *self;
        *copy.of(endpoint)
    }

    pub(crate) fn arrived(&mut self, endpoint: Endpoint) {
        *self.of(endpoint) += 1;
    }

    fn of(&mut self, endpoint: Endpoint) -> &mut u64 {
        match endpoint {
            Endpoint::Discovery => &mut self.discovery_requests,
            Endpoint::Jwks => &mut self.jwks_requests,
            Endpoint::Token => &mut self.token_requests,
            Endpoint::Introspection => &mut self.introspections,
            Endpoint::Revocation => &mut self.revocations,
            Endpoint::DeviceAuthorization => &mut self.device_authorizations,
            Endpoint::DeviceVerification => &mut self.device_verifications,
            Endpoint::PushedAuthorization => &mut self.pushed_authorizations,
            Endpoint::Authorization => &mut self.authorization_requests,
            Endpoint::SignIn => &mut self.sign_ins,
            Endpoint::Consent => &mut self.consents,
            Endpoint::Userinfo => &mut self.userinfo_requests,
            Endpoint::EndSession => &mut self.end_session_requests,
            Endpoint::Api => &mut self.api_requests,
            Endpoint::Unknown => &mut self.unknown_requests,
        }
    }

    pub(crate) fn answered(&mut self, endpoint: Endpoint, status: StatusCode) {
        match (endpoint, status) {
            (Endpoint::Token, StatusCode::OK) => {}
            (Endpoint::Token, _) => self.token_errors += 1,
            (Endpoint::Api, StatusCode::UNAUTHORIZED) => self.api_unauthorized += 1,
            (Endpoint::Api, StatusCode::FORBIDDEN) => self.api_forbidden += 1,
            _ => {}
        }
    }
}

/// A request as the server received it.
///
/// It holds everything, secrets and tokens too; its `Debug` shows none of them.
#[derive(Clone)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// When its headers arrived, on tokio's clock.
    pub when: Instant,
    /// Where it went.
    pub endpoint: Endpoint,
    /// Its method.
    pub method: Method,
    /// Its target: a path over HTTP/1 sockets, else as the caller sent it.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as far as it was read.
    pub body: Bytes,
    /// Its trailers.
    pub trailers: Option<HeaderMap>,
    /// Whether the body was read to its end.
    pub complete: bool,
    /// The status of the answer; `None` while there is none.
    pub status: Option<StatusCode>,
    /// How the client has shown who it is; `None` if it has not.
    pub client_auth: Option<ClientAuthMethod>,
    /// The client that has shown who it is.
    pub client_id: Option<String>,
    /// The thumbprint of the client's TLS certificate.
    pub certificate: Option<String>,
}

impl RecordedRequest {
    /// The value of a form parameter of the body, the first one of that name.
    pub fn form_value(&self, name: &str) -> Option<String> {
        self.form().into_iter().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The form parameters of the body; none if it is no form.
    pub fn form(&self) -> Vec<(String, String)> {
        form::pairs(&self.body).unwrap_or_default()
    }

    /// The token of an `Authorization: Bearer` header.
    pub fn bearer_token(&self) -> Option<&str> {
        self.token("bearer")
    }

    /// The token of an `Authorization: DPoP` header.
    pub fn dpop_token(&self) -> Option<&str> {
        self.token("dpop")
    }

    fn token(&self, expected: &str) -> Option<&str> {
        let value = self.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case(expected).then(|| token.trim())
    }

    /// The client assertion in the form (RFC 7521 section 4.2), whether it was good or not.
    pub fn client_assertion(&self) -> Option<DecodedJwt> {
        DecodedJwt::decode(&self.form_value("client_assertion")?)
    }

    /// The DPoP proof in the header (RFC 9449), whether it was good or not.
    pub fn dpop_proof(&self) -> Option<DecodedJwt> {
        DecodedJwt::decode(self.headers.get("dpop")?.to_str().ok()?)
    }
}

/// What a failing test may print: no query, no header and no body.
impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RecordedRequest");
        debug.field("endpoint", &self.endpoint).field("method", &self.method).field("path", &self.uri.path());
        debug.field("body_len", &self.body.len()).field("complete", &self.complete).field("status", &self.status);
        debug.field("client_auth", &self.client_auth).field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// The newest requests, numbered so that what happens later can be added.
#[derive(Debug)]
pub(crate) struct Log {
    requests: VecDeque<RecordedRequest>,
    /// The number of the first of `requests`.
    first: u64,
    capacity: usize,
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { requests: VecDeque::new(), first: 0, capacity }
    }

    pub(crate) fn arrived(&mut self, endpoint: Endpoint, parts: &Parts) -> u64 {
        let certificate = parts.extensions.get().map(PresentedCertificate::thumbprint);
        let number = self.first + self.requests.len() as u64;
        if self.capacity == 0 {
            return number;
        }
        if self.requests.len() == self.capacity {
            self.requests.pop_front();
            self.first += 1;
        }
        self.requests.push_back(RecordedRequest {
            when: Instant::now(),
            endpoint,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            body: Bytes::new(),
            trailers: None,
            complete: false,
            status: None,
            client_auth: None,
            client_id: None,
            certificate: certificate.map(str::to_owned),
        });
        number
    }

    pub(crate) fn get(&mut self, number: u64) -> Option<&mut RecordedRequest> {
        let index = number.checked_sub(self.first)?;
        self.requests.get_mut(usize::try_from(index).ok()?)
    }

    pub(crate) fn all(&self) -> Vec<RecordedRequest> {
        self.requests.iter().cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        self.first += self.requests.len() as u64;
        self.requests.clear();
    }
}
