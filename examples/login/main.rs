//! A command-line tool whose user signs in: once in the browser, and then no more for as long as the tokens can be renewed.
//!
//! ```sh
//! cargo run -p examples --example login                 # all of it, by itself
//! cargo run -p examples --example login -- --browser    # the same, and you are the user
//! ```
//!
//! It needs nothing but this machine: an authorization server and an API are embedded, and the user is played unless you say
//! `--browser`. Against a server of yours, at which `http://127.0.0.1/callback` is registered for a public client, it is the tool
//! itself:
//!
//! ```sh
//! login --issuer https://id.example.com --client-id my-tool --api https://api.example.com/orders
//! login --issuer https://id.example.com --client-id my-tool --api https://api.example.com/orders --logout
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `tool.rs` | the tool: who is signed in, the call to the API, the sign-out |
//! | `keys.rs` | the folder and the key that the tokens are kept with |
//! | `args.rs` | what can be said on the command line |
//! | `demo.rs` | the embedded servers, and the user who is played |
//!
//! Without `--issuer`, the exit code is 0 only if all of it is as it should be.

mod args;
mod demo;
mod keys;
mod tool;

use anyhow::Result;
use clap::Parser;

use self::{
    args::{Args, Server},
    tool::Tool,
};

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let Some(server) = args.server() else { return demo::run(&args).await };
    let tool = Tool::new(server, &keys::folder(args.store.as_deref())?)?;
    if args.logout {
        return tool.sign_out().await;
    }
    tool.ready(args.way()).await?;
    tool.call().await
}
