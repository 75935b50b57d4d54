//! The userinfo endpoint (OpenID Connect Core section 5.3).

use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::api::{self, Admission};
use crate::body::ResponseBody;
use crate::id_token::JwtDraft;
use crate::incoming::Incoming;
use crate::respond;
use crate::state::overlay;

pub(crate) const USERINFO: &str = "/userinfo";

pub(crate) fn answer(incoming: &Incoming<'_>) -> Response<ResponseBody> {
    let grant = match api::signed_in(incoming, &mut Admission::default()) {
        Ok(grant) => grant,
        Err(refusal) => return *refusal,
    };
    let (shared, model) = (incoming.shared, &mut *incoming.shared.lock());
    let user = model.users.get(&grant.subject);
    let mut claims = user.map(|user| user.claims_for(|scope| grant.scopes.contains(scope))).unwrap_or_default();
    claims.insert("sub".to_owned(), json!(grant.subject));
    let client = model.clients.get(&grant.client_id).cloned();
    let signed = client.and_then(|client| Some((client.userinfo_algorithm?, client)));
    let Some((algorithm, client)) = signed else {
        overlay(&mut claims, &model.userinfo);
        return respond::no_store(respond::json(StatusCode::OK, &Value::Object(claims)));
    };
    claims.insert("iss".to_owned(), json!(shared.settings.issuer));
    claims.insert("aud".to_owned(), json!(client.id));
    overlay(&mut claims, &model.userinfo);
    let draft = JwtDraft::new("JWT", claims, model.signing_key(&client, algorithm));
    let jwt = model.tamper_userinfo.clone().sign(draft);
    respond::no_store(respond::content(StatusCode::OK, "application/jwt", ResponseBody::full(jwt)))
}
