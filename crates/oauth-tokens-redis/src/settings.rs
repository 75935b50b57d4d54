//! What all connections of a store have in common.

use std::{fmt, time::Duration};

use oauth_tokens::Secret;

use crate::tls::Tls;

pub(crate) struct Settings {
    pub(crate) user: Option<String>,
    /// Read for each connection.
    pub(crate) password: Option<Secret>,
    pub(crate) database: u16,
    pub(crate) tls: Option<Tls>,
    /// Plain connections to other machines are allowed.
    pub(crate) plain_anywhere: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) operation_timeout: Duration,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("password", &self.password)
            .field("database", &self.database)
            .field("tls", &self.tls.is_some())
            .field("plain_anywhere", &self.plain_anywhere)
            .field("connect_timeout", &self.connect_timeout)
            .field("operation_timeout", &self.operation_timeout)
            .finish()
    }
}
