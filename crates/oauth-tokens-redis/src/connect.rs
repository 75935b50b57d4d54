//! A new connection to one node.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use redis::{
    AsyncConnectionConfig, RedisConnectionInfo, RedisResult,
    aio::{AsyncStream, MultiplexedConnection},
};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    address::Address,
    failure::{Cause, Failure},
    settings::Settings,
};

/// Connects, encrypts and logs in, within the time for it. To be run in a task of its own, which what drives the connection
/// then lives beside.
pub(crate) async fn connect(address: Address, settings: Arc<Settings>) -> Result<MultiplexedConnection, Failure> {
    let failed = |cause| Failure::new(&address, cause);
    let connecting = async {
        let who = who(&settings).await.map_err(|error| failed(Cause::Password(error)))?;
        let stream = open(&address, &settings).await.map_err(|error| failed(Cause::Connect(Arc::new(error))))?;
        log_in(stream, &who).await.map_err(|error| Failure::of_login(&address, error))
    };
    timeout(settings.connect_timeout, connecting).await.unwrap_or_else(|_| Err(failed(Cause::ConnectTimeout)))
}

type Stream = Box<dyn AsyncStream + Send + Unpin>;

async fn open(address: &Address, settings: &Settings) -> io::Result<Stream> {
    let stream = if address.is_localhost() {
        // No resolver has a say in what this machine is.
        let this_machine =
            [SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())), (Ipv6Addr::LOCALHOST, address.port()).into()];
        TcpStream::connect(&this_machine[..]).await?
    } else {
        TcpStream::connect((address.host(), address.port())).await?
    };
    stream.set_nodelay(true)?;
    Ok(match &settings.tls {
        Some(tls) => Box::new(tls.connect(address.host(), stream).await?),
        None => Box::new(stream),
    })
}

async fn log_in(stream: Stream, who: &RedisConnectionInfo) -> RedisResult<MultiplexedConnection> {
    // Each operation has a limit of its own.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let (connection, driver) = MultiplexedConnection::new_with_config(who, stream, config).await?;
    // It ends with the last handle of the connection.
    tokio::spawn(driver);
    Ok(connection)
}

async fn who(settings: &Settings) -> Result<RedisConnectionInfo, oauth_tokens::Error> {
    let who = RedisConnectionInfo::default()
        .set_db(settings.database.into())
        .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let who = match &settings.user {
        Some(user) => who.set_username(user),
        None => who,
    };
    Ok(match &settings.password {
        Some(password) => who.set_password(password.read("password of Redis").await?.as_str()),
        None => who,
    })
}
