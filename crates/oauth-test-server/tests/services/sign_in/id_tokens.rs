//! ID tokens and userinfo.

use oauth_test_server::{Algorithm, TestKey};
use serde_json::{Value, json};

use super::*;

async fn id_token(server: &TestServer) -> String {
    redeem(server, &alice(server, "scope=openid+profile&nonce=n").await, "").await.text("id_token")
}

fn decoded(jwt: &str) -> DecodedJwt {
    DecodedJwt::decode(jwt).unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_client_has_its_algorithm_and_the_key_set_has_the_key() {
    for (algorithm, kty) in [
        (Algorithm::Rs256, "RSA"),
        (Algorithm::Ps256, "RSA"),
        (Algorithm::Es256, "EC"),
        (Algorithm::Es384, "EC"),
        (Algorithm::EdDsa, "OKP"),
    ] {
        let server = TestServer::builder().client(app().id_token_algorithm(algorithm)).build();
        // Somebody may read the keys before there is any token.
        let keys = authorize(&server, get(server.jwks_uri())).await.unwrap().json();
        let jwt = decoded(&id_token(&server).await);
        assert_eq!(jwt.header["alg"], algorithm.name());
        let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == jwt.header["kid"]);
        let key = key.unwrap_or_else(|| panic!("{algorithm:?}"));
        assert_eq!((&key["kty"], &key["alg"], &key["use"]), (&json!(kty), &json!(algorithm.name()), &json!("sig")));
        assert_eq!(key.get("d"), None);
        let supported = server.metadata()["id_token_signing_alg_values_supported"].clone();
        let supported: Vec<&str> = supported.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert!(supported.contains(&"RS256") && supported.contains(&algorithm.name()), "{supported:?}");
    }
    let server = TestServer::builder().client(app().id_token_algorithm(Algorithm::Hs256)).build();
    assert_eq!(decoded(&id_token(&server).await).header["alg"], "HS256");
    let keys = authorize(&server, get(server.jwks_uri())).await.unwrap();
    assert!(!String::from_utf8_lossy(&keys.body).contains("oct"));
}

