//! Timers, where the runtime has one.

use std::{panic::catch_unwind, pin::Pin, time::Duration};

use tokio::time::Sleep;

/// None where nothing would drive it: tokio panics then, and cannot be asked beforehand.
pub(crate) fn sleep(delay: Duration) -> Option<Pin<Box<Sleep>>> {
    catch_unwind(|| Box::pin(tokio::time::sleep(delay))).ok()
}
