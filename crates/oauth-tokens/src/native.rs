//! Sign-in for command-line tools and desktop programs, in the browser of the machine that they run on (RFC 8252): a listener on
//! a loopback address catches what the browser brings back.

mod browser;
mod door;
mod listener;
mod opener;
mod page;

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime},
};

use tokio::sync::mpsc;

use self::{
    door::{Arrival, Door, Expected},
    listener::Listener,
    opener::{NoBrowser, Opener},
    page::Pages,
};
use crate::{
    DeviceAuthorization, DeviceCode, Error, ErrorKind, IdToken, Prompt, SignInRequest, SignedIn, TokenClient,
    TokenRequest, TokenSet,
    clock::after,
    endpoint_url::{EndpointUrl, PlainHttp},
    sign_in::{random, revoke_detached},
    timer,
};

const TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long the last page waits to be fetched, so that a program which ends now leaves no broken one behind.
const FAREWELL: Duration = Duration::from_secs(2);

impl TokenClient {
    /// A user signs in, in the browser of this machine (RFC 8252): settings first, then [`run`](NativeSignIn::run).
    ///
    /// Register the client as a public one with the redirect URI `http://127.0.0.1/callback`, any port allowed (RFC 8252, section
    /// 7.3); where 127.0.0.1 cannot be had, it is `http://[::1]/callback`.
    ///
    /// ```no_run
    /// # async fn example(client: oauth_tokens::TokenClient) -> Result<(), oauth_tokens::Error> {
    /// let signed_in = client
    ///     .native_sign_in()
    ///     .scope("openid offline_access orders")
    ///     .application("acme")
    ///     .show_url(|url| eprintln!("Your browser opens. If it does not, open {url}"))
    ///     .or_device(|device| eprintln!("Open {} and enter {}", device.verification_uri(), device.user_code()))
    ///     .run()
    ///     .await?;
    /// println!("Welcome, {:?}", signed_in.id_token.as_ref().map(|user| user.subject()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn native_sign_in(&self) -> NativeSignIn {
        NativeSignIn {
            client: self.clone(),
            // The port is known when it listens.
            request: self.sign_in("http://127.0.0.1/callback"),
            device_request: self.device_authorization(),
            scopes: Vec::new(),
            max_age: None,
            form_post: false,
            timeout: TIMEOUT,
            opener: Opener::system(),
            show_url: None,
            or_device: None,
            pages: Pages::default(),
        }
    }
}

/// A sign-in in the browser of this machine: its settings; see [`TokenClient::native_sign_in`].
///
/// The browser is given an address on this machine, which sends it on to the authorization server. Others on the machine can see
/// that address on the browser's command line. It holds neither `state` nor `nonce`, and yields them once: to the browser that
/// opens it first, which gets a cookie; a callback is taken from that browser only (but see [`form_post`](Self::form_post)). What
/// others can do is to be first, and to sign in as somebody else: the user then sees a page that says so, and not the server's.
/// Show whose account it is ([`SignedIn::id_token`]) before anything is done with it. Browsers send the cookie to all ports of
/// the address, so what others serve there can read it, if it gets this browser to come by during the sign-in.
#[derive(Clone)]
#[must_use]
pub struct NativeSignIn {
    client: TokenClient,
    request: SignInRequest,
    device_request: TokenRequest<DeviceCode>,
    scopes: Vec<String>,
    max_age: Option<Duration>,
    form_post: bool,
    timeout: Duration,
    opener: Opener,
    show_url: Option<ShowUrl>,
    or_device: Option<ShowDevice>,
    pages: Pages,
}

type ShowUrl = Arc<dyn Fn(&str) + Send + Sync>;
type ShowDevice = Arc<dyn Fn(&DeviceAuthorization) + Send + Sync>;

/// What ends the wait.
enum Event {
    Arrived(Arrival),
    NoBrowser(NoBrowser),
}

