//! L4: the end of a session, begun here or told by the server.

mod end_session;
mod tokens;
