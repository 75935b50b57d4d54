//! RFC 8693: what is exchanged for what.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use oauth_tokens::{
    AccessToken, ClientAuth, ErrorKind, Secret, SecurityToken, TokenCache, TokenExchange, TokenSource, TokenType,
};
use tests::{
    canned::{Canned, json, token},
    support::TempFolder,
};
use tokio::time::advance;

use super::{TOKEN, assert_is_example, client, form, m2m, value};

const TYPE: &str = "urn:ietf:params:oauth:token-type:";

#[tokio::test]
async fn exchange_is_the_example_of_rfc_8693_section_2_3() {
    let answer = r#"{
        "access_token": "eyJhbGciOiJFUzI1NiIsImtpZCI6IjllciJ9.eyJhdWQiOiJo.dHR",
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": 60
    }"#;
    let canned = Canned::always(json(200, answer));
    let tokens = client(&canned, "rs08", ClientAuth::secret_basic("long-secure-random-secret"))
        .token_exchange(SecurityToken::access_token("accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC"))
        .resource("https://backend.example.com/api")
        .fetch()
        .await
        .expect("a token");
    assert_is_example(
        &canned,
        TOKEN,
        Some("Basic cnMwODpsb25nLXNlY3VyZS1yYW5kb20tc2VjcmV0"),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange
         &resource=https%3A%2F%2Fbackend.example.com%2Fapi
         &subject_token=accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token",
    );
    assert_eq!(tokens.access_token.secret(), "eyJhbGciOiJFUzI1NiIsImtpZCI6IjllciJ9.eyJhdWQiOiJo.dHR");
    assert_eq!(tokens.issued_token_type, Some(TokenType::ACCESS_TOKEN));
    assert_eq!(tokens.expires_in, Some(Duration::from_secs(60)));
}

/// RFC 8693, appendix A.2.1.
#[tokio::test]
async fn exchange_with_an_actor_is_delegation() {
    let canned = Canned::always(token("t"));
    client(&canned, "app", ClientAuth::omitted())
        .token_exchange(SecurityToken::jwt("eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.eyJhdWQ.4rPRSWihQbpMIgAmAoqaJojAxj-p2X8_fAtAGTXrvMxU-eEZ"))
        .actor(SecurityToken::jwt("eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.eyJhdWQi.7YQ-3zPfhUvzje5oqw8COCvN5uP6NsKik9CVV6cAOf4QKgM-tKfiOwcgZoUuDL2tEs6tqPlcBlMjiSzEjm3yBg"))
        .requested_token_type(TokenType::JWT)
        .audience("urn:example:cooperation-context")
        .fetch()
        .await
        .expect("a token");
    assert_is_example(
        &canned,
        TOKEN,
        None,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange
         &audience=urn%3Aexample%3Acooperation-context
         &requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt
         &subject_token=eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.eyJhdWQ.4rPRSWihQbpMIgAmAoqaJojAxj-p2X8_fAtAGTXrvMxU-eEZ
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt
         &actor_token=eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.eyJhdWQi.7YQ-3zPfhUvzje5oqw8COCvN5uP6NsKik9CVV6cAOf4QKgM-tKfiOwcgZoUuDL2tEs6tqPlcBlMjiSzEjm3yBg
         &actor_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt",
    );
}

#[tokio::test]
async fn exchange_names_the_type_of_the_subject() {
    let fixed = TokenCache::fixed("s").expect("a token");
    let access = AccessToken::bearer("s").expect("a token");
    let other = TokenType::uri("urn:example:ticket").expect("a URI");
    let cases = [
        (SecurityToken::access_token("s"), "access_token"),
        (SecurityToken::refresh_token("s"), "refresh_token"),
        (SecurityToken::id_token("s"), "id_token"),
        (SecurityToken::jwt("s"), "jwt"),
        (SecurityToken::saml1("s"), "saml1"),
        (SecurityToken::saml2("s"), "saml2"),
        (SecurityToken::from(&fixed), "access_token"),
        (SecurityToken::from(&access), "access_token"),
        (SecurityToken::new(other, "s"), "urn:example:ticket"),
    ];
    for (subject, kind) in cases {
        let canned = Canned::always(token("t"));
        m2m(&canned).token_exchange(subject).fetch().await.expect("a token");
        let expected = if kind.contains(':') { kind.to_owned() } else { format!("{TYPE}{kind}") };
        let request = &canned.requests()[0];
        assert_eq!(value(request, "subject_token_type"), Some(expected));
        assert_eq!(value(request, "subject_token").as_deref(), Some("s"));
        assert_eq!(value(request, "actor_token_type"), None, "it stands with an actor only");
    }
}

