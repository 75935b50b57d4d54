//! The code for tokens (RFC 6749, section 4.1.3), and who signed in by them (OpenID Connect Core, section 3.1.3).

use std::{future::ready, time::Duration};

use super::PendingSignIn;
use crate::{Error, ErrorKind, Exchange, Form, IdToken, TokenClient, TokenHint, TokenSet, retry::Repeat, timer};

pub(super) async fn redeem(
    client: &TokenClient,
    pending: &PendingSignIn,
    code: &str,
    what: &str,
) -> Result<TokenSet, Error> {
    let mut resources = Form::new();
    for resource in &pending.asked.resources {
        resources.push("resource", resource);
    }
    let form = Form::new()
        .with("code", code)
        .with("redirect_uri", &pending.asked.redirect_uri)
        .with("code_verifier", pending.verifier.as_str());
    let known_secrets = [pending.state.as_str(), pending.nonce.as_str()];
    let exchange = Exchange::new(client, "authorization_code", &resources).redacting(&known_secrets);
    let redeemed = exchange.within_deadline(async {
        exchange
            .send_read(&|| Box::pin(ready(Ok(form.clone()))), Repeat::Never, &|answer| exchange.tokens(answer))
            .await
    });
    exchange.traced(redeemed, |tokens| tokens.expires_in).await.map_err(|error| lost(error, what))
}

/// Who signed in, if that was asked for.
pub(super) async fn verify(
    client: &TokenClient,
    pending: &PendingSignIn,
    tokens: &TokenSet,
    what: &str,
) -> Result<Option<IdToken>, Error> {
    if !pending.is_openid() {
        return Ok(None);
    }
    let raw = tokens.id_token.as_deref().ok_or_else(|| {
        let message = format!("{what} brought no ID token, though `openid` was asked for: allow the client that scope");
        Error::new(ErrorKind::InvalidIdToken, message)
    })?;
    let mut check = client.verify_id_token(raw).nonce(&pending.nonce).access_token(&tokens.access_token);
    if let Some(seconds) = pending.asked.max_age {
        check = check.max_age(Duration::from_secs(seconds)).requested_at(pending.began_at());
    }
    check.verify().await.map(Some)
}

/// An error after which a token request would be repeated. A code is not: the server may have seen it, and would take it for
/// stolen (RFC 6749, section 4.1.2).
fn lost(error: Error, what: &str) -> Error {
    let is_lost = match error.kind() {
        ErrorKind::Transport | ErrorKind::Timeout | ErrorKind::ServerUnavailable | ErrorKind::UnexpectedResponse => {
            true
        }
        ErrorKind::OAuth => error.is_transient(),
        _ => false,
    };
    if !is_lost {
        return error;
    }
    let message =
        format!("{what} failed at its end: its code could not be redeemed, and is not sent again; begin anew");
    let mut anew = Error::new(error.kind(), message).with_retry_after(error.retry_after());
    if let Some(status) = error.status() {
        anew = anew.with_status(status);
    }
    if let Some(oauth) = error.oauth() {
        anew = anew.with_oauth(oauth.clone());
    }
    anew.caused_by(error)
}

/// Nobody is to have these tokens. As best it can: whoever waits has an error already.
pub(crate) fn revoke_detached(client: &TokenClient, tokens: &TokenSet) {
    let Ok(runtime) = timer::runtime() else { return };
    let (client, tokens) = (client.clone(), tokens.clone());
    runtime.spawn(async move {
        if let Some(token) = &tokens.refresh_token {
            let _ = client.revoke(token.as_str()).hint(TokenHint::RefreshToken).await;
        }
        let _ = client.revoke(tokens.access_token.secret()).hint(TokenHint::AccessToken).await;
    });
}
