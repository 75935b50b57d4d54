use std::{collections::BTreeMap, fmt};

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::{Error, ErrorKind};

/// More than any server sends, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// What the browser brought back to the redirect URI (RFC 6749, sections 4.1.2 and 4.1.2.1). Nothing in it is to be believed
/// before [`TokenClient::finish_sign_in`](crate::TokenClient::finish_sign_in) has judged it.
///
/// ```
/// use oauth_tokens::Callback;
///
/// let callback = Callback::from_query("code=SplxlOBeZQQYbYS6WxSbIA&state=af0ifjsldkj")?;
/// assert_eq!(callback.state(), Some("af0ifjsldkj"));
/// assert_eq!(format!("{callback:?}"), "Callback(code)");
///
/// assert!(Callback::from_query("code=one&code=two&state=af0ifjsldkj").is_err());
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
#[derive(Clone)]
pub struct Callback {
    parameters: BTreeMap<String, Zeroizing<String>>,
}

impl Callback {
    /// Reads the query of the URL that the browser came to, without the `?`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidCallback`] when it is longer than 16 KiB, is not percent-encoded UTF-8, holds a parameter twice
    /// (RFC 6749, section 3.1), a code and an error at once, or a token: that is for flows which send tokens through the
    /// browser (RFC 9700, section 2.1.2).
    pub fn from_query(query: &str) -> Result<Self, Error> {
        Self::read(query).map_err(|why| {
            let message = format!("what came to the redirect URI {why}; nothing was redeemed, begin the sign-in anew");
            Error::new(ErrorKind::InvalidCallback, message)
        })
    }

    /// Reads the body of the form that the browser posted (OAuth 2.0 Form Post Response Mode); see
    /// [`SignInRequest::form_post`](crate::SignInRequest::form_post).
    ///
    /// # Errors
    ///
    /// As [`from_query`](Self::from_query).
    pub fn from_form(body: &[u8]) -> Result<Self, Error> {
        // What is no UTF-8 has no place in a form, and is refused as such.
        Self::from_query(std::str::from_utf8(body).unwrap_or("%ff"))
    }

    fn read(query: &str) -> Result<Self, &'static str> {
        if query.len() > MAX_BYTES {
            return Err("is longer than 16 KiB");
        }
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs(query)? {
            if parameters.insert(name, Zeroizing::new(value)).is_some() {
                return Err("holds a parameter twice");
            }
        }
        // As if it were not there (RFC 6749, section 3.1).
        parameters.retain(|_, value| !value.is_empty());
        let has = |name: &str| parameters.contains_key(name);
        if has("access_token") || has("id_token") || has("refresh_token") {
            return Err("holds a token, which was not asked for there");
        }
        if has("code") && has("error") {
            return Err("holds a code and an error at once");
        }
        Ok(Self { parameters })
    }

    /// `state`, by which an application finds the pending sign-in, if it keeps several for one browser.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.get("state")
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(|value| value.as_str())
    }
}

/// The pairs of a query or a form, decoded.
pub(super) fn pairs(query: &str) -> Result<Vec<(String, String)>, &'static str> {
    query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn pair(pair: &str) -> Result<(String, String), &'static str> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    Ok((decoded(name)?, decoded(value)?))
}

fn decoded(text: &str) -> Result<String, &'static str> {
    let text = text.replace('+', " ");
    let is_cut =
        text.split('%').skip(1).any(|part| !part.bytes().take(2).all(|b| b.is_ascii_hexdigit()) || part.len() < 2);
    if is_cut {
        return Err("is not percent-encoded as it should be");
    }
    let decoded = percent_decode_str(&text).decode_utf8().map_err(|_| "is not UTF-8")?;
    Ok(decoded.into_owned())
}

/// What it holds is secret, or comes from anybody.
impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = ["code", "error"].into_iter().find(|name| self.get(name).is_some());
        write!(f, "Callback({})", what.unwrap_or("neither code nor error"))
    }
}
