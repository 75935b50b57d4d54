use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use http_body_util::Full;
use oauth_test_server::{Client, Endpoint, TestServer, TokenFormat};
use serde_json::{Value, json};

use super::*;

#[tokio::test(start_paused = true)]
async fn client_credentials_answers_a_token_that_the_api_takes() {
    let server = TestServer::builder().build();
    let answer = token(&server, CLIENT_CREDENTIALS).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3600);
    assert_eq!(body["scope"], "api");
    assert_eq!(body.get("refresh_token"), None);
    assert_eq!(api(&server, &answer.text("access_token")).await.status, 200);

    let again = token(&server, CLIENT_CREDENTIALS).await;
    assert_ne!(again.text("access_token"), answer.text("access_token"));
    assert_eq!(server.counters().token_requests, 2);
    assert_eq!(server.counters().tokens_issued, 2);
    assert_eq!(server.counters().token_errors, 0);
}

#[tokio::test(start_paused = true)]
async fn scopes() {
    let client = Client::new("m2m").secret("secret").scopes(["a", "b"]);
    let server = TestServer::builder().client(client).build();
    for (asked, answered) in [("", "a b"), ("&scope=", "a b"), ("&scope=b", "b"), ("&scope=b+a", "a b")] {
        let answer = token(&server, &format!("{CLIENT_CREDENTIALS}{asked}")).await;
        assert_eq!(answer.text("scope"), answered, "{asked}");
    }
    let refused = token(&server, &format!("{CLIENT_CREDENTIALS}&scope=a+c")).await;
    refused.assert_error(400, "invalid_scope");
    assert_eq!(refused.header("cache-control"), "no-store");
}

#[tokio::test(start_paused = true)]
async fn refused_requests() {
    let server = TestServer::builder()
        .client(m2m())
        .client(m2m().grant_types(["refresh_token"]))
        .client(Client::new("public"))
        .build();
    let auth = "client_id=m2m&client_secret=secret";
    for (parameters, error) in [
        (auth.to_owned(), "invalid_request"),
        (format!("{auth}&grant_type="), "invalid_request"),
        (format!("{auth}&grant_type=password"), "unsupported_grant_type"),
        (format!("{auth}&grant_type=client_credentials"), "unauthorized_client"),
        (format!("{auth}&grant_type=refresh_token"), "invalid_request"),
        (format!("{auth}&grant_type=refresh_token&refresh_token=x"), "invalid_grant"),
        (format!("{auth}&grant_type=refresh_token&grant_type=refresh_token"), "invalid_request"),
        (format!("{auth}&grant_type=%zz"), "invalid_request"),
        (format!("{auth}&grant_type=%ff"), "invalid_request"),
        ("client_id=public&grant_type=client_credentials".to_owned(), "unauthorized_client"),
    ] {
        token(&server, &parameters).await.assert_error(400, error);
    }
    assert_eq!(server.counters().token_errors, 10);
    assert_eq!(server.counters().tokens_issued, 0);
}

#[tokio::test(start_paused = true)]
async fn only_a_posted_form_is_read() {
    let server = TestServer::builder().build();
    let url = server.token_endpoint();
    let answer = authorize(&server, get(format!("{url}?{CLIENT_CREDENTIALS}"))).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"));

    for content_type in ["application/json", "text/plain"] {
        let request =
            Request::post(&url).header("content-type", content_type).body(Full::from(CLIENT_CREDENTIALS)).unwrap();
        authorize(&server, request).await.unwrap().assert_error(400, "invalid_request");
    }
    let request = Request::post(&url)
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(Full::from(CLIENT_CREDENTIALS))
        .unwrap();
    assert_eq!(authorize(&server, request).await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn jwt_access_tokens_verify_with_the_key_set() {
    let server =
        TestServer::builder().token_format(TokenFormat::Jwt).token_lifetime(Some(Duration::from_secs(60))).build();
    let parameters = format!("{CLIENT_CREDENTIALS}&resource=https://a.test/x&resource=https://b.test&audience=c");
    let jwt = token(&server, &parameters).await.text("access_token");
    assert_eq!(api(&server, &jwt).await.status, 200);

    let keys = authorize(&server, get(server.jwks_uri())).await.unwrap().json();
    let key = &keys["keys"][0];
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let mut point = vec![4];
    point.extend(decode(key["x"].as_str().unwrap()));
    point.extend(decode(key["y"].as_str().unwrap()));
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).verify(signed.as_bytes(), &decode(signature)).unwrap();

    let (header, claims) = signed.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!(header, json!({"alg": "ES256", "typ": "at+jwt", "kid": key["kid"]}));
    let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
    assert_eq!(claims["iss"], server.issuer());
    assert_eq!(claims["aud"], json!(["https://a.test/x", "https://b.test", "c"]));
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("m2m"), &json!("m2m")));
    assert_eq!(claims["scope"], "api");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    assert!(claims["jti"].is_string());

    // A forged one: another server's key, the same claims.
    let other = TestServer::builder().token_format(TokenFormat::Jwt).build();
    let forged = other.issue_access_token("m2m", "api");
    api(&server, &forged).await.assert_error(401, "invalid_token");

    tokio::time::advance(Duration::from_secs(60)).await;
    api(&server, &jwt).await.assert_error(401, "invalid_token");
}

