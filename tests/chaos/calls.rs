//! Callers: what they do, and what they make of what they get.

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, StatusCode};
use http_body_util::Full;
use oauth_test_server::TestServer;
use oauth_tokens::BoxError;
use tokio::time::{sleep, timeout, timeout_at};
use tower_oauth::{Error, ErrorKind};

use super::{
    lanes::{Answer, Lane},
    scout::Scout,
    tally::Tally,
    weather::{Reading, Weather},
};

/// Whoever is not cancelled has an answer by then: two exchanges of 10 s, and the API's own delays.
const PATIENCE: Duration = Duration::from_secs(30);
/// A token that is good for so much longer than a call took was good for it.
const MARGIN: Duration = Duration::from_millis(500);

/// How a call ends whose key finds no room in its pool, as all that are there are in use.
const NO_ROOM: &str = "no room in the pool";

/// What all callers share.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) scouts: Vec<Scout>,
    /// An API that none of the tokens is for.
    pub(crate) stranger: TestServer,
    pub(crate) weather: Weather,
    pub(crate) tally: Tally,
    pub(crate) over: AtomicBool,
}

/// A lane as a call found it.
struct Before {
    weather: Reading,
    usable_for: Option<Duration>,
    at: Instant,
}

/// Calls, and pauses, until all is over.
pub(crate) async fn caller(stage: Arc<Stage>, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    while !stage.over.load(Relaxed) {
        let pause = Duration::from_millis(rng.u64(..2000));
        tokio::select! {
            () = sleep(pause) => {}
            () = stage.weather.gust() => {}
        }
        // The first lane is everybody's; the others have a few callers each.
        let lane = if rng.u8(..3) == 0 { 0 } else { rng.usize(..stage.lanes.len()) };
        let lane = &stage.lanes[lane];
        match rng.u8(..20) {
            0 => visit(&stage, lane).await,
            1..=4 => cancelled_call(&stage, lane, &mut rng).await,
            _ => call(&stage, lane, &mut rng).await,
        }
    }
}

/// A call that is to end by itself, and how it should end.
async fn call(stage: &Stage, lane: &Lane, rng: &mut Rng) {
    let (request, echo) = request(lane, rng);
    let before = Before { weather: stage.weather.reading(), usable_for: lane.usable_for(), at: Instant::now() };
    let ended = timeout(PATIENCE, lane.send(request)).await;
    let is_calm = stage.weather.calm_since(before.weather);
    let Ok(outcome) = ended else {
        return stage.tally.violation(format_args!("{}: a call did not end in {PATIENCE:?}", lane.identity));
    };
    let name = match outcome {
        Ok(answer) => {
            check_answer(stage, lane, &answer, echo.as_ref());
            answer.status.to_string()
        }
        Err(error) => check_error(stage, lane, &before, &error),
    };
    if is_calm && name != StatusCode::OK.to_string() && !(name == NO_ROOM && lane.is_crowded()) {
        stage.tally.violation(format_args!("{}: {name}, in a calm; {}", lane.identity, lane.condition()));
    }
    stage.tally.call(name);
}

/// Whether the API has answered us, and not somebody else.
fn check_answer(stage: &Stage, lane: &Lane, answer: &Answer, echo: Option<&Bytes>) {
    if answer.status != StatusCode::OK {
        return;
    }
    if let Some(echo) = echo {
        return stage.tally.expect(answer.body == *echo, format_args!("{}: another body came back", lane.identity));
    }
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let seen = &told[lane.told_by];
    stage.tally.expect(*seen == *lane.identity, format_args!("{}: the API has seen {seen}", lane.identity));
}

fn check_error(stage: &Stage, lane: &Lane, before: &Before, error: &BoxError) -> String {
    let Some(error) = error.downcast_ref::<Error>() else { return "the API broke the connection".to_owned() };
    match (error.kind(), error.token_error().map(oauth_tokens::Error::kind)) {
        (_, Some(oauth_tokens::ErrorKind::PoolFull)) => NO_ROOM.to_owned(),
        (_, Some(oauth_tokens::ErrorKind::SignInRequired)) => {
            stage.tally.violation(format_args!("{}: a sign-in was lost: {}", lane.identity, why(error)));
            "sign-in lost".to_owned()
        }
        (ErrorKind::NoToken, _) => {
            let was_good = before.usable_for.is_some_and(|left| left > before.at.elapsed() + MARGIN);
            if was_good {
                stage.tally.violation(format_args!(
                    "{}: no token although there was one: {}",
                    lane.identity,
                    why(error)
                ));
            }
            "no token".to_owned()
        }
        (kind, _) => {
            stage.tally.violation(format_args!("{}: {error}", lane.identity));
            format!("{kind:?}")
        }
    }
}

/// An error with its causes.
fn why(error: &Error) -> String {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        why.push_str(&format!(": {error}"));
        cause = error.source();
    }
    why
}

/// A call that nobody waits for any more after a moment.
async fn cancelled_call(stage: &Stage, lane: &Lane, rng: &mut Rng) {
    let (request, _) = request(lane, rng);
    let moment = Duration::from_micros(rng.u64(..50_000));
    if timeout(moment, lane.send(request)).await.is_err() {
        stage.tally.call("cancelled");
    }
}

/// A request to a place that no token is for, the same way.
async fn visit(stage: &Stage, lane: &Lane) {
    let request = Request::get(stage.stranger.api_url("/public")).body(Full::default()).expect("a request");
    match lane.send(request).await {
        Ok(answer) if answer.status == StatusCode::OK => stage.tally.call("a stranger's 200"),
        Ok(answer) => stage.tally.violation(format_args!("the stranger answered {}", answer.status)),
        Err(error) => stage.tally.violation(format_args!("the stranger was not reached: {error}")),
    }
}

/// A GET, which tells who we are; or a POST, which comes back as it went.
fn request(lane: &Lane, rng: &mut Rng) -> (Request<Full<Bytes>>, Option<Bytes>) {
    if rng.bool() {
        let request = Request::get(lane.api.api_url("/who")).body(Full::default());
        return (request.expect("a request"), None);
    }
    let body: Bytes = (0..rng.usize(..4000)).map(|_| rng.u8(..)).collect();
    let request = Request::post(lane.api.api_url("/echo")).body(Full::new(body.clone()));
    (request.expect("a request"), Some(body))
}

/// Calls until it is answered as it should be and nothing is remembered of what failed, no longer than to that moment.
pub(crate) async fn recovers(lane: &Lane, by: Instant) -> bool {
    while Instant::now() < by {
        let request = Request::get(lane.api.api_url("/who")).body(Full::default()).expect("a request");
        if let Ok(Ok(answer)) = timeout_at(by.into(), lane.send(request)).await
            && answer.status == StatusCode::OK
            && !lane.is_failing()
        {
            return true;
        }
        sleep(Duration::from_millis(50)).await;
    }
    false
}
