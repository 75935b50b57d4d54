use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::certificate::PresentedCertificate;
use crate::faults::{Effect, Fault, Twist, disconnected};
use crate::incoming::Incoming;
use crate::record::Endpoint;
use crate::state::Shared;
use crate::{BoxError, api, authorization, dpop, logout};

/// The authorization server or the API, as a service without sockets.
///
/// It looks at a request's path and not at its host. Each call is one exchange; it begins when the
/// returned future is first polled.
#[derive(Clone, Debug)]
pub struct TestService {
    shared: Arc<Shared>,
    side: Side,
    certificate: Option<PresentedCertificate>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Side {
    Authorization,
    Api,
}

impl TestService {
    pub(crate) fn new(shared: Arc<Shared>, side: Side) -> Self {
        Self { shared, side, certificate: None }
    }

    /// The service of one connection, whose client has shown this certificate.
    pub(crate) fn of_connection(mut self, certificate: Option<PresentedCertificate>) -> Self {
        self.certificate = certificate;
        self
    }
}

impl<B> Service<Request<B>> for TestService
where
    B: Body<Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<ResponseBody>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Some(certificate) = &self.certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        Box::pin(exchange(self.shared.clone(), self.side, request))
    }
}

async fn exchange<B>(shared: Arc<Shared>, side: Side, request: Request<B>) -> io::Result<Response<ResponseBody>>
where
    B: Body<Error: Into<BoxError>>,
{
    let (parts, body) = request.into_parts();
    let endpoint = match side {
        Side::Api => Endpoint::Api,
        Side::Authorization => authorization::endpoint(&shared, parts.uri.path()),
    };
    let arrival = Arrival::note(&shared, endpoint, &parts);
    let response = carry_out(&arrival, side, &parts, body).await?;
    arrival.answered(&response);
    logout::deliver(&shared);
    Ok(response)
}

async fn carry_out<B>(arrival: &Arrival<'_>, side: Side, parts: &Parts, body: B) -> io::Result<Response<ResponseBody>>
where
    B: Body<Error: Into<BoxError>>,
{
    let shared = arrival.shared;
    let fault = arrival.fault.clone();
    let refused_by_fault = fault.as_ref().is_some_and(|fault| !fault.carries_out());
    let early = arrival.endpoint == Endpoint::Api && shared.settings.reject_early;
    let mut incoming = Incoming { shared, parts, number: arrival.number, same_token: false };
    let mut admission = api::Admission::default();
    if early
        && !refused_by_fault
        && let Err(mut refusal) = api::admit(&incoming, &mut admission)
    {
        dpop::offer_nonce(&incoming, side, &mut refusal);
        return Ok(*refusal);
    }
    let body = if early && refused_by_fault { Bytes::new() } else { arrival.read(body).await? };

    let twist = match fault {
        None => Twist::None,
        Some(fault) => match fault.apply(arrival.endpoint).await? {
            Effect::Answer(response) => return Ok(response),
            Effect::CarryOut(twist) => twist,
        },
    };
    incoming.same_token = twist == Twist::SameToken;
    let mut response = match arrival.endpoint {
        Endpoint::Api => api::answer(&incoming, &mut admission, body),
        endpoint => authorization::answer(&incoming, endpoint, &body),
    };
    if matches!(arrival.endpoint, Endpoint::Api | Endpoint::Token | Endpoint::PushedAuthorization | Endpoint::Userinfo)
    {
        dpop::offer_nonce(&incoming, side, &mut response);
    }
    if twist == Twist::LoseAnswer {
        return Err(disconnected());
    }
    Ok(response)
}

/// A request that has arrived, and where it is written down.
struct Arrival<'a> {
    shared: &'a Shared,
    endpoint: Endpoint,
    number: u64,
    fault: Option<Fault>,
}

impl<'a> Arrival<'a> {
    fn note(shared: &'a Shared, endpoint: Endpoint, parts: &Parts) -> Self {
        let mut model = shared.lock();
        model.counters.arrived(endpoint);
        let number = model.log.arrived(endpoint, parts);
        let fault = model.faults.get_mut(&endpoint).and_then(|queue| queue.next());
        drop(model);
        shared.arrivals.notify_waiters();
        Self { shared, endpoint, number, fault }
    }

    /// Reads the body, and notes what came of it even if it breaks off.
    async fn read<B>(&self, body: B) -> io::Result<Bytes>
    where
        B: Body<Error: Into<BoxError>>,
    {
        let mut body = pin!(body);
        let mut bytes = BytesMut::new();
        let mut trailers: Option<HeaderMap> = None;
        let failure = loop {
            match body.frame().await {
                None => break None,
                Some(Err(error)) => break Some(error),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => bytes.put(data),
                    Err(frame) => trailers = frame.into_trailers().ok().or(trailers),
                },
            }
        };
        let bytes = bytes.freeze();
        if let Some(record) = self.shared.lock().log.get(self.number) {
            record.body = bytes.clone();
            record.trailers = trailers;
            record.complete = failure.is_none();
        }
        match failure {
            None => Ok(bytes),
            Some(error) => Err(io::Error::other(error)),
        }
    }

    fn answered(&self, response: &Response<ResponseBody>) {
        let mut model = self.shared.lock();
        model.counters.answered(self.endpoint, response.status());
        if let Some(record) = model.log.get(self.number) {
            record.status = Some(response.status());
        }
    }
}
