//! Callbacks that are no answer to what was asked: each is refused, and nothing is redeemed.

use std::time::Duration;

use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind, PendingSignIn};
use serde_json::json;
use tests::{
    canned::{self, Canned},
    support::shown,
};
use tokio::time::advance;

use super::{CODE, ISSUER, REDIRECT, approved, begin, finish, forms_at, generous, metadata_with, public, server};

/// What comes back, in the words of the one who sends it: `$S` stands for the state.
fn query(pending: &PendingSignIn, template: &str) -> String {
    template.replace("$S", pending.state())
}

#[tokio::test]
async fn l2_callbacks_with_another_state_or_another_issuer() {
    let promised = metadata_with(&json!({ "authorization_response_iss_parameter_supported": true }));
    let silent = metadata_with(&json!({ "authorization_response_iss_parameter_supported": false }));
    // (what the metadata say, the callback, whether the code is redeemed)
    let cases = [
        (&silent, "code=c&state=$S", true),
        (&silent, "code=c&state=$S&iss=https://id.test", true),
        (&promised, "code=c&state=$S&iss=https://id.test", true),
        (&promised, "code=c&state=$S&iss=https%3A%2F%2Fid.test", true),
        (&promised, "code=c&state=$S", false),
        (&promised, "code=c&state=$S&iss=", false),
        (&silent, "code=c&state=$S&iss=https://evil.test", false),
        (&promised, "code=c&state=$S&iss=https://id.test/", false),
        (&promised, "code=c&state=$S&iss=HTTPS://ID.TEST", false),
        (&promised, "code=c&state=$S&iss=https://id.test%00", false),
        (&silent, "code=c", false),
        (&silent, "code=c&state=", false),
        (&silent, "code=c&state=$Sx", false),
        (&silent, "code=c&state=x$S", false),
        (&silent, "code=c&state=%20$S", false),
        (&silent, "code=c&state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false),
        (&silent, "state=$S", false),
        (&silent, "code=&state=$S", false),
        (&silent, "code=a%0d%0ab&state=$S", false),
        (&silent, "code=%C3%A4&state=$S", false),
        (&silent, "response=eyJ.eyJ.c2ln", false),
        // An error that is not for us is not the server's word.
        (&silent, "error=access_denied&state=x", false),
        (&silent, "error=access_denied", false),
        (&promised, "error=access_denied&state=$S", false),
        (&promised, "error=access_denied&state=$S&iss=https://evil.test", false),
    ];
    for (metadata, template, redeemed) in cases {
        let canned = server(metadata.clone(), |_| canned::token("t1"));
        let client = public(&canned);
        let pending = begin(&client.sign_in(REDIRECT)).await.expect("begun").pending;
        let query = query(&pending, template);
        let result = finish(&client, pending, &query).await;
        assert_eq!(forms_at(&canned, "/token").len(), usize::from(redeemed), "{template}");
        match result {
            Ok(_) => assert!(redeemed, "{template}"),
            Err(error) => {
                assert!(!redeemed, "{template}: {error}");
                assert_eq!((error.kind(), error.oauth()), (ErrorKind::InvalidCallback, None), "{template}: {error}");
                assert!(!error.is_transient() && error.to_string().contains("begin anew"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn l2_the_servers_errors_are_typed() {
    use ErrorKind::{AccessDenied, InteractionRequired, OAuth};
    let cases = [
        ("access_denied", AccessDenied, false),
        ("login_required", InteractionRequired, false),
        ("interaction_required", InteractionRequired, false),
        ("consent_required", InteractionRequired, false),
        ("account_selection_required", InteractionRequired, false),
        ("invalid_request", OAuth, false),
        ("unauthorized_client", OAuth, false),
        ("invalid_scope", OAuth, false),
        ("invalid_target", OAuth, false),
        ("server_error", OAuth, true),
        ("temporarily_unavailable", OAuth, true),
        ("unmet_authentication_requirements", OAuth, true),
    ];
    let canned = generous();
    let client = public(&canned);
    for (code, kind, transient) in cases {
        let pending = begin(&client.sign_in(REDIRECT)).await.expect("begun").pending;
        let template = format!("error={code}&error_description=because+of+it&error_uri=https://id.test/e&state=$S");
        let query = query(&pending, &template);
        let error = finish(&client, pending, &query).await.expect_err(code);
        assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{code}");
        let oauth = error.oauth().expect("the server's word");
        assert_eq!((oauth.code.as_str(), oauth.description.as_deref()), (code, Some("because of it")));
        assert_eq!(oauth.uri.as_deref(), Some("https://id.test/e"));
        for part in [code, "because of it", ISSUER, "\"app\""] {
            assert!(error.to_string().contains(part), "{part} in {error}");
        }
    }
    assert!(forms_at(&canned, "/token").is_empty());
}

#[tokio::test]
async fn s1_text_in_a_callback_is_cleaned_and_echoes_are_redacted() {
    let canned = generous();
    let client = public(&canned);
    let begun = begin(&client.sign_in(REDIRECT).scope("openid")).await.expect("begun");
    let nonce = begun.get("nonce").expect("a nonce").to_owned();
    let (state, long) = (begun.pending.state().to_owned(), "x".repeat(2000));
    let fields = serde_json::to_value(&begun.pending).expect("serialised");
    let verifier = fields[3].as_str().expect("a verifier").to_owned();
    let query = format!(
        "error=e-{state}&error_description=%1b[31m{state}+{nonce}+{verifier}%0a%E2%80%AE{long}&error_uri={nonce}&state={state}"
    );
    let error = finish(&client, begun.pending, &query).await.expect_err("an error");
    let text = shown(&error);
    for secret in [&state, &nonce, &verifier] {
        assert!(!text.contains(secret.as_str()), "{text}");
    }
    let description = error.oauth().and_then(|oauth| oauth.description.clone()).expect("a description");
    assert!(!description.contains(|c: char| c.is_control() || c == '\u{202e}'), "{description}");
    assert!(description.ends_with('…') && description.chars().count() < 600, "cut");
    assert!(description.starts_with("\\u{1b}[31m[redacted] [redacted] [redacted]"), "{description}");
}

#[tokio::test(start_paused = true)]
async fn l2_a_pending_sign_in_is_good_for_ten_minutes() {
    for (after, redeemed) in [(598, true), (601, false), (86_400, false)] {
        let canned = generous();
        let client = public(&canned);
        let pending = begin(&client.sign_in(REDIRECT)).await.expect("begun").pending;
        assert!(!pending.is_expired() && pending.expires_in() <= Duration::from_secs(600));
        advance(Duration::from_secs(after)).await;
        assert_eq!(pending.is_expired(), !redeemed, "{after}");
        let query = approved(&pending);
        let result = finish(&client, pending, &query).await;
        assert_eq!(result.is_ok(), redeemed, "{after}");
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::InvalidCallback);
        }
        assert_eq!(forms_at(&canned, "/token").len(), usize::from(redeemed));
    }
}

/// Mix-up (RFC 9700, section 4.4): a code goes to the server that the sign-in was begun at, by the client that began it.
#[tokio::test]
async fn l2_another_server_or_client_cannot_finish() {
    let at = |canned: &Canned, issuer: &str| AuthorizationServer::via(canned.http()).issuer(issuer).expect("a server");
    let canned = generous();
    let client = public(&canned);
    let pending = begin(&client.sign_in(REDIRECT)).await.expect("begun").pending;
    let query = approved(&pending);
    let by_token_endpoint =
        AuthorizationServer::via(canned.http()).token_endpoint("https://id.test/token").expect("a server");
    let others = [
        at(&canned, "https://evil.test").client("app", ClientAuth::none()),
        at(&canned, "https://id.test/").client("app", ClientAuth::none()),
        at(&canned, ISSUER).client("app2", ClientAuth::none()),
        by_token_endpoint.client("app", ClientAuth::none()),
    ];
    for other in others {
        let other = other.expect("a client");
        let error = finish(&other, pending.clone(), &query).await.expect_err("another");
        assert_eq!(error.kind(), ErrorKind::InvalidCallback, "{other:?}");
    }
    assert!(forms_at(&canned, "/token").is_empty());
    // The same client in another process.
    let again = public(&canned);
    let form = finish(&again, pending, &query).await.map(|_| forms_at(&canned, "/token")).expect("tokens");
    assert_eq!(super::value(&form[0], "code"), Some(CODE));
}

#[tokio::test]
async fn l2_servers_that_differ_by_a_query_or_an_override_are_not_mixed_up() {
    let canned = generous();
    let at = |policy: &str| {
        AuthorizationServer::via(canned.http())
            .override_endpoint("authorization_endpoint", "https://id.test/authorize")
            .token_endpoint(&format!("https://id.test/token?p={policy}"))
    };
    let overridden = |endpoint: &str| {
        AuthorizationServer::via(canned.http()).override_endpoint("token_endpoint", endpoint).issuer(ISSUER)
    };
    let pairs = [(at("a"), at("b")), (overridden("https://one.test/token"), overridden("https://two.test/token"))];
    for (one, other) in pairs {
        let client =
            |server: Result<AuthorizationServer, _>| server.and_then(|server| server.client("app", ClientAuth::none()));
        let (one, other) = (client(one).expect("a client"), client(other).expect("a client"));
        let pending = begin(&one.sign_in(REDIRECT)).await.expect("begun").pending;
        let shown = serde_json::to_string(&pending).expect("it is kept");
        assert!(!shown.contains("p=a"), "a query may be a secret");
        let error = finish(&other, pending.clone(), &approved(&pending)).await.expect_err("another server");
        assert_eq!(error.kind(), ErrorKind::InvalidCallback, "{error}");
    }
    assert!(forms_at(&canned, "/token").is_empty());
}

/// An issuer that stands for any tenant: the tenant's own comes back, if it is one that is trusted.
#[tokio::test]
async fn l2_the_iss_of_a_tenant() {
    let template = "https://id.test/{tenantid}/v2.0";
    let canned = server(metadata_with(&json!({ "issuer": template })), |_| canned::token("t1"));
    let at = AuthorizationServer::via(canned.http()).accept_metadata_issuer(template).issuer(ISSUER).expect("a server");
    let client = at.client("app", ClientAuth::none()).expect("a client").trust_tenant("ours");
    let cases = [("ours", true), ("theirs", false), ("%7Btenantid%7D", false)];
    for (tenant, is_trusted) in cases {
        let pending = begin(&client.sign_in(REDIRECT).scope("api")).await.expect("begun").pending;
        let query = format!("{}&iss=https://id.test/{tenant}/v2.0", approved(&pending));
        let finished = finish(&client, pending, &query).await;
        assert_eq!(
            finished.as_ref().err().map(|error| error.kind()),
            (!is_trusted).then_some(ErrorKind::InvalidCallback),
            "{tenant}"
        );
    }
}

/// A server that was given without an issuer has none that an `iss` could be compared with.
#[tokio::test]
async fn l2_an_issuer_that_cannot_be_compared_is_refused() {
    let canned = generous();
    let at = AuthorizationServer::via(canned.http())
        .override_endpoint("authorization_endpoint", "https://id.test/authorize")
        .token_endpoint("https://id.test/token")
        .expect("a server");
    let client = at.client("app", ClientAuth::none()).expect("a client");
    let pending = begin(&client.sign_in(REDIRECT)).await.expect("begun").pending;
    let query = format!("{}&iss={ISSUER}", approved(&pending));
    let error = finish(&client, pending, &query).await.expect_err("whose is it?");
    assert_eq!(error.kind(), ErrorKind::InvalidCallback);
    assert!(error.to_string().contains("issuer"), "{error}");
}
