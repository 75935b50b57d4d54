use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::id_token::JwtDraft;
use crate::session::secret;
use crate::state::{Model, Shared};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// OpenID Connect Back-Channel Logout section 2.4 recommends two minutes at most.
const LIFETIME: u64 = 120;

/// OpenID Connect Back-Channel Logout section 2.4.
pub(crate) fn logout_token(
    shared: &Shared,
    model: &mut Model,
    client: &Client,
    subject: Option<&str>,
    session_id: Option<&str>,
) -> String {
    let now = shared.clock.now().as_secs();
    let claims = [
        ("iss", Some(json!(shared.settings.issuer))),
        ("aud", Some(json!(client.id))),
        ("iat", Some(json!(now))),
        ("exp", Some(json!(now.saturating_add(LIFETIME)))),
        ("jti", Some(json!(secret()))),
        ("events", Some(json!({ EVENT: {} }))),
        ("sub", subject.map(|subject| json!(subject))),
        ("sid", session_id.map(|session_id| json!(session_id))),
    ];
    let claims: Map<String, Value> =
        claims.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    let draft = JwtDraft::new("logout+jwt", claims, model.signing_key(client, client.id_token_algorithm));
    model.tamper_logout_tokens.clone().sign(draft)
}