impl NativeSignIn {
    /// Asks for a scope, or several separated by spaces; call it again for more. With `openid` among them, there is an ID token;
    /// with `offline_access`, as a rule, a refresh token.
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        self.request = self.request.scope(scope.as_ref());
        self.device_request = self.device_request.scope(scope.as_ref());
        self.scopes.push(scope.as_ref().to_owned());
        self
    }

    /// Names a resource that the tokens are for, an absolute URI; call it again for more (RFC 8707).
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        let resource = resource.into();
        self.request = self.request.resource(resource.clone());
        self.device_request = self.device_request.resource(resource);
        self
    }

    /// Names the audience, as Auth0 and others ask for it.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        let audience = audience.into();
        self.request = self.request.audience(audience.clone());
        self.device_request = self.device_request.audience(audience);
        self
    }

    /// As [`SignInRequest::prompt`]. Some servers give a refresh token only with [`Prompt::CONSENT`]. Not for the device flow.
    pub fn prompt(mut self, prompt: impl Into<Prompt>) -> Self {
        self.request = self.request.prompt(prompt);
        self
    }

    /// As [`SignInRequest::max_age`]. In the device flow the server is not told, as RFC 8628 has nothing for it; the ID token must
    /// prove it all the same.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.request = self.request.max_age(age);
        self.max_age = Some(age);
        self
    }

    /// As [`SignInRequest::login_hint`]. Not for the device flow.
    pub fn login_hint(mut self, hint: impl Into<String>) -> Self {
        self.request = self.request.login_hint(hint);
        self
    }

    /// As [`SignInRequest::acr_values`]. Not for the device flow.
    pub fn acr_values(mut self, values: impl AsRef<str>) -> Self {
        self.request = self.request.acr_values(values);
        self
    }

    /// As [`SignInRequest::param`]. Not for the device flow.
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request = self.request.param(name, value);
        self
    }

    /// As [`SignInRequest::pushed`].
    pub fn pushed(mut self) -> Self {
        self.request = self.request.pushed();
        self
    }

    /// As [`SignInRequest::form_post`]. The post comes without the cookie that tells the browser which opened the sign-in, so what
    /// is posted needs the right `state` only. Without this, posts are refused.
    pub fn form_post(mut self) -> Self {
        self.request = self.request.form_post();
        self.form_post = true;
        self
    }

    /// How long the user may take. Default: 5 minutes. After 10 minutes a callback is refused in any case (L2).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What this program is called on the page that the browser ends at. Default: `the application`.
    pub fn application(mut self, name: impl Into<String>) -> Self {
        self.pages.application = name.into();
        self
    }

    /// Is given the URL before the browser opens it, so that a user can open it by hand. It is good on this machine, while this
    /// waits, in the one browser that opens it first. Where no browser can be opened, and there is no [`or_device`](Self::or_device), this is what is left.
    pub fn show_url(mut self, show: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.show_url = Some(Arc::new(show));
        self
    }

    /// Opens the URL in place of the system's browser: an embedded view, a test. It is called on a thread of its own; what it
    /// returns as an error is as if there were no browser.
    pub fn open_with(mut self, open: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.opener = Opener::own(open);
        self
    }

    /// Where no browser can be opened (over ssh, in a container), the user signs in on another device (RFC 8628): this shows the
    /// code and where to enter it. The server must know device authorization.
    pub fn or_device(mut self, show: impl Fn(&DeviceAuthorization) + Send + Sync + 'static) -> Self {
        self.or_device = Some(Arc::new(show));
        self
    }

    /// Opens the browser, and waits until the user is back. Dropping the future ends it: nobody listens then.
    ///
    /// It listens on 127.0.0.1 (on `[::1]` where that cannot be), on a free port. What does not belong to this sign-in is refused
    /// with a page that says so, and the wait goes on; the first callback with the right `state`, from the browser that opened the
    /// sign-in, ends it, whatever it says.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Timeout`]: nobody came back in time.
    /// - [`ErrorKind::SignInCancelled`]: no browser can be opened, and there is neither [`or_device`](Self::or_device) nor
    ///   [`show_url`](Self::show_url); or there is no loopback address to listen on.
    /// - [`ErrorKind::InvalidEndpoint`]: the server's sign-in page is neither https nor on this machine (L1).
    /// - Whatever [`SignInRequest::begin`] and [`TokenClient::finish_sign_in`] say, or
    ///   [`DeviceAuthorization::wait`] where it comes to that.
    pub async fn run(&self) -> Result<SignedIn, Error> {
        let end = after(self.client.server().clock().now(), self.timeout);
        let left = || end.saturating_duration_since(self.client.server().clock().now());
        if self.or_device.is_some() && self.opener.unlikely().is_some() {
            return self.on_device(left()).await;
        }

        let listener = Listener::bind().await?;
        let started = self.request.clone().redirect_to(listener.url("/callback")).begin().await?;
        let (target, pending) = started.into_parts();
        check_target(&target)?;
        let (send, mut arrivals) = mpsc::channel(1);
        let state = pending.state().to_owned();
        let expected = Expected { start: random()?, target, state, may_post: self.form_post };
        let door = Door::new(listener.host(), expected, self.pages.clone(), send)?;
        let url = listener.url(door.start_path());
        if let Some(show) = &self.show_url {
            show(&url);
        }
        let mut opening = Some(self.opener.open(url));
        let mut serving = listener.serve(door.clone());

        let arrival = loop {
            let next = next_event(&mut arrivals, &mut opening);
            match serving.during(timer::timeout(left(), next)).await? {
                Some(Event::Arrived(arrival)) => break arrival,
                Some(Event::NoBrowser(_)) if self.or_device.is_some() => {
                    drop(serving);
                    return self.on_device(left()).await;
                }
                // They have the URL.
                Some(Event::NoBrowser(_)) if self.show_url.is_some() => {}
                Some(Event::NoBrowser(why)) => return Err(why.into_error()),
                None => return Err(self.nobody_came()),
            }
        };
        let result = serving.during(self.client.finish_sign_in(pending, &arrival.callback)).await;
        door.close(self.pages.outcome(&result));
        // Nobody to answer any more, if it fails: the window was closed.
        let _ = arrival.answer.send(());
        serving.during(timer::timeout(FAREWELL, door.said_farewell())).await?;
        result
    }

    /// The user signs in on another device, whatever this machine has (RFC 8628); see [`or_device`](Self::or_device).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when there is no [`or_device`](Self::or_device), or the scope `openid` is asked for at a server without
    /// an issuer, or [`max_age`](Self::max_age) without that scope; whatever [`TokenRequest::begin`] and
    /// [`DeviceAuthorization::wait`] say; [`ErrorKind::InvalidIdToken`], after which the tokens are revoked.
    pub async fn run_on_device(&self) -> Result<SignedIn, Error> {
        self.on_device(self.timeout).await
    }

    async fn on_device(&self, limit: Duration) -> Result<SignedIn, Error> {
        let show = self.or_device.as_ref().ok_or_else(|| {
            Error::config(
                "a sign-in on another device needs `or_device`, which shows the user code and where to enter it",
            )
        })?;
        let scope = self.scopes.join(" ");
        let is_openid = scope.split(' ').any(|scope| scope == "openid");
        self.request.check_openid(is_openid)?;
        let began = self.client.server().clock().wall();
        let mut device = self.device_request.begin().await?.give_up_after(limit);
        show(&device);
        let mut tokens = device.wait().await?;
        if !is_openid {
            // One that nobody asked for, and nobody has looked at.
            tokens.id_token = None;
            return Ok(SignedIn::on_another_device(tokens, None, scope));
        }
        let verified = self.verify(&tokens, began).await;
        if verified.is_err() {
            revoke_detached(&self.client, &tokens);
        }
        Ok(SignedIn::on_another_device(tokens, Some(verified?), scope))
    }

    /// Who signed in on another device.
    async fn verify(&self, tokens: &TokenSet, began: SystemTime) -> Result<IdToken, Error> {
        let raw = tokens.id_token.as_deref().ok_or_else(|| {
            let message = format!(
                "the device authorization of client {:?} brought no ID token, though `openid` was asked for: allow the client \
                 that scope",
                self.client.id()
            );
            Error::new(ErrorKind::InvalidIdToken, message)
        })?;
        let mut check = self.client.verify_id_token(raw).access_token(&tokens.access_token);
        if let Some(age) = self.max_age {
            check = check.max_age(age).requested_at(began);
        }
        check.verify().await
    }

    fn nobody_came(&self) -> Error {
        let message = format!(
            "nobody came back from the sign-in of client {:?} at {} within {:?}; begin anew",
            self.client.id(),
            self.client.server(),
            self.timeout
        );
        Error::new(ErrorKind::Timeout, message)
    }
}

