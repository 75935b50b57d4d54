//! `[grant]`: what is handed in for a token.

use oauth_tokens::{
    Error, Grant as TokenGrant, Secret, SecurityToken, TokenCache, TokenClient, TokenRequest, TokenType,
};

use super::{
    ConfigError,
    asked::Asked,
    names::Keys,
    outside::Outside,
    reader::{Place, Table, listed},
    secret::{SecretPlace, UNREAD},
};

pub(super) const KEYS: Keys = &[
    "type",
    "token",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
    "assertion",
    "scope",
    "resource",
    "audience",
    "authorization_details",
    "parameters",
    "accept_claims_challenges",
];

pub(super) const TYPES: &[(&str, Type)] = &[
    ("client_credentials", Type::ClientCredentials),
    ("refresh_token", Type::RefreshToken),
    ("token_exchange", Type::TokenExchange),
    ("jwt_bearer", Type::JwtBearer),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    ClientCredentials,
    RefreshToken,
    TokenExchange,
    JwtBearer,
}

const GOES_WITH: &[(&str, &[Type])] = &[
    ("token", &[Type::RefreshToken]),
    ("subject_token", &[Type::TokenExchange]),
    ("subject_token_type", &[Type::TokenExchange]),
    ("actor_token", &[Type::TokenExchange]),
    ("actor_token_type", &[Type::TokenExchange]),
    ("requested_token_type", &[Type::TokenExchange]),
    ("assertion", &[Type::JwtBearer]),
];

/// How tokens are obtained.
pub(super) struct Grant {
    kind: Kind,
    pub(super) asked: Asked,
    accepts_claims: bool,
}

enum Kind {
    ClientCredentials,
    /// As the settings have it; each rotated one is in memory only.
    RefreshToken(String),
    TokenExchange {
        subject: SecurityToken,
        actor: Option<SecurityToken>,
        requested: Option<TokenType>,
    },
    JwtBearer(Secret),
}

pub(super) fn read(table: &Table<'_>, client: &TokenClient, outside: &Outside<'_>) -> Result<Grant, ConfigError> {
    let kind = table.get("type").map_or(Ok(Type::ClientCredentials), |place| place.choice(TYPES))?;
    let secret = |key: &str| table.get(key).map(SecretPlace::read).transpose();
    let (token, subject, actor) = (secret("token")?, secret("subject_token")?, secret("actor_token")?);
    let assertion = secret("assertion")?;
    let token_type = |key: &str| table.get(key).map(token_type).transpose();
    let (subject_type, actor_type) = (token_type("subject_token_type")?, token_type("actor_token_type")?);
    let requested = token_type("requested_token_type")?;
    let asked = Asked::read(table)?;
    let accepts_claims = table.flag("accept_claims_challenges")?;
    table.refuse_besides("type", TYPES, kind, GOES_WITH)?;

    let missing = |key: &str, what: &str| {
        let message = format!(
            "it is missing: write where the {what} is, `{{ file = \"/run/secrets/NAME\" }}` or `{{ env = \"NAME\" }}`"
        );
        table.error(key, message)
    };
    let kind = match kind {
        Type::ClientCredentials => Kind::ClientCredentials,
        Type::RefreshToken => {
            let token = token.ok_or_else(|| missing("token", "refresh token"))?;
            Kind::RefreshToken(token.value(outside)?.unwrap_or_else(|| UNREAD.to_owned()))
        }
        Type::TokenExchange => {
            let subject = subject.ok_or_else(|| missing("subject_token", "token to be exchanged"))?;
            if actor.is_none() && actor_type.is_some() {
                return Err(table.error("actor_token_type", "there is no `actor_token`: give one, or remove this"));
            }
            let judge = |place: &SecretPlace, kind: Option<TokenType>| {
                let token = SecurityToken::new(kind.unwrap_or(TokenType::ACCESS_TOKEN), place.secret(outside)?);
                let judged = client.token_exchange(token.clone()).cached();
                judged.map(|_| token).map_err(|error| ConfigError::of_tokens(place.path(), error))
            };
            let subject = judge(&subject, subject_type)?;
            Kind::TokenExchange { subject, actor: actor.map(|actor| judge(&actor, actor_type)).transpose()?, requested }
        }
        Type::JwtBearer => {
            let place = assertion.ok_or_else(|| missing("assertion", "assertion"))?;
            let assertion = place.secret(outside)?;
            let judged = client.jwt_bearer(assertion.clone()).cached();
            judged.map_err(|error| ConfigError::of_tokens(place.path(), error))?;
            Kind::JwtBearer(assertion)
        }
    };
    asked.check(client)?;
    Ok(Grant { kind, asked, accepts_claims })
}

impl Grant {
    /// Whether each token set needs a grant of its own: a refresh token that rotates can be handed in only once.
    pub(super) fn is_for_one(&self) -> bool {
        matches!(self.kind, Kind::RefreshToken(_))
    }

    /// Whether it says who asks, so that the client need not.
    pub(super) fn names_the_client(&self) -> bool {
        matches!(self.kind, Kind::TokenExchange { .. } | Kind::JwtBearer(_))
    }

    pub(super) fn tokens(&self, client: &TokenClient, asked: &Asked) -> Result<TokenCache, Error> {
        match &self.kind {
            Kind::ClientCredentials => self.cached(client.client_credentials(), asked),
            Kind::RefreshToken(token) => self.cached(client.refresh_token(token.as_str()), asked),
            Kind::JwtBearer(assertion) => self.cached(client.jwt_bearer(assertion.clone()), asked),
            Kind::TokenExchange { subject, actor, requested } => {
                let mut request = client.token_exchange(subject.clone());
                if let Some(actor) = actor {
                    request = request.actor(actor.clone());
                }
                if let Some(requested) = requested {
                    request = request.requested_token_type(requested.clone());
                }
                self.cached(request, asked)
            }
        }
    }

    fn cached<G: TokenGrant>(&self, request: TokenRequest<G>, asked: &Asked) -> Result<TokenCache, Error> {
        let request = asked.ask(request);
        if self.accepts_claims { request.accept_claims_challenges() } else { request }.cached()
    }
}

/// By the last word of a registered identifier (RFC 8693, section 3), or by any URI.
pub(super) const TOKEN_TYPES: &[(&str, TokenType)] = &[
    ("access_token", TokenType::ACCESS_TOKEN),
    ("refresh_token", TokenType::REFRESH_TOKEN),
    ("id_token", TokenType::ID_TOKEN),
    ("jwt", TokenType::JWT),
    ("saml1", TokenType::SAML1),
    ("saml2", TokenType::SAML2),
];

fn token_type(place: &Place<'_>) -> Result<TokenType, ConfigError> {
    let written = place.text()?;
    if let Some((_, known)) = TOKEN_TYPES.iter().find(|(word, _)| *word == written.text) {
        return Ok(known.clone());
    }
    TokenType::uri(&written.text).map_err(|_| {
        let words = listed(TOKEN_TYPES.iter().map(|(word, _)| *word));
        written.error(format!("it must be one of {words}, or the URI of another type (RFC 8693, section 3)"))
    })
}
