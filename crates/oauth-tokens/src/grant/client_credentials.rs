use crate::{Error, Exchange, Form, Grant, TokenSet};

/// The client-credentials grant (RFC 6749, section 4.4): a service that acts for itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientCredentials;

impl Grant for ClientCredentials {
    fn grant_type(&self) -> &str {
        "client_credentials"
    }

    fn holds_state(&self) -> bool {
        false
    }

    async fn redeem(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
        exchange.send(Form::new()).await
    }

    async fn identity(&self) -> Result<Option<Form>, Error> {
        Ok(Some(Form::new()))
    }
}
