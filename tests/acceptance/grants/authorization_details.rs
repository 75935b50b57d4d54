//! RFC 9396: what a token is good for, in detail.

use oauth_tokens::{ErrorKind, TokenSource};
use serde_json::{Value, json};
use tests::canned::{self, Canned, token};

use super::{m2m, value};

/// RFC 9396, section 2.
fn payment() -> Value {
    json!([{
        "type": "payment_initiation",
        "locations": ["https://example.com/payments"],
        "instructedAmount": { "currency": "EUR", "amount": "123.50" },
        "creditorName": "Merchant A",
        "creditorAccount": { "bic": "ABCIDEFFXXX", "iban": "DE02100100109307118603" },
        "remittanceInformationUnstructured": "Ref Number Merchant",
    }])
}

#[tokio::test]
async fn details_arrive_as_json_in_one_parameter() {
    let canned = Canned::always(token("t"));
    let request = m2m(&canned).client_credentials().scope("api").authorization_details(json!([{ "type": "old" }]));
    request.authorization_details(payment()).fetch().await.expect("a token");
    let sent = value(&canned.requests()[0], "authorization_details").expect("details");
    assert_eq!(serde_json::from_str::<Value>(&sent).expect("JSON"), payment());
    assert_eq!(canned.bodies()[0].matches("authorization_details").count(), 1);
}

#[tokio::test]
async fn details_go_with_any_grant() {
    let canned = Canned::always(token("t"));
    m2m(&canned).refresh_token("r").authorization_details(payment()).fetch().await.expect("a token");
    m2m(&canned).jwt_bearer("j").authorization_details(payment()).fetch().await.expect("a token");
    assert!(canned.requests().iter().all(|request| value(request, "authorization_details").is_some()));
}

#[tokio::test]
async fn details_that_are_none_are_refused_and_nothing_is_sent() {
    let canned = Canned::always(token("t"));
    let bad = [
        json!([]),
        json!({ "type": "payment_initiation" }),
        json!(["payment_initiation"]),
        json!([{}]),
        json!([{ "type": "" }]),
        json!([{ "type": 7 }]),
        json!([{ "type": "a" }, { "actions": ["b"] }]),
        json!("[{\"type\":\"a\"}]"),
        Value::Null,
    ];
    for details in bad {
        let request = || m2m(&canned).client_credentials().authorization_details(details.clone());
        assert_eq!(request().cached().expect_err("no details").kind(), ErrorKind::Config, "{details}");
        assert_eq!(request().fetch().await.expect_err("no details").kind(), ErrorKind::Config, "{details}");
    }
    let request = m2m(&canned).client_credentials().param("authorization_details", payment().to_string());
    assert_eq!(request.cached().expect_err("it has a method of its own").kind(), ErrorKind::Config);
    assert!(canned.requests().is_empty());
}

#[tokio::test]
async fn details_that_were_granted_can_be_read() {
    let granted = json!([{ "type": "payment_initiation", "actions": ["status"] }]);
    let cases =
        [(granted.clone(), Some(granted)), (json!([]), Some(json!([]))), (json!("[]"), None), (Value::Null, None)];
    for (said, read) in cases {
        let answer = json!({ "access_token": "t", "token_type": "Bearer", "authorization_details": said });
        let canned = Canned::always(canned::json(200, answer.to_string()));
        let tokens = m2m(&canned).client_credentials().fetch().await.expect("a token");
        assert_eq!(tokens.authorization_details, read, "{said}");
    }
}

#[tokio::test]
async fn details_are_shown_to_nobody() {
    let canned = Canned::always(token("t"));
    let request = m2m(&canned).client_credentials().authorization_details(payment());
    assert!(!format!("{request:?}").contains("DE0210"));
    let answer = json!({ "access_token": "t", "token_type": "Bearer", "authorization_details": payment() });
    let canned = Canned::always(canned::json(200, answer.to_string()));
    let tokens = m2m(&canned).client_credentials().fetch().await.expect("a token");
    assert!(!format!("{tokens:?}").contains("DE0210"));
}
