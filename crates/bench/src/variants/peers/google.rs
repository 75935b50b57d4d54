//! google-cloud-auth 1.18.0: `Credentials::headers`, of a user's account with a refresh token.
//!
//! On the path: a boxed future for each of two traits, a clone of the channel's receiver, a clone of the token, the
//! monotonic clock, the token formatted into a new header value, and a new header map for it. With the tag of the headers
//! that the caller still has, the last two are spared; a map of extensions for the tag is needed instead.
//!
//! Like ours: renewed ahead of expiry in a task of its own, whatever the callers do. Unlike ours: it hands out headers, and
//! the rest is up to the caller; a rejected token stays until it is nearly expired, as nobody can say that it was rejected.
//!
//! In its favour: these credentials have neither a quota project nor access boundaries, whose headers would come on top. It
//! gets its tokens over HTTP in no other way, so there is a token endpoint on loopback, asked once.

use google_cloud_auth::credentials::{CacheableResource, Credentials, EntityTag, user_account};
use http::{Extensions, HeaderMap, Request, Response};
use tower::ServiceExt as _;

use super::{End, Entry, Family, Sender, Sending, Setting, Tokens};
use crate::{BoxError, inner::Inner, poll, request::Body};

pub(super) const PLAIN: Entry = Entry {
    name: "google-cloud-auth",
    family: Family::Peer,
    retries: false,
    setup: "google-cloud-auth 1.18.0: `Credentials::headers` for each request, as its documentation shows.",
    make: |setting| Sending::boxed(Google { credentials: credentials(setting)?, end: Inner }, setting.shape),
};

pub(super) const TAGGED: Entry = Entry {
    name: "google-cloud-auth-tag",
    setup: "As *google-cloud-auth*; the caller keeps the headers, and asks with their tag whether they are still current.",
    make: |setting| {
        let google = Google { credentials: credentials(setting)?, end: Inner };
        Sending::boxed(Tagged { google, kept: None }, setting.shape)
    },
    ..PLAIN
};

fn credentials(setting: &Setting) -> Result<Credentials, BoxError> {
    let account = serde_json::json!({
        "type": "authorized_user", "client_id": "orders", "client_secret": "secret", "refresh_token": "refresh",
    });
    let endpoint = Tokens::new(vec![setting.token.clone()]).serve()?;
    poll::runtime()?.block_on(async {
        let credentials = user_account::Builder::new(account).with_token_uri(endpoint).build()?;
        credentials.headers(Extensions::new()).await?;
        Ok(credentials)
    })
}

#[derive(Clone)]
struct Google<E> {
    credentials: Credentials,
    end: E,
}

impl<E: End> Sender for Google<E> {
    #[inline]
    async fn send(&mut self, mut request: Request<Body>) -> Result<Response<Body>, BoxError> {
        if let CacheableResource::New { data, .. } = self.credentials.headers(Extensions::new()).await? {
            request.headers_mut().extend(data);
        }
        Ok(self.end.ready().await?.call(request).await?)
    }
}

#[derive(Clone)]
struct Tagged<E> {
    google: Google<E>,
    kept: Option<(EntityTag, HeaderMap)>,
}

impl<E: End> Sender for Tagged<E> {
    #[inline]
    async fn send(&mut self, mut request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let mut extensions = Extensions::new();
        if let Some((tag, _)) = &self.kept {
            extensions.insert(tag.clone());
        }
        if let CacheableResource::New { entity_tag, data } = self.google.credentials.headers(extensions).await? {
            self.kept = Some((entity_tag, data));
        }
        for (name, value) in self.kept.iter().flat_map(|(_, headers)| headers) {
            request.headers_mut().insert(name, value.clone());
        }
        Ok(self.google.end.ready().await?.call(request).await?)
    }
}
