//! T8 and T9: how a client says who it is, exactly one way in each request.

use http::header::AUTHORIZATION;
use oauth_test_server::{Client, TestServer};
use oauth_tokens::{
    AuthorizationServer, ClientAuth, Error, ErrorKind, Exchange, Form, Grant, HttpClient, TokenSet, TokenSource,
};
use tests::canned::{Canned, token};

use super::{TOKEN_ENDPOINT, client_at};

/// The one request that a client with this id and authentication makes: its `Authorization` header, and its body.
async fn sent(id: &str, auth: ClientAuth) -> (Option<String>, String) {
    let canned = Canned::always(token("t"));
    let server = AuthorizationServer::via(canned.http()).token_endpoint(TOKEN_ENDPOINT).expect("a server");
    let client = server.client(id, auth).expect("a client");
    client.client_credentials().fetch().await.expect("a token");
    let requests = canned.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].headers().get_all(AUTHORIZATION).iter().all(http::HeaderValue::is_sensitive));
    assert!(requests[0].headers().get_all(AUTHORIZATION).iter().count() <= 1);
    let header = requests[0].headers().get(AUTHORIZATION).map(|value| value.to_str().expect("ASCII").to_owned());
    (header, canned.bodies().remove(0))
}

#[tokio::test]
async fn t8_basic_credentials_are_form_encoded_before_base64() {
    let vectors = [
        // RFC 6749, section 2.3.1.
        ("s6BhdRkqt3", "gX1fBat3bV", "czZCaGRSa3F0MzpnWDFmQmF0M2JW"),
        ("~-._Az09", "~-._Az09", "fi0uX0F6MDk6fi0uX0F6MDk="),
        // odd%20id%3A1%2F%2B%25:s%20p%3Aa%2F%2B%25%C3%A9
        ("odd id:1/+%", "s p:a/+%é", "b2RkJTIwaWQlM0ExJTJGJTJCJTI1OnMlMjBwJTNBYSUyRiUyQiUyNSVDMyVBOQ=="),
        // a%26b%3Dc:%22%5C%3C%3E%23
        ("a&b=c", "\"\\<>#", "YSUyNmIlM0RjOiUyMiU1QyUzQyUzRSUyMw=="),
    ];
    for (id, secret, expected) in vectors {
        let (header, body) = sent(id, ClientAuth::secret_basic(secret)).await;
        assert_eq!(header.as_deref(), Some(format!("Basic {expected}").as_str()), "{id} {secret}");
        assert_eq!(body, "grant_type=client_credentials");
    }
}

#[tokio::test]
async fn t8_the_raw_quirk_sends_them_as_they_are() {
    let vectors = [("odd id/+%", "s p:a/+%é", "b2RkIGlkLyslOnMgcDphLyslw6k="), ("id", "a:b", "aWQ6YTpi")];
    for (id, secret, expected) in vectors {
        let (header, _) = sent(id, ClientAuth::secret_basic_raw(secret)).await;
        assert_eq!(header.as_deref(), Some(format!("Basic {expected}").as_str()), "{id} {secret}");
    }
}

#[tokio::test]
async fn t9_exactly_one_client_authentication_in_each_request() {
    let (header, body) = sent("m2m", ClientAuth::none()).await;
    assert_eq!((header, body.as_str()), (None, "grant_type=client_credentials&client_id=m2m"));

    let (header, body) = sent("odd id:1/+%", ClientAuth::secret_post("s p:a/+%é&x=y")).await;
    let expected = "grant_type=client_credentials&client_id=odd%20id%3A1%2F%2B%25\
                    &client_secret=s%20p%3Aa%2F%2B%25%C3%A9%26x%3Dy";
    assert_eq!((header, body.as_str()), (None, expected));

    for auth in [ClientAuth::secret_basic("s"), ClientAuth::secret_basic_raw("s")] {
        let (header, body) = sent("m2m", auth).await;
        assert!(header.is_some());
        assert_eq!(body, "grant_type=client_credentials");
    }
}

/// A grant that brings client authentication of its own.
struct Sneaky(&'static str);

impl Grant for Sneaky {
    fn grant_type(&self) -> &str {
        "client_credentials"
    }

    async fn redeem(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
        exchange.send(Form::new().with(self.0, "x")).await
    }
}

#[tokio::test]
async fn t9_a_grant_cannot_bring_another_authentication() {
    for name in ["client_id", "client_secret", "client_assertion", "client_assertion_type", "grant_type"] {
        let canned = Canned::always(token("t"));
        let error = client_at(&canned).grant(Sneaky(name)).fetch().await.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(canned.requests().is_empty(), "{name} was sent");
    }
}

#[tokio::test]
async fn t8_odd_ids_and_secrets_arrive_at_a_server_that_decodes_them() {
    let (id, secret) = ("odd id:1/+%", "s p:a/+%é&=\"");
    let server = TestServer::builder()
        .client(Client::new(id).secret(secret).scopes(["api"]))
        .client(Client::new("raw id/+%").secret(secret).raw_basic())
        .build();
    let http = HttpClient::new(server.authorization_service());
    let at = AuthorizationServer::via(http).token_endpoint(&server.token_endpoint()).expect("a server");
    for (id, auth) in [
        (id, ClientAuth::secret_basic(secret)),
        (id, ClientAuth::secret_post(secret)),
        ("raw id/+%", ClientAuth::secret_basic_raw(secret)),
    ] {
        let client = at.client(id, auth.clone()).expect("a client");
        client.client_credentials().fetch().await.unwrap_or_else(|error| panic!("{auth:?}: {error}"));
    }
    // The quirk is one: a server that decodes does not know the raw form, and the other way round.
    for (id, auth) in [("raw id/+%", ClientAuth::secret_basic(secret))] {
        let error = at.client(id, auth).expect("a client").client_credentials().fetch().await.expect_err("refused");
        assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_client"));
    }
}

#[tokio::test]
async fn t9_one_exchange_never_probes_with_another_style() {
    let server = TestServer::builder().build();
    let error = super::client_by(&server, ClientAuth::secret_post("wrong"))
        .client_credentials()
        .fetch()
        .await
        .expect_err("a wrong secret");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_client"));
    let text = error.to_string();
    for word in ["invalid_client", "client id", "secret_basic", "secret_post", "m2m", "client_secret_post"] {
        assert!(text.contains(word), "{word} is missing in: {text}");
    }
    assert_eq!(server.counters().token_requests, 1);
}