#[tokio::test(start_paused = true)]
async fn a_resource_must_be_an_absolute_uri() {
    let server = TestServer::builder().build();
    for resource in ["things", "/things", "1a:b", "a:", "https://a.test/%23part"] {
        let answer = token(&server, &format!("{CLIENT_CREDENTIALS}&resource={resource}")).await;
        answer.assert_error(400, "invalid_target");
    }
    let urn = format!("{CLIENT_CREDENTIALS}&resource=urn:example:api");
    assert_eq!(token(&server, &urn).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn metadata_at_both_well_known_paths() {
    for (issuer, openid, oauth) in [
        (
            "https://id.test",
            "https://id.test/.well-known/openid-configuration",
            "https://id.test/.well-known/oauth-authorization-server",
        ),
        (
            "https://id.test/",
            "https://id.test/.well-known/openid-configuration",
            "https://id.test/.well-known/oauth-authorization-server",
        ),
        (
            "https://id.test/tenant/a",
            "https://id.test/tenant/a/.well-known/openid-configuration",
            "https://id.test/.well-known/oauth-authorization-server/tenant/a",
        ),
    ] {
        let server = TestServer::builder().issuer(issuer).build();
        for url in [openid, oauth] {
            let answer = authorize(&server, get(url.to_owned())).await.unwrap();
            assert_eq!(answer.status, 200, "{url}");
            let metadata = answer.json();
            assert_eq!(metadata["issuer"], issuer);
            assert_eq!(metadata["token_endpoint"], server.token_endpoint());
            assert_eq!(metadata["jwks_uri"], server.jwks_uri());
        }
        assert_eq!(server.counters().discovery_requests, 2);
        assert_eq!(token(&server, CLIENT_CREDENTIALS).await.status, 200, "{issuer}");
    }
}

#[tokio::test(start_paused = true)]
async fn either_metadata_can_be_off_and_members_set() {
    let openid = "https://id.test/.well-known/openid-configuration";
    let oauth = "https://id.test/.well-known/oauth-authorization-server";
    for (server, statuses) in [
        (TestServer::builder().openid_discovery(false).build(), [404, 200]),
        (TestServer::builder().oauth_discovery(false).build(), [200, 404]),
    ] {
        for (url, status) in [openid, oauth].into_iter().zip(statuses) {
            let answer = authorize(&server, get(url.to_owned())).await.unwrap();
            assert_eq!(answer.status.as_u16(), status);
        }
        assert_eq!(server.counters().discovery_requests, 2);
    }

    let server = TestServer::builder().build();
    server.set_metadata("issuer", "https://other.test");
    server.set_metadata("token_endpoint", Value::Null);
    let metadata = authorize(&server, get(openid.to_owned())).await.unwrap().json();
    assert_eq!(metadata["issuer"], "https://other.test");
    assert_eq!(metadata.get("token_endpoint"), None);
    assert_eq!(json!(server.metadata()), metadata);

    let answer = authorize(&server, get("https://id.test/nothing".to_owned())).await.unwrap();
    assert_eq!(answer.status, 404);
    assert_eq!(server.requests_to(Endpoint::Unknown).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn members_of_token_answers_can_be_set() {
    let server = TestServer::builder().build();
    server.set_token_response("refresh_in", 1800);
    server.set_token_response("token_type", "DPoP");
    server.set_token_response("expires_in", Value::Null);
    let body = token(&server, CLIENT_CREDENTIALS).await.json();
    assert_eq!((&body["refresh_in"], &body["token_type"]), (&json!(1800), &json!("DPoP")));
    assert_eq!(body.get("expires_in"), None);
}

#[tokio::test(start_paused = true)]
async fn lifetimes() {
    let server = TestServer::builder().token_lifetime(None).build();
    let answer = token(&server, CLIENT_CREDENTIALS).await;
    assert_eq!(answer.json().get("expires_in"), None);
    let token_without_end = answer.text("access_token");

    server.set_token_lifetime(Some(Duration::from_millis(5500)));
    let answer = token(&server, CLIENT_CREDENTIALS).await;
    assert_eq!(answer.json()["expires_in"], 5);
    let short = answer.text("access_token");
    tokio::time::advance(Duration::from_millis(5499)).await;
    assert_eq!(api(&server, &short).await.status, 200);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(api(&server, &short).await.status, 401);

    tokio::time::advance(Duration::from_secs(1_000_000)).await;
    assert_eq!(api(&server, &token_without_end).await.status, 200);

    server.set_token_lifetime(Some(Duration::MAX));
    assert_eq!(token(&server, CLIENT_CREDENTIALS).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn introspection() {
    let server = TestServer::builder().client(m2m()).client(Client::new("public")).build();
    let access = token(&server, CLIENT_CREDENTIALS).await.text("access_token");
    let refresh = server.issue_refresh_token("m2m", "read");
    let introspect = async |token: &str, auth: &str| {
        let parameters = format!("token={token}&{auth}");
        authorize(&server, form(server.introspection_endpoint(), &parameters)).await.unwrap()
    };
    let auth = "client_id=m2m&client_secret=secret";

    let answer = introspect(&access, auth).await.json();
    assert_eq!((&answer["active"], &answer["scope"]), (&json!(true), &json!("api read")));
    assert_eq!(answer["exp"].as_u64().unwrap() - answer["iat"].as_u64().unwrap(), 3600);
    let answer = introspect(&refresh, auth).await.json();
    assert_eq!((&answer["active"], &answer["sub"]), (&json!(true), &json!("alice")));
    assert_eq!(introspect("unknown", auth).await.json(), json!({"active": false}));
    introspect(&access, "client_id=m2m&client_secret=no").await.assert_error(401, "invalid_client");
    introspect(&access, "client_id=public").await.assert_error(401, "invalid_client");

    server.revoke_all();
    assert_eq!(introspect(&access, auth).await.json(), json!({"active": false}));
    assert_eq!(introspect(&refresh, auth).await.json(), json!({"active": false}));
    assert_eq!(server.counters().introspections, 7);
}

#[tokio::test(start_paused = true)]
async fn revocation() {
    let server = TestServer::builder().client(m2m()).client(Client::new("other").secret("secret")).build();
    let revoke = async |token: &str, client: &str| {
        let parameters = format!("token={token}&client_id={client}&client_secret=secret");
        authorize(&server, form(server.revocation_endpoint(), &parameters)).await.unwrap()
    };
    let access = server.issue_access_token("m2m", "api");
    revoke(&access, "other").await.assert_error(400, "unauthorized_client");
    assert_eq!(api(&server, &access).await.status, 200);
    assert_eq!(revoke(&access, "m2m").await.status, 200);
    assert_eq!(api(&server, &access).await.status, 401);
    assert_eq!(revoke("unknown", "m2m").await.status, 200);

    let refresh = server.issue_refresh_token("m2m", "api");
    let grant = "grant_type=refresh_token&client_id=m2m&client_secret=secret&refresh_token=";
    let answer = token(&server, &format!("{grant}{refresh}")).await;
    assert_eq!(revoke(&answer.text("refresh_token"), "m2m").await.status, 200);
    assert_eq!(api(&server, &answer.text("access_token")).await.status, 401);
    let answer = token(&server, &format!("{grant}{}", answer.text("refresh_token"))).await;
    answer.assert_error(400, "invalid_grant");
    assert_eq!(server.counters().revocations, 4);
}