#[tokio::test]
async fn exchange_may_have_several_audiences_and_resources() {
    let canned = Canned::always(token("t"));
    let request = m2m(&canned).token_exchange(SecurityToken::access_token("s"));
    request.audience("a").audience("b").resource("urn:r").resource("urn:q").fetch().await.expect("a token");
    let names: Vec<_> = form(&canned.bodies()[0]).into_iter().filter(|(name, _)| name != "subject_token").collect();
    for (name, value) in [("audience", "a"), ("audience", "b"), ("resource", "urn:r"), ("resource", "urn:q")] {
        assert!(names.contains(&(name.to_owned(), value.to_owned())), "{name}={value} is not in {names:?}");
    }
}

#[test]
fn exchange_token_types_are_absolute_uris() {
    for uri in ["urn:ietf:params:oauth:token-type:id-jag", "https://example.com/ticket?v=1", "x:y"] {
        assert_eq!(TokenType::uri(uri).expect("a URI").as_str(), uri);
    }
    for uri in ["", "jwt", "/jwt", "urn:a b", "urn:ä", "urn:a#b", "1:x", "https://user:pl4nt3d@example.com/"] {
        let error = TokenType::uri(uri).expect_err("no URI");
        assert_eq!(error.kind(), ErrorKind::Config, "{uri}");
        assert!(!error.to_string().contains("pl4nt3d"));
    }
    assert_eq!(TokenType::uri(TokenType::SAML2.as_str()).expect("a URI"), TokenType::SAML2);
}

#[tokio::test]
async fn exchange_refuses_what_cannot_be_sent_and_sends_nothing() {
    let canned = Canned::always(token("t"));
    for bad in ["", "a\nb", "\0"] {
        let subject = m2m(&canned).token_exchange(SecurityToken::access_token(bad)).cached().expect_err("unusable");
        let actor = m2m(&canned).token_exchange(SecurityToken::jwt("s")).actor(SecurityToken::jwt(bad));
        let actor = actor.issue().await.expect_err("unusable");
        assert_eq!((subject.kind(), actor.kind()), (ErrorKind::Config, ErrorKind::Config), "{bad:?}");
        assert!(subject.to_string().contains("subject token"), "{subject}");
        assert!(actor.to_string().contains("actor token"), "{actor}");
    }
    for name in ["subject_token", "actor_token", "requested_token_type", "subject_token_type", "actor_token_type"] {
        let request = m2m(&canned).token_exchange(SecurityToken::jwt("s")).param(name, "x");
        assert_eq!(request.cached().expect_err("the protocol's").kind(), ErrorKind::Config, "{name}");
    }
    assert!(canned.requests().is_empty());
}

/// T15: a subject may be a file that somebody else rotates, or a function.
#[tokio::test]
async fn t15_exchange_reads_files_and_functions_anew_for_each_exchange() {
    let canned = Canned::always(token("t"));
    let folder = TempFolder::new();
    let path = folder.write("subject", "first\n");
    let reads = Arc::new(AtomicU32::new(0));
    let actor = Secret::from_fn({
        let reads = reads.clone();
        move || {
            let read = reads.fetch_add(1, Relaxed);
            async move { Ok(format!("actor-{read}")) }
        }
    });
    let request = m2m(&canned).token_exchange(SecurityToken::jwt(Secret::file(&path)));
    let request = request.actor(SecurityToken::access_token(actor));
    request.fetch().await.expect("a token");
    folder.write("subject", "second\n");
    request.fetch().await.expect("a token");
    let sent: Vec<_> = canned.requests().iter().map(|r| (value(r, "subject_token"), value(r, "actor_token"))).collect();
    let pair = |subject: &str, actor: &str| (Some(subject.to_owned()), Some(actor.to_owned()));
    assert_eq!(sent, [pair("first", "actor-0"), pair("second", "actor-1")]);

    std::fs::remove_file(&path).expect("a file");
    let error = request.fetch().await.expect_err("no file");
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert!(error.is_transient() && error.to_string().contains("subject token file"), "{error}");
    assert_eq!(canned.requests().len(), 2, "nothing was sent");
}

