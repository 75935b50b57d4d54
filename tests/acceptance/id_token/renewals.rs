//! L4: ID tokens that come with a renewal (OpenID Connect Core 1.0, section 12.2).

use serde_json::json;

use super::{CLIENT, FORGER, KEY, NONCE, Provider, assert_refused, claims, now, verify, with};

#[tokio::test(start_paused = true)]
async fn l4_a_renewed_token_is_of_the_same_sign_in() {
    let client = Provider::new().client().trust_audience("api").trust_audience("other");
    let now = now().await;
    let first = with(
        &claims(now),
        json!({ "aud": ["api", CLIENT], "azp": CLIENT, "auth_time": now - 10, "exp": now + 60, "iat": now - 60 }),
    );
    let previous = verify(&client, &KEY.sign(&first)).await.expect("a good token");
    let renewed = with(&first, json!({ "iat": now, "exp": now + 300 }));
    let cases = [
        (json!({}), None),
        (json!({ "nonce": null }), None),
        (json!({ "auth_time": null }), None),
        (json!({ "aud": [CLIENT, "api"] }), None),
        (json!({ "iat": now - 90 }), None),
        (json!({ "email": "new@example.com" }), None),
        (json!({ "sub": "mallory" }), Some("`sub` is not that of")),
        (json!({ "iss": "https://id.test/" }), Some("`iss` is not the server's")),
        (json!({ "aud": CLIENT }), Some("`aud` is not that of")),
        (json!({ "aud": ["api", CLIENT, "other"] }), Some("`aud` is not that of")),
        (json!({ "aud": [CLIENT, CLIENT] }), Some("`aud` is not that of")),
        (json!({ "aud": CLIENT, "azp": null }), Some("`azp` is not that of")),
        (json!({ "nonce": "another" }), Some("`nonce` is that of another")),
        (json!({ "nonce": 7 }), Some("`nonce` is not a string")),
        (json!({ "auth_time": now - 11 }), Some("`auth_time` is not that of")),
        (json!({ "auth_time": now }), Some("`auth_time` is not that of")),
        (json!({ "iat": now - 91 }), Some("issued before")),
        (json!({ "exp": now - 30 }), Some("has expired")),
    ];
    for (changes, refused) in cases {
        let raw = KEY.sign(&with(&renewed, changes.clone()));
        let verified = client.verify_id_token(&raw).renews(&previous).verify().await;
        match refused {
            Some(why) => assert_refused(verified, &raw, why),
            None => drop(verified.unwrap_or_else(|error| panic!("{changes}: {error}"))),
        }
    }
    // A nonce of one's own is looked at all the same.
    let raw = KEY.sign(&renewed);
    client.verify_id_token(&raw).renews(&previous).nonce(NONCE).verify().await.expect("the nonce that was sent");
    let verified = client.verify_id_token(&raw).renews(&previous).nonce("another").verify().await;
    assert_refused(verified, &raw, "`nonce` is that of another");
    let raw = KEY.sign(&with(&renewed, json!({ "nonce": null })));
    let verified = client.verify_id_token(&raw).renews(&previous).nonce(NONCE).verify().await;
    assert_refused(verified, &raw, "has no `nonce`");
    let raw = FORGER.sign(&renewed);
    assert_refused(client.verify_id_token(&raw).renews(&previous).verify().await, &raw, "signature");
}

#[tokio::test(start_paused = true)]
async fn l4_what_the_first_token_did_not_say_the_next_cannot_make_up() {
    let client = Provider::new().client();
    let now = now().await;
    let first = with(&claims(now), json!({ "nonce": null }));
    let previous = client.verify_id_token(&KEY.sign(&first)).verify().await.expect("a good token");
    let cases = [
        (json!({}), None),
        // The user signed in before the first token was issued, whenever that was.
        (json!({ "auth_time": now }), None),
        (json!({ "auth_time": now + 30 }), None),
        (json!({ "nonce": NONCE }), Some("none is expected")),
        (json!({ "azp": CLIENT }), Some("`azp` is not that of")),
    ];
    for (changes, refused) in cases {
        let raw = KEY.sign(&with(&first, changes.clone()));
        let verified = client.verify_id_token(&raw).renews(&previous).verify().await;
        match refused {
            Some(why) => assert_refused(verified, &raw, why),
            None => drop(verified.unwrap_or_else(|error| panic!("{changes}: {error}"))),
        }
    }
    let earlier = with(&first, json!({ "iat": now - 60 }));
    let previous = client.verify_id_token(&KEY.sign(&earlier)).verify().await.expect("a good token");
    let raw = KEY.sign(&with(&first, json!({ "auth_time": now })));
    assert_refused(client.verify_id_token(&raw).renews(&previous).verify().await, &raw, "`auth_time` is not that of");
}
