//! The web application, for its `main` and for tests.
//!
//! | file | idea |
//! |---|---|
//! | `settings.rs` | what it is told |
//! | `app.rs` | how the parts are put together: the sign-in, the API, the routes |
//! | `pages.rs` | what the routes answer |
//! | `access.rs` | what can be said of a user's access token without showing it |
//! | `parcels.rs` | the API, called on the user's behalf |
//! | `local.rs` | servers on this machine, for those who have none |
//! | `demo.rs` | a visit, played |

mod access;
mod app;
mod demo;
mod local;
mod pages;
mod parcels;
mod settings;

pub use app::WebLogin;
pub use demo::demo;
pub use local::LocalServers;
pub use settings::Settings;