/// L1, also where plain http to the server was allowed by name: that was for its endpoints.
fn check_target(url: &str) -> Result<(), Error> {
    EndpointUrl::parse(url, PlainHttp::LoopbackOnly).map(drop).map_err(|why| {
        Error::new(
            ErrorKind::InvalidEndpoint,
            format!("the server's sign-in page cannot be opened in a browser: {why}"),
        )
    })
}

/// A callback, or that there is no browser, which is known once.
async fn next_event(
    arrivals: &mut mpsc::Receiver<Arrival>,
    opening: &mut Option<impl Future<Output = Result<(), NoBrowser>> + Unpin>,
) -> Event {
    poll_fn(|cx| {
        if let Poll::Ready(Some(arrival)) = arrivals.poll_recv(cx) {
            return Poll::Ready(Event::Arrived(arrival));
        }
        let Some(future) = opening else { return Poll::Pending };
        match Pin::new(future).poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(opened) => {
                *opening = None;
                opened.map_or_else(|why| Poll::Ready(Event::NoBrowser(why)), |()| Poll::Pending)
            }
        }
    })
    .await
}

impl fmt::Debug for NativeSignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeSignIn")
            .field("request", &self.request)
            .field("timeout", &self.timeout)
            .field("or_device", &self.or_device.is_some())
            .finish_non_exhaustive()
    }
}
