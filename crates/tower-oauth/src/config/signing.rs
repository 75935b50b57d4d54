//! Assertions that a client signs itself, and private keys.

use oauth_tokens::{Algorithm, ClientAssertion, ClientAuth, KeySource, SigningKey};

use super::{
    ConfigError,
    outside::Outside,
    reader::{Table, Written},
    secret::SecretPlace,
};

pub(super) const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("RS256", Algorithm::Rs256),
    ("PS256", Algorithm::Ps256),
    ("EdDSA", Algorithm::EdDsa),
    ("Ed25519", Algorithm::Ed25519),
];

/// What an assertion says, and how it is signed.
pub(super) struct Signing {
    key_id: Option<Written>,
    algorithm: Option<Algorithm>,
    audience: Option<Written>,
    header_type: Option<Written>,
}

/// The same with what it is signed with.
pub(super) struct Signed {
    signing: Signing,
    with: With,
}

enum With {
    Key(SecretPlace),
    Secret(SecretPlace),
}

impl Signing {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let said = |key: &str| match table.text(key)? {
            Some(said) if said.text.chars().any(char::is_control) => Err(said.error("it holds a control character")),
            said => Ok(said),
        };
        Ok(Self {
            key_id: said("key_id")?,
            algorithm: table.get("algorithm").map(|place| place.choice(ALGORITHMS)).transpose()?,
            audience: said("assertion_audience")?,
            header_type: said("assertion_header_type")?,
        })
    }

    pub(super) fn by_key(self, key: SecretPlace) -> Signed {
        Signed { signing: self, with: With::Key(key) }
    }

    pub(super) fn by_secret(self, secret: SecretPlace) -> Signed {
        Signed { signing: self, with: With::Secret(secret) }
    }

    fn key_source(&self, place: &SecretPlace, outside: &Outside<'_>) -> Result<KeySource, ConfigError> {
        let Some(file) = place.file() else {
            return match private_key(place, outside)? {
                Some(key) => self.named(key),
                // It is never read.
                None => Ok(SigningKey::file("unread").into()),
            };
        };
        let mut key = SigningKey::file(file);
        if let Some(algorithm) = self.algorithm {
            key = key.with_algorithm(algorithm);
        }
        if let Some(key_id) = &self.key_id {
            key = key.with_key_id(&key_id.text);
        }
        Ok(key.into())
    }

    fn named(&self, mut key: SigningKey) -> Result<KeySource, ConfigError> {
        if let Some(algorithm) = self.algorithm {
            key = key.with_algorithm(algorithm).map_err(|error| ConfigError::of_tokens("client.algorithm", error))?;
        }
        if let Some(key_id) = &self.key_id {
            key = key.with_key_id(&key_id.text);
        }
        Ok(key.into())
    }
}

impl Signed {
    pub(super) fn path(&self) -> &str {
        let (With::Key(place) | With::Secret(place)) = &self.with;
        place.path()
    }

    pub(super) fn auth(&self, outside: &Outside<'_>) -> Result<ClientAuth, ConfigError> {
        let mut assertion = match &self.with {
            With::Key(place) => ClientAssertion::private_key(self.signing.key_source(place, outside)?),
            With::Secret(place) => ClientAssertion::shared_secret(place.secret(outside)?),
        };
        if let Some(audience) = &self.signing.audience {
            assertion = assertion.audience(&audience.text);
        }
        if let Some(header_type) = &self.signing.header_type {
            assertion = assertion.header_type(&header_type.text);
        }
        Ok(assertion.into())
    }
}

/// The key as it is now, PEM or JWK. None: it is not looked at.
pub(super) fn private_key(place: &SecretPlace, outside: &Outside<'_>) -> Result<Option<SigningKey>, ConfigError> {
    let parse = |text: String| match text.trim_start().starts_with('{') {
        true => SigningKey::from_jwk(&text),
        false => SigningKey::from_pem(&text),
    };
    place.value(outside)?.map(parse).transpose().map_err(|error| ConfigError::of_tokens(place.path(), error))
}
