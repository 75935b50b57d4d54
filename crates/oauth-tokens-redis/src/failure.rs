//! Why the store could not be asked.

use std::{error::Error, fmt, io, sync::Arc};

use redis::{ErrorKind, RedisError};

use crate::address::Address;

/// Why the store could not be asked: shared by all who waited for the same connection.
///
/// It holds no text of the server's: a server that does not know a command repeats its arguments, passwords among them.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    at: Address,
    pub(crate) cause: Cause,
}

#[derive(Clone, Debug)]
pub(crate) enum Cause {
    Connect(Arc<io::Error>),
    ConnectTimeout,
    Login(Refusal),
    /// The password could not be read.
    Password(oauth_tokens::Error),
    /// The connection ended before the answer came: whether the command was carried out is not known.
    Lost,
    Timeout,
    /// The key lives on this node.
    Moved(Address),
    /// For this once, the key is on this node.
    Ask(Address),
    Refused(Refusal),
    /// A node of a cluster names one that must not be connected to.
    PlainRedirect(Address),
    Redirects,
    NoRuntime,
}

/// An answer of another type than the command has.
#[derive(Debug)]
pub(crate) struct Unexpected;

/// A server's no, by its code.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(String);

impl Failure {
    pub(crate) fn new(at: &Address, cause: Cause) -> Self {
        Self { at: at.clone(), cause }
    }

    /// What a command's error means.
    pub(crate) fn of_command(at: &Address, error: &RedisError) -> Self {
        let redirect = error.redirect_node().and_then(|(to, _)| Address::redirected(to, at));
        let cause = match (error.kind(), redirect, error.code()) {
            (ErrorKind::Server(redis::ServerErrorKind::Moved), Some(to), _) => Cause::Moved(to),
            (ErrorKind::Server(redis::ServerErrorKind::Ask), Some(to), _) => Cause::Ask(to),
            (_, _, Some(code)) => Cause::Refused(Refusal::new(code)),
            _ => Cause::Lost,
        };
        Self::new(at, cause)
    }

    /// What the error of a new connection means: its login is refused, or it is none.
    pub(crate) fn of_login(at: &Address, error: RedisError) -> Self {
        let cause = match (error.kind(), error.code()) {
            (ErrorKind::AuthenticationFailed, _) => Cause::Login(Refusal::new("WRONGPASS")),
            (_, Some(code)) => Cause::Login(Refusal::new(code)),
            // A certificate that the server refuses is known only now.
            _ => Cause::Connect(Arc::new(io_error(&error))),
        };
        Self::new(at, cause)
    }

    /// A connection after this is not to be used again.
    pub(crate) fn ends_connection(&self) -> bool {
        match &self.cause {
            Cause::Lost | Cause::Timeout => true,
            // A master that became a replica: its name may lead to the new one.
            Cause::Refused(refusal) => matches!(refusal.0.as_str(), "READONLY" | "MASTERDOWN" | "NOAUTH"),
            _ => false,
        }
    }

    /// Another node, or a new connection, may know better.
    pub(crate) fn is_of_connection(&self) -> bool {
        matches!(self.cause, Cause::Connect(_) | Cause::ConnectTimeout | Cause::Lost) || self.ends_connection()
    }

    /// The runtime works, at least.
    pub(crate) fn may_heal(&self) -> bool {
        !matches!(self.cause, Cause::NoRuntime)
    }

    pub(crate) fn is_redirect(&self) -> bool {
        matches!(self.cause, Cause::Moved(_) | Cause::Ask(_))
    }

    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.cause, Cause::Lost)
    }

    pub(crate) fn is_wrong_type(&self) -> bool {
        matches!(&self.cause, Cause::Refused(refusal) if refusal.0 == "WRONGTYPE")
    }
}

/// What the system or TLS says, which knows nothing of the conversation.
fn io_error(error: &RedisError) -> io::Error {
    match error.source().filter(|_| error.is_io_error()) {
        Some(cause) => io::Error::other(cause.to_string()),
        None => io::Error::new(io::ErrorKind::InvalidData, "what it answers is no Redis protocol"),
    }
}

impl Refusal {
    fn new(code: &str) -> Self {
        let is_code =
            (1..=32).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        Self(if is_code { code.to_owned() } else { "an unknown error".to_owned() })
    }

    /// What to do about it.
    fn advice(&self) -> &'static str {
        match self.0.as_str() {
            "NOAUTH" | "WRONGPASS" => ": check the user and the password",
            "NOPERM" => ": the user's ACL does not allow a command or a key that is needed (see RedisStore)",
            "READONLY" => ": this is a replica, the master is elsewhere",
            "OOM" => ": its memory is full",
            "MISCONF" => ": it cannot write to its disk",
            "LOADING" => ": it is starting",
            "CLUSTERDOWN" => ": its cluster has no majority, or slots that nobody serves",
            "CROSSSLOT" => ": it is a proxy that does not know hash tags",
            _ => "",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = &self.at;
        match &self.cause {
            Cause::Connect(_) => write!(f, "Redis at {at} cannot be connected to"),
            Cause::ConnectTimeout => write!(f, "Redis at {at} did not take a connection in time"),
            Cause::Login(refusal) => {
                write!(f, "Redis at {at} refused the login with {}{}", refusal.0, refusal.advice())
            }
            Cause::Password(_) => write!(f, "the password of Redis at {at} cannot be read"),
            Cause::Lost => write!(f, "Redis at {at} closed the connection"),
            Cause::Timeout => write!(f, "Redis at {at} did not answer in time"),
            Cause::Moved(to) | Cause::Ask(to) => write!(f, "Redis at {at} names {to} instead"),
            Cause::Refused(refusal) => write!(f, "Redis at {at} refused with {}{}", refusal.0, refusal.advice()),
            Cause::PlainRedirect(to) => write!(
                f,
                "Redis at {at} names {to} instead, and plain redis:// is for this machine only: use rediss://"
            ),
            Cause::Redirects => write!(f, "the nodes of the cluster, {at} last, name each other"),
            Cause::NoRuntime => write!(f, "there is no tokio runtime here with time and I/O, to ask Redis at {at}"),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Connect(error) => Some(&**error),
            Cause::Password(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis answered with something else than was asked for: is it Redis?")
    }
}

impl Error for Unexpected {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_a_code_is_a_word_of_redis_or_unknown() {
        for code in ["WRONGPASS", "ERR", "MY_CODE"] {
            assert_eq!(Refusal::new(code).0, code);
        }
        for text in ["", "s3cr3t", "WRONG PASS", "A:B", "ERR1", "\u{c4}", &"A".repeat(33)] {
            assert_eq!(Refusal::new(text).0, "an unknown error", "{text}");
        }
    }
}
