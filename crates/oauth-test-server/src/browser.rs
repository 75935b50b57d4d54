//! A user before a browser, played.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower_service::Service;

use crate::authorize::{CONSENT, SIGN_IN, with_query};
use crate::body::ResponseBody;
use crate::form;
use crate::logout::END_SESSION;
use crate::page;
use crate::server::TestServer;
use crate::state::Shared;

/// The browser of a user, played without sockets: it goes to the server's pages, fills in their forms and
/// keeps their cookies, so that a second sign-in finds the session of the first.
///
/// ```
/// use oauth_test_server::{Client, TestServer};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> std::io::Result<()> {
/// let app = Client::new("app").secret("secret").redirect_uri("https://app.test/callback");
/// let server = TestServer::builder().client(app).build();
/// let url = format!("{}?response_type=code&client_id=app", server.authorization_endpoint());
///
/// let mut browser = server.browser();
/// let back = browser.authorize(&url, "alice").await?;
/// assert!(back.starts_with("https://app.test/callback?code="));
/// // Nobody is asked again.
/// let back = browser.authorize(&format!("{url}&prompt=none"), "alice").await?;
/// assert!(back.starts_with("https://app.test/callback?code="));
/// assert_eq!(server.counters().sign_ins, 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Browser {
    server: TestServer,
    cookies: BTreeMap<String, String>,
}

/// What its cookies open shows nowhere.
impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").field("cookies", &self.cookies.len()).finish_non_exhaustive()
    }
}

/// More pages than any way has.
const LONGEST: usize = 8;

impl Browser {
    pub(crate) fn new(server: TestServer) -> Self {
        Self { server, cookies: BTreeMap::new() }
    }

    /// Goes to the URL of an authorization request, as this user: signs in where the page asks for it, with
    /// the password that the user is registered with, and agrees to what is asked.
    ///
    /// Returns the URL that the browser is sent to, an error of the server (`?error=...`) among them. The
    /// parameters of a form (`response_mode=form_post`) are in its query, as if it were a redirect.
    ///
    /// # Errors
    ///
    /// When the server shows a page that says why it does not go on, or does not let the user in.
    pub async fn authorize(&mut self, url: &str, user: &str) -> io::Result<String> {
        self.walk(url, user, "allow").await
    }

    /// The same for a user who signs in and then does not agree. Consent that was given before is not
    /// asked for.
    ///
    /// # Errors
    ///
    /// As [`authorize`](Self::authorize).
    pub async fn deny(&mut self, url: &str, user: &str) -> io::Result<String> {
        self.walk(url, user, "deny").await
    }

    /// Goes to the URL of a logout request (OpenID Connect RP-Initiated Logout), and says yes if asked.
    /// Returns the URL that the browser is sent to; `None` if it stays.
    ///
    /// # Errors
    ///
    /// When the server shows a page that says why it does not go on.
    pub async fn end_session(&mut self, url: &str) -> io::Result<Option<String>> {
        let page = self.get(url).await?;
        let page = match page.hidden("confirmation") {
            Some(confirmation) => {
                let action = self.shared().endpoint_url(END_SESSION);
                self.post(&action, &[("confirmation", &confirmation), ("action", "sign-out")]).await?
            }
            None => page,
        };
        match page.location {
            None if page.status != StatusCode::OK => Err(page.refused()),
            location => Ok(location),
        }
    }

    /// Forgets all cookies, like a browser that was closed.
    pub fn clear_cookies(&mut self) {
        self.cookies.clear();
    }

    async fn walk(&mut self, url: &str, user: &str, decision: &str) -> io::Result<String> {
        let [sign_in, consent] = [SIGN_IN, CONSENT].map(|path| self.shared().endpoint_url(path));
        let password = self.shared().lock().users.get(user).and_then(|user| user.password);
        let mut page = self.get(url).await?;
        for _ in 0..LONGEST {
            if let Some(location) = page.location {
                return Ok(location);
            }
            if page.status != StatusCode::OK {
                return Err(page.refused());
            }
            let Some(action) = page.attribute("<form ", "action") else {
                return Err(page.refused());
            };
            let interaction = page.hidden("interaction").unwrap_or_default();
            page = if action == sign_in {
                let mut form = vec![("interaction", interaction.as_str()), ("action", "sign-in"), ("username", user)];
                form.extend(password.as_deref().map(|password| ("password", password)));
                self.post(&sign_in, &form).await?
            } else if action == consent {
                self.post(&consent, &[("interaction", &interaction), ("action", decision)]).await?
            } else {
                return Ok(with_query(&action, &form::encode(&page.all_hidden())));
            };
        }
        Err(page.refused())
    }

    fn shared(&self) -> &Shared {
        self.server.shared()
    }

    async fn get(&mut self, url: &str) -> io::Result<Shown> {
        self.send(Request::get(url), Bytes::new()).await
    }

    async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> io::Result<Shown> {
        let form: Vec<(String, String)> =
            form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let request = Request::post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, form::encode(&form).into()).await
    }

    async fn send(&mut self, mut request: http::request::Builder, body: Bytes) -> io::Result<Shown> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        let request = request.body(Full::new(body)).map_err(io::Error::other)?;
        let response = self.server.authorization_service().call(request).await?;
        self.keep_cookies(&response);
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Shown { status, location, html: String::from_utf8_lossy(&body).into_owned() })
    }

    fn keep_cookies(&mut self, response: &Response<ResponseBody>) {
        for header in response.headers().get_all(SET_COOKIE).iter().filter_map(|header| header.to_str().ok()) {
            let Some((name, value)) = header.split(';').next().and_then(|pair| pair.split_once('=')) else { continue };
            if header.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// An answer of the server. Its pages are known, so they need not be parsed like any other's.
struct Shown {
    status: StatusCode,
    location: Option<String>,
    html: String,
}

impl Shown {
    /// An attribute of the first element that begins so.
    fn attribute(&self, element: &str, name: &str) -> Option<String> {
        attribute(self.html.split_once(element)?.1, name)
    }

    fn hidden(&self, name: &str) -> Option<String> {
        self.all_hidden().into_iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    fn all_hidden(&self) -> Vec<(String, String)> {
        let inputs = self.html.split("<input type=\"hidden\" ").skip(1);
        inputs.filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?))).collect()
    }

    /// What the page says.
    fn refused(&self) -> io::Error {
        let alarm = self.html.split_once("role=\"alert\">").and_then(|(_, rest)| rest.split_once('<'));
        let why = alarm.map_or_else(String::new, |(alarm, _)| page::unescape(alarm));
        io::Error::other(format!("the server answers {}: {why}", self.status))
    }
}

fn attribute(element: &str, name: &str) -> Option<String> {
    let (element, _) = element.split_once('>')?;
    let (_, rest) = element.split_once(&format!("{name}=\""))?;
    Some(page::unescape(rest.split_once('"')?.0))
}
