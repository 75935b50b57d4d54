//! `[[origins]]`: where tokens go.

use oauth_tokens::{TokenCache, TokenClient};

use super::{
    ConfigError,
    asked::{self, Asked},
    grant::Grant,
    names::Keys,
    reader::{Place, Table, Written},
};
use crate::Origin;

pub(super) const KEYS: Keys = &[
    "url",
    "scope",
    "resource",
    "audience",
    "authorization_details",
    "parameters",
    "same_token_as",
    "dangerously_allow_plain_http",
];

/// An origin, and the tokens that go there.
#[derive(Clone)]
pub(super) struct Protected {
    pub(super) origin: Origin,
    pub(super) tokens: TokenCache,
    /// What they are asked for with.
    pub(super) asked: Asked,
    /// Whether they are those of an earlier origin.
    pub(super) shares: bool,
}

pub(super) fn read(root: &Table<'_>, client: &TokenClient, grant: &Grant) -> Result<Vec<Protected>, ConfigError> {
    let places = root.get("origins").map_or(Ok(Vec::new()), Place::items)?;
    if places.is_empty() {
        let message = "none is named: name at least one that gets the token, such as `https://api.example.com`";
        return Err(root.error("origins", message));
    }
    let mut origins: Vec<Protected> = Vec::new();
    for place in places {
        let (url, origin, table) = location(&place)?;
        if let Some(index) = origins.iter().position(|known| known.origin == origin) {
            return Err(url.error(format!("it is the same origin as `origins[{index}]`: remove one of them")));
        }
        let (tokens, asked, shares) = match table
            .as_ref()
            .map(|table| table.text("same_token_as"))
            .transpose()?
            .flatten()
        {
            Some(other) => {
                let known = shared(&other, table.as_ref(), &origins)?;
                (known.tokens.clone(), known.asked.clone(), true)
            }
            None if grant.is_for_one() && !origins.is_empty() => {
                let message = "a refresh token may be good for one exchange only, so there is one access token for all: add \
                               `same_token_as` with the first origin's URL, if all origins may see the same token";
                return Err(place.error(message));
            }
            None => {
                let (tokens, asked) = own(&place, table.as_ref(), client, grant)?;
                (tokens, asked, false)
            }
        };
        origins.push(Protected { origin, tokens, asked, shares });
    }
    Ok(origins)
}

/// A string is an origin without settings of its own.
fn location<'a>(place: &Place<'a>) -> Result<(Written, Origin, Option<Table<'a>>), ConfigError> {
    let (url, plain_http, table) = if place.is_text() {
        (place.text()?, false, None)
    } else {
        let table = place.table(KEYS)?;
        let url = table.text("url")?;
        let url = url.ok_or_else(|| table.error("url", "it is missing: give it as in `https://api.example.com`"))?;
        (url, table.flag("dangerously_allow_plain_http")?, Some(table))
    };
    let parse = if plain_http { Origin::parse_allowing_plain_http } else { Origin::parse };
    let origin = parse(&url.text).map_err(|error| url.error(error.to_string()))?;
    Ok((url, origin, table))
}

/// The earlier origin whose tokens are meant.
fn shared<'a>(
    other: &Written,
    table: Option<&Table<'_>>,
    origins: &'a [Protected],
) -> Result<&'a Protected, ConfigError> {
    if let Some(place) = table.and_then(|table| asked::KEYS.iter().find_map(|key| table.get(key))) {
        return Err(place.error("a token that is another origin's is asked for there: remove this, or `same_token_as`"));
    }
    let known = Origin::parse_allowing_plain_http(&other.text)
        .ok()
        .and_then(|other| origins.iter().find(|known| known.origin == other));
    known.ok_or_else(|| other.error("there is no earlier origin of this URL: write it as it is written there"))
}

/// Tokens of its own.
fn own(
    place: &Place<'_>,
    table: Option<&Table<'_>>,
    client: &TokenClient,
    grant: &Grant,
) -> Result<(TokenCache, Asked), ConfigError> {
    let asked = table.map_or(Ok(Asked::default()), Asked::read)?;
    asked.check(client)?;
    let asked = asked.or(&grant.asked);
    let tokens = grant.tokens(client, &asked).map_err(|error| ConfigError::of_tokens(place.path(), error))?;
    Ok((tokens, asked))
}