#[tokio::test(start_paused = true)]
async fn t15_a_changed_subject_file_ends_the_waiting_after_a_permanent_error() {
    let canned = Canned::sequence([json(400, r#"{"error":"invalid_grant"}"#), token("t")]);
    let folder = TempFolder::new();
    let path = folder.write("subject", "expired");
    let tokens = m2m(&canned).token_exchange(SecurityToken::jwt(Secret::file(&path))).cached().expect("a request");
    tokens.token().await.expect_err("refused");
    advance(Duration::from_secs(2)).await;
    tokens.token().await.expect_err("remembered");
    assert_eq!(canned.requests().len(), 1);
    folder.write("subject", "another");
    advance(Duration::from_secs(1)).await;
    tokens.token().await.expect("the new subject, at once");
}

/// T5: what is no access token is never sent as a credential.
#[tokio::test(start_paused = true)]
async fn t5_n_a_is_for_handing_in_elsewhere_and_no_credential() {
    let answer = |kind: &str| {
        let kind = if kind.is_empty() { String::new() } else { format!(r#","token_type":"{kind}""#) };
        let issued = r#""issued_token_type":"urn:ietf:params:oauth:token-type:saml2","expires_in":300,"scope":"a b""#;
        json(200, format!(r#"{{"access_token":"PHNhbWw-","refresh_token":"r",{issued}{kind}}}"#))
    };
    for kind in ["N_A", "n_a", "N_a"] {
        let canned = Canned::always(answer(kind));
        let request = || {
            let request = m2m(&canned).token_exchange(SecurityToken::access_token("s"));
            request.requested_token_type(TokenType::SAML2)
        };
        let issued = request().issue().await.expect("a token");
        assert_eq!((issued.token.as_str(), issued.scope.as_deref()), ("PHNhbWw-", Some("a b")));
        assert_eq!(issued.issued_token_type, Some(TokenType::SAML2));
        assert_eq!(issued.expires_in, Some(Duration::from_secs(300)));
        assert_eq!(issued.refresh_token.as_deref().map(String::as_str), Some("r"));
        assert_eq!(value(&canned.requests()[0], "requested_token_type"), Some(format!("{TYPE}saml2")));

        let fetched = request().fetch().await.expect_err("no credential");
        let cached = request().cached().expect("a request").token().await.expect_err("no credential");
        assert_eq!((fetched.kind(), cached.kind()), (ErrorKind::InvalidResponse, ErrorKind::InvalidResponse), "{kind}");
    }
    // A credential may be handed in elsewhere, too.
    let canned = Canned::always(answer("Bearer"));
    let issued = m2m(&canned).token_exchange(SecurityToken::access_token("s")).issue().await.expect("a token");
    assert_eq!(issued.token.as_str(), "PHNhbWw-");
    for odd in ["", "mac", "pop"] {
        let canned = Canned::always(answer(odd));
        let error = m2m(&canned).token_exchange(SecurityToken::access_token("s")).issue().await.expect_err("odd");
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{odd:?}");
    }
    // And other grants know no such thing.
    let canned = Canned::always(answer("N_A"));
    let error = m2m(&canned).client_credentials().fetch().await.expect_err("no credential");
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    let error = m2m(&canned).jwt_bearer("j").fetch().await.expect_err("no credential");
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

#[tokio::test]
async fn t5_n_a_answers_that_hold_no_token_are_an_error() {
    let bodies = [
        r#"{"token_type":"N_A"}"#,
        r#"{"token_type":"N_A","access_token":""}"#,
        r#"{"token_type":"N_A","access_token":7}"#,
        r#"{"token_type":"N_A","access_token":"a","access_token":"b"}"#,
    ];
    for body in bodies {
        let canned = Canned::always(json(200, body));
        let error = m2m(&canned).token_exchange(SecurityToken::jwt("s")).issue().await.expect_err("no token");
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn t7_errors_of_an_exchange_are_the_servers_words() {
    // code, permanent
    let cases = [
        ("invalid_request", true),
        ("invalid_target", true),
        ("invalid_grant", true),
        ("invalid_client", true),
        ("unsupported_grant_type", true),
        ("invalid_scope", true),
        ("temporarily_unavailable", false),
        ("something_new", false),
    ];
    for (code, permanent) in cases {
        let canned = Canned::always(json(400, format!(r#"{{"error":"{code}","error_description":"no"}}"#)));
        let request = m2m(&canned).token_exchange(SecurityToken::access_token("s"));
        for error in [request.fetch().await.expect_err(code), request.issue().await.expect_err(code)] {
            assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some(code));
            assert_eq!(error.is_transient(), !permanent, "{code}");
            assert!(error.to_string().contains("token-exchange"), "{error}");
        }
    }
}

#[tokio::test]
async fn exchange_grants_can_be_made_without_a_client_first() {
    let canned = Canned::always(token("t"));
    m2m(&canned).grant(TokenExchange::new(SecurityToken::jwt("s"))).scope("api").fetch().await.expect("a token");
    assert_eq!(value(&canned.requests()[0], "scope").as_deref(), Some("api"));
}
