//! In place of `tls` where that feature is off: there is no such thing.

use std::io;

use tokio::net::TcpStream;

use crate::certificate::PresentedCertificate;

#[derive(Debug)]
pub(crate) enum Authority {}

impl Authority {
    pub(crate) fn generate() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn certificate_pem(&self) -> &str {
        match *self {}
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Tls {}

impl Tls {
    pub(crate) fn new(authority: &Authority, _: bool) -> io::Result<Self> {
        match *authority {}
    }

    pub(crate) async fn accept(&self, _: TcpStream) -> io::Result<(TcpStream, Option<PresentedCertificate>)> {
        match *self {}
    }
}
