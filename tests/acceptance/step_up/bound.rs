//! Step-up of tokens that are bound to a key (DPoP): nonces are learnt on the way.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use oauth_test_server::{Client, NoncePolicy, Requirement, TestServer};
use oauth_tokens::{Algorithm, AuthorizationServer, ClientAuth, DpopKey, HttpClient, SigningKey, TokenClient};
use tower::{Layer, ServiceExt};
use tower_oauth::{OAuthLayer, StepUp};

use super::{retried, told};

fn key() -> DpopKey {
    DpopKey::new(SigningKey::generate(Algorithm::Es256).expect("a key")).expect("a signer that tells its public key")
}

fn server(policy: NoncePolicy) -> TestServer {
    let client = Client::new("m2m").secret("secret").scopes(["read", "write"]).require_dpop();
    let server = TestServer::builder().client(client).require_dpop().api_nonces(policy).build();
    server.require("/write", Requirement::Scope("write".to_owned()));
    server
}

fn client_of(server: &TestServer) -> TokenClient {
    let http = HttpClient::new(server.authorization_service());
    let authorization = AuthorizationServer::via(http).issuer(server.issuer()).expect("an issuer");
    authorization.client("m2m", ClientAuth::secret_basic("secret")).expect("a client")
}

fn layer(server: &TestServer, key: DpopKey, stronger: DpopKey) -> OAuthLayer {
    let client = client_of(server);
    let tokens = client.dpop(key).client_credentials().scope("read").cached().expect("a request");
    let stronger = client.dpop(stronger);
    let step_up =
        StepUp::new(move |_, demand| stronger.client_credentials().scope(demand.scopes.join(" ")).cached().ok());
    OAuthLayer::new(server.api_origin(), tokens).expect("an origin").step_up(step_up.allow_scopes(["write"]))
}

async fn call(server: &TestServer, layer: &OAuthLayer) -> (u16, String) {
    let request = Request::post(server.api_url("/write")).body(Full::<Bytes>::from("a body")).expect("a request");
    told(&layer.layer(server.api_service()).oneshot(request).await.expect("a response"))
}

#[tokio::test(start_paused = true)]
async fn r14_bound_tokens_are_stepped_up_with_every_kind_of_nonce() {
    for policy in [NoncePolicy::None, NoncePolicy::Reusable, NoncePolicy::SingleUse] {
        let (server, key) = (server(policy), key());
        let layer = layer(&server, key.clone(), key);
        for _ in 0..3 {
            assert_eq!(call(&server, &layer).await, retried(200), "{policy:?}");
        }
        let challenges = server.counters().api_nonce_challenges;
        assert!(challenges <= 1, "{policy:?}: {challenges} nonces were learnt by a refusal");
    }
}

/// A key of its own knows no nonce yet.
#[tokio::test(start_paused = true)]
async fn r14_a_stronger_token_may_be_bound_to_another_key() {
    for policy in [NoncePolicy::None, NoncePolicy::Reusable, NoncePolicy::SingleUse] {
        let server = server(policy);
        let layer = layer(&server, key(), key());
        for _ in 0..3 {
            assert_eq!(call(&server, &layer).await, retried(200), "{policy:?}");
        }
    }
}