/// The example of OpenID Connect Core appendix A.3, but for the hash of SHA-256 and its halves.
#[tokio::test(start_paused = true)]
async fn at_hash_goes_with_the_algorithm() {
    for (algorithm, length) in [(Algorithm::Es256, 22), (Algorithm::Es384, 32), (Algorithm::EdDsa, 43)] {
        let server = TestServer::builder().client(app().id_token_algorithm(algorithm)).build();
        let jwt = decoded(&id_token(&server).await);
        assert_eq!(jwt.claims["at_hash"].as_str().unwrap().len(), length, "{algorithm:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_rotate() {
    let server = TestServer::builder().client(app()).build();
    let old = id_token(&server).await;
    server.rotate_keys();
    let new = id_token(&server).await;
    let kids = async || {
        let keys = authorize(&server, get(server.jwks_uri())).await.unwrap().json();
        let keys = keys["keys"].as_array().unwrap().clone();
        keys.into_iter()
            .filter(|key| key["kty"] == "RSA")
            .map(|key| (key["kid"].clone(), key["n"].clone()))
            .collect::<Vec<_>>()
    };
    let [new_kid, old_kid] = [&new, &old].map(|jwt| decoded(jwt).header["kid"].clone());
    let both = kids().await;
    assert_eq!(both.iter().map(|(kid, _)| kid).collect::<Vec<_>>(), [&new_kid, &old_kid]);
    assert_ne!(both[0].1, both[1].1, "another key, not only another name");
    server.drop_old_keys();
    assert_eq!(kids().await, &both[..1]);
}

#[tokio::test(start_paused = true)]
async fn tampering() {
    let server = TestServer::builder().client(app()).build();
    let change = server.clone();
    let other = TestKey::generate(Algorithm::Es256);
    let spoiled = async |change_it: Box<dyn Fn(&mut oauth_test_server::JwtDraft) + Send + Sync>| {
        change.tamper_id_tokens(change_it);
        id_token(&server).await
    };
    let jwt = decoded(&spoiled(Box::new(|jwt| drop(jwt.claims.remove("nonce")))).await);
    assert_eq!(jwt.claims.get("nonce"), None);
    let jwt = decoded(&spoiled(Box::new(|jwt| jwt.set_claim("aud", "x"))).await);
    assert_eq!(jwt.claims["aud"], "x");
    let jwt = spoiled(Box::new(|jwt| jwt.set_header("alg", "none"))).await;
    assert!(jwt.ends_with('.') && decoded(&jwt).header["alg"] == "none", "{jwt}");
    let jwt = decoded(&spoiled(Box::new(|jwt| jwt.set_header("kid", "wrong"))).await);
    assert_eq!(jwt.header["kid"], "wrong");
    let jwt = spoiled(Box::new(move |jwt| jwt.key = other.clone())).await;
    // An ES256 signature under RS256.
    assert_eq!((decoded(&jwt).header["alg"].as_str(), jwt.rsplit('.').next().unwrap().len()), (Some("RS256"), 86));
    let jwt = decoded(&spoiled(Box::new(|_| {})).await);
    assert_eq!(jwt.claims["nonce"], "n");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_brings_a_new_id_token() {
    let server = TestServer::builder().client(app()).refresh_tokens(true).build();
    let first = redeem(&server, &alice(&server, "scope=openid+api&nonce=n").await, "").await;
    advance(Duration::from_secs(600)).await;
    let refresh = |token: &str, more: &str| {
        format!("grant_type=refresh_token&client_id=app&client_secret=secret&refresh_token={token}{more}")
    };
    let second = token(&server, &refresh(&first.text("refresh_token"), "")).await;
    let [old, new] = [&first, &second].map(|answer| decoded(&answer.text("id_token")).claims);
    for same in ["iss", "sub", "aud", "auth_time", "sid"] {
        assert_eq!(old[same], new[same], "{same}");
    }
    assert_eq!(new["iat"].as_u64().unwrap() - old["iat"].as_u64().unwrap(), 600);
    assert_ne!(old["at_hash"], new["at_hash"]);
    assert_eq!(new.get("nonce"), None);
    let narrowed = token(&server, &refresh(&second.text("refresh_token"), "&scope=api")).await;
    assert_eq!((narrowed.status.as_u16(), narrowed.json().get("id_token")), (200, None));

    let server = TestServer::builder().client(app()).refresh_tokens(true).refresh_id_tokens(false).build();
    let first = redeem(&server, &alice(&server, "").await, "").await;
    let second = token(&server, &refresh(&first.text("refresh_token"), "")).await;
    assert_eq!((second.status.as_u16(), second.json().get("id_token")), (200, None));
}

#[tokio::test(start_paused = true)]
async fn who_gets_an_id_token() {
    let server = TestServer::builder().client(app()).build();
    let answer = redeem(&server, &alice(&server, "scope=api").await, "").await;
    assert_eq!(answer.json().get("id_token"), None, "openid was not asked for");
    let answer = token(&server, "grant_type=client_credentials&client_id=app&client_secret=secret&scope=openid").await;
    assert_eq!((answer.status.as_u16(), answer.json().get("id_token")), (200, None), "nobody has signed in");

    let begin = form(server.device_authorization_endpoint(), "client_id=app&client_secret=secret&scope=openid");
    let device = authorize(&server, begin).await.unwrap();
    server.approve_device_as(&device.text("user_code"), "bob");
    let grant = "grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=app&client_secret=secret";
    let answer = token(&server, &format!("{grant}&device_code={}", device.text("device_code"))).await;
    let claims = decoded(&answer.text("id_token")).claims;
    assert_eq!((&claims["sub"], &claims["aud"], claims.get("sid")), (&json!("bob"), &json!("app"), None));

    let key = TestKey::generate(Algorithm::Es256);
    server.trust_issuer(oauth_test_server::TrustedIssuer::new("https://other.test").key(&key));
    let assertion = key.sign(&json!({
        "iss": "https://other.test", "sub": "dave", "aud": server.issuer(), "exp": server.unix_time().as_secs() + 60,
    }));
    let grant =
        "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&client_id=app&client_secret=secret&scope=openid";
    let answer = token(&server, &format!("{grant}&assertion={assertion}")).await;
    assert_eq!(decoded(&answer.text("id_token")).claims["sub"], "dave");

    let claims = decoded(&server.issue_id_token("app", "carol").unwrap()).claims;
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!("carol"), &json!("app")));
    assert_eq!(server.issue_id_token("nobody", "carol"), None);
}

fn userinfo(server: &TestServer, token: &str) -> http::Request<Full<Bytes>> {
    let mut request = get(server.userinfo_endpoint());
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

#[tokio::test(start_paused = true)]
async fn userinfo_tells_what_the_scopes_open() {
    let user = User::new("alice")
        .claim("name", "Alice")
        .claim("email", "alice@example.com")
        .claim("department", "tea")
        .claim("preferred_username", Value::Null);
    let server = TestServer::builder().client(app()).user(user.clone()).build();
    for (scope, claims) in [
        ("openid", json!({ "sub": "alice", "department": "tea" })),
        ("openid+profile", json!({ "sub": "alice", "department": "tea", "name": "Alice" })),
        ("openid+email", json!({ "sub": "alice", "department": "tea", "email": "alice@example.com" })),
    ] {
        let access = redeem(&server, &alice(&server, &format!("scope={scope}")).await, "").await.text("access_token");
        let answer = authorize(&server, userinfo(&server, &access)).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.json()), (200, claims), "{scope}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let access = redeem(&server, &alice(&server, "").await, "").await.text("access_token");
    server.set_userinfo("sub", "mallory");
    assert_eq!(authorize(&server, userinfo(&server, &access)).await.unwrap().text("sub"), "mallory");
    server.revoke(&access);
    let answer = authorize(&server, userinfo(&server, &access)).await.unwrap();
    answer.assert_error(401, "invalid_token");
    assert!(answer.header("www-authenticate").starts_with("Bearer realm=\"userinfo\", error=\"invalid_token\""));
    let access = redeem(&server, &alice(&server, "scope=api").await, "").await.text("access_token");
    authorize(&server, userinfo(&server, &access)).await.unwrap().assert_error(403, "insufficient_scope");
    let answer = authorize(&server, get(server.userinfo_endpoint())).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "Bearer realm=\"userinfo\""));
    assert_eq!(server.counters().userinfo_requests, 7);

    // Without registered users everybody is somebody.
    let server = TestServer::builder().client(app()).build();
    let access = redeem(&server, &alice(&server, "scope=openid+profile+email").await, "").await.text("access_token");
    let everybody = json!({
        "sub": "alice", "name": "alice", "preferred_username": "alice", "email": "alice@example.com",
        "email_verified": true,
    });
    assert_eq!(authorize(&server, userinfo(&server, &access)).await.unwrap().json(), everybody);

    let signed = app().userinfo_algorithm(Algorithm::Es256);
    let server = TestServer::builder().client(signed).user(user).claims_in_id_tokens().build();
    let answer = redeem(&server, &alice(&server, "scope=openid").await, "").await;
    assert_eq!(decoded(&answer.text("id_token")).claims["department"], "tea");
    let answer = authorize(&server, userinfo(&server, &answer.text("access_token"))).await.unwrap();
    assert_eq!(answer.header("content-type"), "application/jwt");
    let jwt = decoded(std::str::from_utf8(&answer.body).unwrap());
    let claims = json!({ "iss": server.issuer(), "aud": "app", "sub": "alice", "department": "tea" });
    assert_eq!((jwt.claims, &jwt.header["alg"]), (claims, &json!("ES256")));
}

