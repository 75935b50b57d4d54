//! The browser of this machine, as far as there is one.

use std::{
    env, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use tokio::sync::oneshot;

use crate::{Error, ErrorKind};

type Open = dyn Fn(&str) -> io::Result<()> + Send + Sync;

/// What opens a URL.
#[derive(Clone)]
pub(super) struct Opener {
    open: Arc<Open>,
    is_system: bool,
}

/// Why there is no browser.
pub(super) struct NoBrowser(io::Error);

/// The attempt to open one.
pub(super) struct Opening(oneshot::Receiver<io::Result<()>>);

impl Opener {
    /// The default browser. No shell takes part: the URL is one argument of one program.
    pub(super) fn system() -> Self {
        Self { open: Arc::new(webbrowser::open), is_system: true }
    }

    pub(super) fn own(open: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self { open: Arc::new(open), is_system: false }
    }

    /// Why it is not even tried, if so: what would open has no screen, or not one that the user sees.
    pub(super) fn unlikely(&self) -> Option<NoBrowser> {
        if !self.is_system || has_screen(|name| env::var_os(name).is_some_and(|value| !value.is_empty())) {
            return None;
        }
        Some(NoBrowser(io::Error::other("no screen is known here (DISPLAY, WAYLAND_DISPLAY), and no BROWSER")))
    }

    /// Opens it on a thread of its own: a browser in the terminal is only done when the user is.
    pub(super) fn open(&self, url: String) -> Opening {
        let (send, receive) = oneshot::channel();
        if let Some(NoBrowser(why)) = self.unlikely() {
            let _ = send.send(Err(why));
            return Opening(receive);
        }
        let open = self.open.clone();
        // What is not sent, since there is no thread or it panics, is an error at the other end.
        let _ = thread::Builder::new().name("open-browser".to_owned()).spawn(move || send.send(open(&url)));
        Opening(receive)
    }
}

impl Future for Opening {
    type Output = Result<(), NoBrowser>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|opened| match opened {
            Ok(opened) => opened.map_err(NoBrowser),
            Err(_) => Err(NoBrowser(io::Error::other("what opens it has failed"))),
        })
    }
}

impl NoBrowser {
    pub(super) fn into_error(self) -> Error {
        let message = "no browser can be opened here: set BROWSER to one, run this where there is a screen, or sign in on \
                       another device (RFC 8628)";
        Error::new(ErrorKind::SignInCancelled, message).caused_by(self.0)
    }
}

/// Whether a browser has a screen, by the environment. `BROWSER` is the user's own word.
fn has_screen(is_set: impl Fn(&str) -> bool) -> bool {
    let remote = || is_set("SSH_CONNECTION") || is_set("SSH_TTY");
    if is_set("BROWSER") {
        true
    } else if cfg!(all(unix, not(any(target_os = "macos", target_os = "ios", target_os = "android")))) {
        // WSL opens the browser of Windows.
        is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") || (is_set("WSL_DISTRO_NAME") && !remote())
    } else {
        // It would open where nobody sits.
        !remote()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::has_screen;

    #[test]
    fn l1_no_browser_is_opened_where_nobody_sees_it() {
        let cases: [(&[&str], bool); 9] = [
            (&[], false),
            (&["SSH_CONNECTION", "SSH_TTY"], false),
            (&["DISPLAY"], true),
            (&["WAYLAND_DISPLAY"], true),
            // X11 is forwarded: the user sees it.
            (&["SSH_CONNECTION", "DISPLAY"], true),
            (&["BROWSER"], true),
            (&["BROWSER", "SSH_TTY"], true),
            (&["WSL_DISTRO_NAME"], true),
            (&["WSL_DISTRO_NAME", "SSH_CONNECTION"], false),
        ];
        for (set, expected) in cases {
            assert_eq!(has_screen(|name| set.contains(&name)), expected, "{set:?}");
        }
    }
}
