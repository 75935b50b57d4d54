//! In a real browser: headless Chromium, as Debian has it, by WebDriver. Time is real here.
//!
//! Screenshots are left in `screenshots` of the target folder, for people to look at.

mod browser;
mod driver;
mod helpers;
mod login;
mod oidc;
mod test_server;
mod web_login;
