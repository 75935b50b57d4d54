//! The closing lines of an example: what the servers counted, checked against what the program saw.

use anyhow::{Result, ensure};
use http::{Extensions, StatusCode};
use oauth_test_server::{Endpoint, TestServer};
use tower_oauth::RetryOutcome;

/// What the program saw of its calls: one [`see`](Self::see) for each answer.
#[derive(Debug, Default)]
pub struct Tally {
    calls: u64,
    succeeded: u64,
    retried: u64,
}

/// The closing lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Calls that the APIs served.
    pub succeeded: u64,
    /// Calls that they did not.
    pub failed: u64,
    /// Requests to the token endpoint.
    pub token_requests: u64,
    /// Requests that were sent again with a renewed token.
    pub retried: u64,
}

impl Tally {
    /// Takes note of the answer to one call.
    pub fn see(&mut self, status: StatusCode, extensions: &Extensions) {
        self.calls += 1;
        self.succeeded += u64::from(status.is_success());
        self.retried += u64::from(matches!(extensions.get(), Some(RetryOutcome::Retried)));
    }

    /// Prints the closing lines from the servers' own counters.
    ///
    /// # Errors
    ///
    /// When they are not as expected, or the program saw something else than the servers.
    pub fn close(&self, servers: &[&TestServer], expected: Numbers) -> Result<()> {
        let counted = self.counted(servers);
        println!("\ncalls succeeded: {}", counted.succeeded);
        println!("calls failed: {}", counted.failed);
        println!("token requests: {}", counted.token_requests);
        println!("retried after 401: {}", counted.retried);
        ensure!(counted == expected, "the numbers are not as they should be: expected {expected:?}");
        ensure!(
            (self.succeeded, self.retried) == (counted.succeeded, counted.retried),
            "the program saw {} successes and {} retries; the servers counted otherwise",
            self.succeeded,
            self.retried
        );
        Ok(())
    }

    fn counted(&self, servers: &[&TestServer]) -> Numbers {
        let sum = |count: fn(&TestServer) -> u64| servers.iter().map(|server| count(server)).sum();
        let succeeded = sum(served);
        Numbers {
            succeeded,
            failed: self.calls.saturating_sub(succeeded),
            token_requests: sum(|server| server.counters().token_requests),
            // No example gives up after a 401, so each of them was followed by a retry.
            retried: sum(|server| server.counters().api_unauthorized),
        }
    }
}

/// Says so when a call was retried; the layer leaves that in the response whenever the first answer was a 401.
#[must_use]
pub fn retried(extensions: &Extensions) -> &'static str {
    match extensions.get() {
        Some(RetryOutcome::Retried) => " (after a 401, with a renewed token)",
        Some(RetryOutcome::NotRetried(_)) => " (not retried)",
        None => "",
    }
}

/// The calls that an API served. A redirect is not an answer yet: the next request brings it.
fn served(server: &TestServer) -> u64 {
    let counters = server.counters();
    let is_redirect = |status: Option<StatusCode>| status.is_some_and(|status| status.is_redirection());
    let requests = server.requests_to(Endpoint::Api);
    let redirects = requests.iter().filter(|request| is_redirect(request.status)).count() as u64;
    (counters.api_accepted + counters.api_public).saturating_sub(redirects)
}
