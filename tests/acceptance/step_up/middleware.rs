//! The main lines again, as a reqwest middleware over sockets.

use oauth_test_server::{Client, Endpoint, Fault, Requirement, TestServer};
use oauth_tokens::{AccessToken, Error, Rejection, TokenCache, TokenSet, TokenSource};
use reqwest::Response;
use reqwest_middleware::ClientWithMiddleware;
use tests::{numbered::Numbered, script::outcome, steps::settle, wire::reqwest_client};
use tower_oauth::{OAuthLayer, StepUp};

use super::{Hook, SCOPE, SIGN_IN, retried};

fn client(layer: &OAuthLayer) -> ClientWithMiddleware {
    reqwest_middleware::ClientBuilder::new(reqwest_client()).with(layer.middleware()).build()
}

fn told(response: &Response) -> (u16, String) {
    (response.status().as_u16(), outcome(response.extensions()))
}

fn tokens_seen(server: &TestServer) -> Vec<String> {
    server.requests_to(Endpoint::Api).iter().map(|seen| seen.bearer_token().unwrap_or("-").to_owned()).collect()
}

async fn start(step_up: StepUp) -> (TestServer, Numbered, OAuthLayer) {
    let server = TestServer::start().await.expect("sockets");
    let tokens = Numbered::new();
    let layer = OAuthLayer::new(server.api_origin(), tokens.cache.clone()).expect("an origin").step_up(step_up);
    (server, tokens, layer)
}

fn unauthorized(challenge: &str) -> Fault {
    Fault::Unauthorized { challenge: Some(challenge.to_owned()) }
}

#[tokio::test]
async fn r14_middleware_a_demand_is_met_for_that_request_alone() {
    for challenge in [SCOPE, SIGN_IN] {
        let hook = Hook::default();
        let (server, tokens, layer) = start(hook.step_up()).await;
        server.api_faults().push(1, unauthorized(challenge));
        let client = client(&layer);
        let url = server.api_url("/public/echo");
        let response = client.post(&url).body("a body").send().await.expect("a response");
        assert_eq!(told(&response), retried(200), "{challenge}");
        assert_eq!(response.text().await.expect("a body"), "a body");
        client.post(&url).body("a body").send().await.expect("a response");
        assert_eq!(tokens_seen(&server), ["t1", "s1.1", "t1"]);
        assert_eq!((tokens.fetches(), hook.calls()), (1, 1));
    }
}

#[tokio::test]
async fn r14_middleware_what_cannot_be_met_is_the_callers() {
    let failing = || async { Err::<TokenSet, _>(Error::source_failed("no user is there")) };
    let hook = Hook::default();
    let hooks = [
        (StepUp::new(|_, _| None).allow_scopes(["write"]), "InsufficientScope"),
        (hook.bare(), "InsufficientScope"),
        (
            StepUp::new(move |_, _| Some(TokenCache::new(oauth_tokens::source_fn(failing)))).allow_scopes(["write"]),
            "NotRenewed(Source)",
        ),
        // The very token that did not suffice.
        (StepUp::new(|_, _| TokenCache::fixed("t1").ok()).allow_scopes(["write"]), "NotRenewed(SameToken)"),
    ];
    for (step_up, expected) in hooks {
        let (server, tokens, layer) = start(step_up).await;
        server.api_faults().push(1, unauthorized(SCOPE));
        let response = client(&layer).get(server.api_url("/public")).send().await.expect("a response");
        assert_eq!(told(&response), (401, expected.to_owned()));
        assert_eq!(response.text().await.expect("a body"), "fault: 401\n", "unread");
        settle().await;
        assert_eq!((tokens_seen(&server), tokens.fetches()), (vec!["t1".to_owned()], 1));
    }
    assert_eq!(hook.calls(), 0);
}

#[tokio::test]
async fn r14_middleware_one_step_up_and_one_renewal_of_the_stronger_token() {
    let hook = Hook::default();
    let (server, tokens, layer) = start(hook.step_up()).await;
    for challenge in [SCOPE, "Bearer error=invalid_token", SIGN_IN] {
        server.api_faults().push(1, unauthorized(challenge));
    }
    let response = client(&layer).get(server.api_url("/public")).send().await.expect("a response");
    assert_eq!(told(&response), retried(401));
    assert_eq!((tokens_seen(&server), tokens.fetches()), (["t1", "s1.1", "s1.2"].map(str::to_owned).to_vec(), 1));
}

/// The whole way, and a 403.
#[tokio::test]
async fn r14_middleware_a_403_of_the_test_server() {
    let registered = Client::new("m2m").secret("secret").scopes(["read", "write"]);
    let server = TestServer::builder().client(registered).start().await.expect("sockets");
    server.require("/write", Requirement::Scope("write".to_owned()));
    let authorization = oauth_tokens::AuthorizationServer::issuer(server.issuer()).expect("an issuer");
    let oauth = authorization.client("m2m", oauth_tokens::ClientAuth::secret_basic("secret")).expect("a client");
    let tokens = oauth.client_credentials().scope("read").cached().expect("a request");
    let step_up = StepUp::new(move |_, demand| oauth.client_credentials().scope(demand.scopes.join(" ")).cached().ok());
    let layer =
        OAuthLayer::new(server.api_origin(), tokens).expect("an origin").step_up(step_up.allow_scopes(["write"]));
    let client = layer.reqwest(reqwest::Client::builder()).expect("a client");
    let response = client.post(server.api_url("/write")).body("a body").send().await.expect("a response");
    assert_eq!(told(&response), retried(200));
    assert_eq!(response.json::<serde_json::Value>().await.expect("JSON")["scope"], "write");
}

/// A 401 from elsewhere demands nothing (R13).
#[tokio::test]
async fn r13_middleware_a_demand_from_elsewhere_is_the_callers() {
    let hook = Hook::default();
    let (server, _, layer) = start(hook.step_up()).await;
    let other = TestServer::start().await.expect("sockets");
    other.api_faults().push(1, unauthorized(SCOPE));
    let following = reqwest::Client::builder().no_proxy().build().expect("a client");
    let client = reqwest_middleware::ClientBuilder::new(following).with(layer.middleware()).build();
    let url = tests::wire::redirect_url(&server, "/public", 302, &other.api_url("/public"));
    let response = client.get(url).send().await.expect("a response");
    assert_eq!((told(&response), hook.calls()), ((401, "Elsewhere".to_owned()), 0));
}

struct Heeding;

impl TokenSource for Heeding {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        Ok(TokenSet::new(AccessToken::bearer("plain")?))
    }

    async fn fetch_after(&self, rejection: &Rejection) -> Result<TokenSet, Error> {
        let is_asked = rejection.claims.as_deref() == Some(r#"{"a":{}}"#);
        Ok(TokenSet::new(AccessToken::bearer(if is_asked { "with-claims" } else { "without" })?))
    }

    fn accepts_claims(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn r14_middleware_claims_are_heeded() {
    let server = TestServer::start().await.expect("sockets");
    let layer = OAuthLayer::new(server.api_origin(), TokenCache::new(Heeding)).expect("an origin");
    server.api_faults().push(1, unauthorized("Bearer error=insufficient_claims, claims=eyJhIjp7fX0"));
    let response = client(&layer).get(server.api_url("/public")).send().await.expect("a response");
    assert_eq!(told(&response), retried(200));
    assert_eq!(tokens_seen(&server), ["plain", "with-claims"]);
}
