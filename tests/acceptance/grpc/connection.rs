//! R4, R5: which calls belong to a channel's peer, and which get no token.

use http::{Method, Uri, header::AUTHORIZATION};
use tests::{
    grpc::{GREET, greeter::greeter_client::GreeterClient, greeting, name, raw, trailers_only},
    numbered::Numbered,
    script::{Script, outcome},
    steps::{API, settle},
};
use tonic::Code;
use tower_oauth::{ErrorKind, OAuthLayer};

use super::{call, client, layer, ours};

fn plain(tokens: &Numbered) -> OAuthLayer {
    OAuthLayer::new(API, tokens.cache.clone()).expect("an origin")
}

#[tokio::test]
async fn r5_a_call_without_authority_belongs_to_the_peer_of_the_connection() {
    let (tokens, api) = (Numbered::new(), Script::new([greeting("Hello!")]));
    let answer = client(&tokens, &api).greet(name("Ada")).await.expect("an answer");
    assert_eq!(answer.get_ref().text, "Hello!");
    assert_eq!(outcome(answer.extensions()), "-");
    let seen = api.seen();
    assert_eq!((seen.len(), tokens.fetches()), (1, 1));
    let head = &seen[0].head;
    assert_eq!((&head.method, head.uri.to_string().as_str()), (&Method::POST, GREET), "as the client sent it");
    assert_eq!(head.headers[AUTHORIZATION], "Bearer t1");
    assert!(head.headers[AUTHORIZATION].is_sensitive());
}

#[tokio::test]
async fn r5_with_plain_new_a_call_without_authority_is_refused_before_anything_is_sent() {
    let (tokens, api) = (Numbered::new(), Script::new([]));
    let mut client = GreeterClient::new(plain(&tokens).grpc(api.clone()));
    let status = client.greet(name("Ada")).await.expect_err("refused");
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("for_connection"), "it says what to do: {status}");
    assert_eq!(ours(&status).kind(), ErrorKind::NoAuthority);
    assert_eq!((api.seen().len(), tokens.fetches()), (0, 0));
}

/// Tonic's channel connects to its own peer, whatever origin its client names: one of the layer's other tokens would go there.
#[tokio::test]
async fn r4_on_one_connection_no_other_servers_token_is_sent() {
    let (tokens, others, api) = (Numbered::new(), Numbered::new(), Script::new([]));
    let layer = layer(&tokens).origin("https://bank.test", others.cache.clone()).expect("another origin");
    for (uri, authorization) in
        [("https://bank.test", None), ("https://evil.test", None), ("https://api.test", Some("Bearer t1"))]
    {
        let request = raw(&format!("{uri}{GREET}"), &[]);
        let _ = tower::ServiceExt::oneshot(layer.grpc(api.clone()), request).await;
        let seen = api.seen();
        let sent = seen
            .last()
            .and_then(|seen| seen.head.headers.get(AUTHORIZATION))
            .map(|value| value.to_str().expect("text"));
        assert_eq!(sent, authorization, "{uri}");
    }
    assert_eq!(others.fetches(), 0);
}

/// `GreeterClient::with_origin`: calls name where they go, and are looked at like any other request.
#[tokio::test]
async fn r4_a_client_with_an_origin_gets_a_token_only_for_the_origins_that_were_named() {
    let vectors = [
        ("https://api.test", true),
        ("https://API.test:443", true),
        ("https://api.test.", true),
        ("https://api.test:444", false),
        ("http://api.test", false),
        ("https://api.test.evil.test", false),
        ("https://evil.test", false),
        ("https://sub.api.test", false),
        ("https://127.0.0.1", false),
    ];
    for (origin, is_ours) in vectors {
        for layer in [plain, layer] {
            let (tokens, api) = (Numbered::new(), Script::new([]));
            let uri: Uri = origin.parse().expect("a URI");
            let mut client = GreeterClient::with_origin(layer(&tokens).grpc(api.clone()), uri);
            api.answer_next(greeting("Hello!"));
            client.greet(name("Ada")).await.expect("an answer");
            let expected = if is_ours { "Bearer t1" } else { "" };
            assert_eq!(api.authorizations(), [expected], "{origin}");
            assert_eq!(tokens.fetches(), u64::from(is_ours), "{origin}");
        }
    }
}

#[tokio::test]
async fn r4_somebody_elses_refusal_renews_nothing() {
    for layer in [plain, layer] {
        let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16")]));
        let request = raw("https://elsewhere.test/greeter.Greeter/Greet", &[]);
        let response = call(&layer(&tokens), &api, request).await;
        settle().await;
        assert_eq!(outcome(response.extensions()), "-");
        assert_eq!((api.seen().len(), tokens.fetches()), (1, 0));
    }
}

/// One connection, and a token for one of its services only.
#[tokio::test]
async fn r4_a_path_prefix_is_one_service_of_the_peer() {
    let vectors = [
        ("/greeter.Greeter/Greet", "Bearer t1"),
        ("/greeter.Greeter", "Bearer t1"),
        ("/greeter.GreeterAdmin/Greet", ""),
        ("/other.Service/Greet", ""),
    ];
    for (path, expected) in vectors {
        let (tokens, api) = (Numbered::new(), Script::new([greeting("Hello!")]));
        let origin = "https://api.test/greeter.Greeter";
        let layer = OAuthLayer::for_connection(origin, tokens.cache.clone()).expect("an origin");
        call(&layer, &api, raw(path, &[])).await;
        assert_eq!(api.authorizations(), [expected], "{path}");
    }
}

#[tokio::test]
async fn r5_a_host_unlike_the_peer_is_refused() {
    let (tokens, api) = (Numbered::new(), Script::new([]));
    let mut channel = layer(&tokens).grpc(api.clone());
    let request = raw(GREET, &[("host", "evil.test")]);
    let channel = tower::ServiceExt::ready(&mut channel).await.expect("it is ready");
    let status = tower::Service::call(channel, request).await.expect_err("refused");
    assert_eq!((status.code(), ours(&status).kind()), (Code::Internal, ErrorKind::HostMismatch));
    assert_eq!((api.seen().len(), tokens.fetches()), (0, 0));
}

#[tokio::test]
async fn r1_a_callers_own_authorization_is_left_alone_and_its_call_not_made_again() {
    let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16")]));
    let mut request = tonic::Request::new(name("Ada"));
    request.metadata_mut().insert("authorization", "Bearer own".parse().expect("a value"));
    let status = client(&tokens, &api).greet(request).await.expect_err("unauthenticated");
    settle().await;
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(api.authorizations(), ["Bearer own"]);
    assert_eq!(tokens.fetches(), 0);
}

#[tokio::test]
async fn r1_a_callers_own_authorization_is_refused_by_setting() {
    let (tokens, api) = (Numbered::new(), Script::new([]));
    let request = raw(GREET, &[("authorization", "Bearer pl4nt3d")]);
    let channel = layer(&tokens).refuse_caller_authorization().grpc(api.clone());
    let status = tower::ServiceExt::oneshot(channel, request).await.expect_err("refused");
    assert_eq!((status.code(), ours(&status).kind()), (Code::Internal, ErrorKind::CallerAuthorization));
    assert!(!format!("{status} {status:?}").contains("pl4nt3d"));
    assert_eq!((api.seen().len(), tokens.fetches()), (0, 0));
}
