//! What settings make.

use std::{cmp::Reverse, fmt, future::poll_fn, path::Path, pin::pin, task::Poll};

use http::Uri;
use oauth_tokens::TokenCache;

use super::{credential::CertificateFiles, origins::Protected};
use crate::{
    OAuthLayer, Origin,
    target::{Coverage, Destination, Located},
};

/// A layer made from an [`OAuthConfig`](crate::OAuthConfig), and the tokens behind it. Clones share them.
#[derive(Clone)]
pub struct ConfiguredLayer {
    pub(super) layer: OAuthLayer,
    pub(super) origins: Vec<Protected>,
    pub(super) root_certificates: Option<Vec<u8>>,
    pub(super) certificate_files: Option<CertificateFiles>,
}

impl ConfiguredLayer {
    /// The layer, to be put on as many services as you like.
    #[must_use]
    pub fn layer(&self) -> OAuthLayer {
        self.layer.clone()
    }

    /// Each origin, in the order of the settings, with the tokens that go there.
    pub fn tokens(&self) -> impl Iterator<Item = (&Origin, &TokenCache)> {
        self.origins.iter().map(|known| (&known.origin, &known.tokens))
    }

    /// The tokens that a request to this URL gets. None: no origin covers it, so it is sent without one.
    #[must_use]
    pub fn tokens_for(&self, url: &Uri) -> Option<&TokenCache> {
        let Located::Here(destination) = Destination::of_uri(url) else {
            return None;
        };
        let mut origins: Vec<_> = self.origins.iter().collect();
        // The longest path prefix goes first, as in the layer itself.
        origins.sort_by_key(|known| Reverse(known.origin.as_str().len()));
        let found = origins.iter().find_map(|known| match known.origin.coverage(&destination) {
            Coverage::No => None,
            Coverage::Yes => Some(Some(&known.tokens)),
            Coverage::MayLeave => Some(None),
        });
        found.flatten()
    }

    /// Waits until there is a usable token for every origin: for readiness checks. All are asked for at once.
    ///
    /// # Errors
    ///
    /// The first that occurs; see [`TokenCache::token`].
    pub async fn ready(&self) -> Result<(), oauth_tokens::Error> {
        let own = self.origins.iter().filter(|known| !known.shares);
        let mut waiting: Vec<_> = own.map(|known| Box::pin(known.tokens.ready())).collect();
        poll_fn(|cx| {
            let mut failed = None;
            waiting.retain_mut(|ready| match pin!(ready).poll(cx) {
                Poll::Pending => true,
                Poll::Ready(result) => {
                    failed = failed.take().or(result.err());
                    false
                }
            });
            match failed {
                Some(error) => Poll::Ready(Err(error)),
                None if waiting.is_empty() => Poll::Ready(Ok(())),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// The certificates of `server.root_certificates` (PEM), for a client of the API that is to trust them, too.
    #[must_use]
    pub fn root_certificates(&self) -> Option<&[u8]> {
        self.root_certificates.as_deref()
    }

    /// The files of `client.certificate` and `client.key` (PEM), with `tls_client_auth` and `self_signed_tls_client_auth`: for
    /// a client of the API that is to show the certificate, too, because tokens may be bound to it (RFC 8705, section 3).
    #[must_use]
    pub fn certificate_files(&self) -> Option<(&Path, &Path)> {
        self.certificate_files.as_ref().map(|files| (files.certificate.file.as_path(), files.key.file.as_path()))
    }
}

impl fmt::Debug for ConfiguredLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfiguredLayer")
            .field("layer", &self.layer)
            .field("root_certificates", &self.root_certificates.is_some())
            .field("certificate_files", &self.certificate_files())
            .finish()
    }
}
