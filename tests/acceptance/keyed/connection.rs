//! Keys of gRPC calls, whose requests carry no authority (R5).

use tests::{
    grpc::{GREET, greeter::greeter_client::GreeterClient, greeting, name, raw, trailers_only},
    script::{Script, outcome},
    steps::API,
};
use tonic::Code;
use tower::ServiceExt;
use tower_oauth::{ErrorKind, OAuthLayer, TokenOptions};

use super::{Issuer, Tenant, Way};

#[tokio::test]
async fn f14_a_grpc_calls_key_is_among_its_extensions() {
    let (issuer, api) = (Issuer::default(), Script::new([]));
    let layer = Way::Extension.layer(issuer.pool(), &Tenant("acme")).over_one_connection().expect("one origin");
    let mut client = GreeterClient::new(layer.grpc(api.clone()));
    for (tenant, scope, expected) in [
        ("acme", None, "Bearer acme.1"),
        ("beta", None, "Bearer beta.1"),
        ("acme", Some("write"), "Bearer acme+write.1"),
    ] {
        api.answer_next(greeting("Hello!"));
        let mut request = tonic::Request::new(name("Ada"));
        request.extensions_mut().insert(Tenant(tenant));
        if let Some(scope) = scope {
            request.extensions_mut().insert(TokenOptions::new().scope(scope));
        }
        client.greet(request).await.expect("an answer");
        assert_eq!(api.authorizations().pop().as_deref(), Some(expected));
    }
    let status = client.greet(name("Ada")).await.expect_err("whose?");
    assert_eq!((status.code(), api.seen().len()), (Code::Internal, 3));
}

#[tokio::test]
async fn f14_a_channel_of_one_tenant_renews_its_own() {
    let (issuer, api) = (Issuer::default(), Script::new([trailers_only("16"), greeting("Hello!")]));
    let crm = OAuthLayer::keyed(API, issuer.pool()).and_then(|layer| layer.over_one_connection()).expect("an origin");
    let channel = crm.key(Tenant("acme")).grpc(api.clone());
    let response = channel.oneshot(raw(GREET, &[])).await.expect("a response");
    assert_eq!(outcome(response.extensions()), "Retried");
    assert_eq!(api.authorizations(), ["Bearer acme.1", "Bearer acme.2"]);
}

#[tokio::test]
async fn r5_a_pool_that_is_full_for_now_is_unavailable() {
    let issuer = Issuer::default();
    let pool = issuer.pool().capacity(1);
    let _in_use = pool.get(&Tenant("acme")).expect("there is room");
    let layer = Way::Given.layer(pool, &Tenant("beta")).over_one_connection().expect("one origin");
    let status = layer.grpc(Script::new([])).oneshot(raw(GREET, &[])).await.map(drop).expect_err("full");
    assert_eq!(status.code(), Code::Unavailable);
}

#[test]
fn r5_one_connection_leads_to_one_origin() {
    let (here, there) = (Issuer::default().pool(), Issuer::default().pool());
    let two =
        OAuthLayer::keyed(API, here).and_then(|layer| layer.origin("https://other.test", there)).expect("origins");
    assert_eq!(two.clone().over_one_connection().expect_err("two").kind(), ErrorKind::Config);
    assert_eq!(two.key(Tenant("acme")).over_one_connection().expect_err("two").kind(), ErrorKind::Config);
}