#[tokio::test(start_paused = true)]
async fn userinfo_takes_a_token_that_is_bound_to_a_key() {
    let server = TestServer::builder().client(app()).dpop().build();
    let key = TestKey::generate(Algorithm::Es256);
    let send = async |mut request: http::Request<Full<Bytes>>, token: Option<&str>, jti: &str| {
        let url = request.uri().to_string();
        let mut claims = json!({
            "htm": request.method().as_str(), "htu": url, "iat": server.unix_time().as_secs(), "jti": jti,
        });
        if let Some(token) = token {
            let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
            claims["ath"] = json!(base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, hash));
            request.headers_mut().insert("authorization", format!("DPoP {token}").parse().unwrap());
        }
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.public_jwk() });
        request.headers_mut().insert("dpop", key.sign_with(&header, &claims).parse().unwrap());
        authorize(&server, request).await.unwrap()
    };
    let code = parameter(&alice(&server, "").await, "code").unwrap();
    let redeemed = form(server.token_endpoint(), &format!("{}&code={code}", redemption()));
    let access = send(redeemed, None, "1").await.text("access_token");
    assert_eq!(send(get(server.userinfo_endpoint()), Some(&access), "2").await.text("sub"), "alice");
    send(get(server.userinfo_endpoint()), Some(&access), "2").await.assert_error(401, "invalid_dpop_proof");
    let answer = authorize(&server, userinfo(&server, &access)).await.unwrap();
    assert!(answer.header("www-authenticate").starts_with("DPoP realm=\"userinfo\""));
}
