//! What went wrong, in words, and what to try.

use std::fmt::Write;

use anyhow::Error;
use examples::chain;
use http::{HeaderMap, StatusCode, header::LOCATION};
use reqwest::Response;
use tower_oauth::{
    NotRetried, RetryOutcome,
    challenge::{self, Challenge},
    oauth_tokens::{self, ErrorKind},
};

use crate::{args::Args, settings::Settings};

/// An error with all its causes, and what to try in terms of what the user has said.
pub(crate) fn failure(error: &Error, settings: &Settings) -> Error {
    let mut text = chain(error.as_ref());
    let token_error = error.chain().find_map(|cause| cause.downcast_ref::<oauth_tokens::Error>());
    let hint = match token_error {
        Some(error) => about_token(error, settings),
        None => about_transport(&text, settings),
    };
    if let Some(hint) = hint.filter(|hint| !text.contains(hint.as_str())) {
        let _ = write!(text, "\nhint: {hint}");
    }
    Error::msg(text)
}

fn about_token(error: &oauth_tokens::Error, settings: &Settings) -> Option<String> {
    if let Some(oauth) = error.oauth() {
        return about_oauth_error(&oauth.code, settings);
    }
    let name = |path| settings.name(path);
    match error.kind() {
        ErrorKind::IssuerMismatch => {
            Some(format!("give {} exactly as the server spells it, slash at the end or not", name("server.issuer")))
        }
        ErrorKind::MissingEndpoint | ErrorKind::InvalidEndpoint => {
            Some(format!("give the {} instead of the {}", name("server.token_endpoint"), name("server.issuer")))
        }
        ErrorKind::InvalidResponse if settings.is_bound() && error.to_string().contains("Bearer") => {
            Some(format!("this server may not bind tokens to keys: try without {}", settings.switch("client.dpop")))
        }
        ErrorKind::UnexpectedResponse | ErrorKind::InvalidResponse => Some(about_strange_answer(error, settings)),
        ErrorKind::Config | ErrorKind::Credential => None,
        _ => about_transport(&chain(error), settings),
    }
}

/// The server answered, but as no authorization server would.
fn about_strange_answer(error: &oauth_tokens::Error, settings: &Settings) -> String {
    let name = |path| settings.name(path);
    match error.status() {
        Some(StatusCode::FORBIDDEN) => format!(
            "the server does not say why; check {} and its credentials first, then what stands between here and there: a VPN, a \
             list of allowed addresses, a gateway",
            name("client.id")
        ),
        Some(status) if status.is_server_error() => {
            "the server, or a gateway before it, has trouble of its own; try later".to_owned()
        }
        _ if settings.text("/server/issuer").is_some() => format!(
            "is {} the issuer? It is the part of the metadata's URL before /.well-known; if the server has no metadata, give \
             its {} instead",
            name("server.issuer"),
            name("server.token_endpoint")
        ),
        _ => format!("is {} the token endpoint? A slash at its end can matter", name("server.token_endpoint")),
    }
}

fn about_oauth_error(code: &str, settings: &Settings) -> Option<String> {
    let name = |path| settings.name(path);
    let grant = settings.text("/grant/type").unwrap_or("client_credentials");
    let handed_in = ["/grant/subject_token", "/grant/assertion", "/grant/token"];
    let handed_in = handed_in.iter().find_map(|pointer| settings.origin(pointer));
    Some(match (code, handed_in) {
        ("invalid_client", _) => about_client(settings),
        ("invalid_scope", _) => format!(
            "check {}: the server must know it, and the client must be allowed to ask for it",
            name("grant.scope")
        ),
        ("invalid_target", _) => {
            format!("check {}: the server must know it, and some take only one", name("grant.resource"))
        }
        ("invalid_request" | "invalid_grant", Some(origin)) => format!(
            "the token in {origin} may have expired, been revoked or replaced, or be none that this server takes; or this \
             client may not use the grant"
        ),
        ("invalid_request", None) => about_invalid_request(settings),
        ("invalid_grant", None) if !settings.is_bound() => {
            format!("this client may have to bind its tokens to a key: try {}", settings.switch("client.dpop"))
        }
        ("invalid_dpop_proof" | "use_dpop_nonce", _) => format!(
            "compare this machine's clock with the server's; and give {} or {} as the server itself spells them",
            name("server.issuer"),
            name("server.token_endpoint")
        ),
        ("unauthorized_client", _) => {
            format!("allow the {} grant for this client at the server", grant.replace('_', "-"))
        }
        ("unsupported_grant_type", _) => format!("this server does not know the {} grant", grant.replace('_', "-")),
        _ => return None,
    })
}

fn about_invalid_request(settings: &Settings) -> String {
    let name = |path| settings.name(path);
    let by = |method, option| settings.assignment("client.authentication", method, option);
    let needed =
        format!("some servers need {}, {} or {}", name("grant.scope"), name("grant.resource"), name("grant.audience"));
    match settings.authentication() {
        "client_secret_basic_raw" => {
            format!("this server may want id and secret encoded: try {}", by("client_secret_basic", "basic"))
        }
        "client_secret_basic" => {
            format!("{needed}; a client id or secret with odd characters may need {}", by("client_secret_post", "post"))
        }
        "assertion_file" | "spiffe_jwt" => about_client(settings),
        _ => needed,
    }
}

/// What to look at when the server does not know the client.
fn about_client(settings: &Settings) -> String {
    let id = settings.name("client.id");
    let from = |pointer| settings.origin(pointer).unwrap_or("the settings");
    let by = |method, option| settings.assignment("client.authentication", method, option);
    match settings.authentication() {
        "private_key_jwt" => format!(
            "check {id}; the server must know the public half of the key in {}, by its name ({}) if it has one there, and allow \
             its algorithm",
            from("/client/key"),
            settings.name("client.key_id")
        ),
        "client_secret_jwt" => format!(
            "check {id} and the secret in {}; the server must expect assertions that are signed with it, not the secret itself",
            from("/client/secret")
        ),
        "tls_client_auth" | "self_signed_tls_client_auth" => format!(
            "check {id}, and that the server knows this client by the certificate in {}: by its names, or as it is if nobody \
             else signed it",
            from("/client/certificate")
        ),
        "assertion_file" | "spiffe_jwt" => format!(
            "check {id} and the assertion in {}: the server must trust its issuer, be its audience and know its subject; some \
             take each one only once",
            from("/client/assertion")
        ),
        "none" => format!("check {id}, and whether it needs a secret"),
        method => {
            let other = match method {
                "client_secret_basic" => by("client_secret_post", "post"),
                _ => by("client_secret_basic", "basic"),
            };
            let secret = from("/client/secret");
            format!(
                "check {id} and the secret in {secret}; if both are right, the server may want them in another way: try {other}"
            )
        }
    }
}

fn about_transport(text: &str, settings: &Settings) -> Option<String> {
    let text = text.to_ascii_lowercase();
    if text.contains("fatal alert") {
        return Some(match settings.origin("/client/certificate") {
            Some(certificate) => format!("the server does not take the certificate in {certificate}"),
            None => {
                let mtls = settings.assignment("client.authentication", "tls_client_auth", "mtls");
                format!(
                    "the server may want a certificate of the client's: try {mtls} with {}",
                    settings.name("client.certificate")
                )
            }
        });
    }
    if text.contains("certificate") || text.contains("unknownissuer") {
        let root = settings.assignment("server.root_certificates", "FILE", "FILE");
        return Some(format!("is that a development certificate, or one of your company's? Give its root with {root}"));
    }
    let hint = if text.contains("tunnel") {
        "that failed at a proxy, which the environment names (HTTPS_PROXY, ALL_PROXY); to go past it, put the host into NO_PROXY"
    } else if text.contains("connection refused") {
        "nothing listens there: check host and port, and that the server runs"
    } else if text.contains("timed out") {
        "the server is down, busy, or behind a firewall"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// How a 401 was dealt with, at the end of a line.
pub(crate) fn retried(response: &Response, settings: &Settings) -> &'static str {
    match response.extensions().get() {
        Some(RetryOutcome::Retried) if settings.is_bound() => {
            " (the first try was refused; this is the answer to the second, with another proof or token)"
        }
        Some(RetryOutcome::Retried) => " (the first token was refused; this is the answer to another one)",
        _ => "",
    }
}

/// The answer, without its body.
pub(crate) struct Ending {
    pub(crate) status: StatusCode,
    pub(crate) body_bytes: usize,
    headers: HeaderMap,
    outcome: Option<RetryOutcome>,
}

impl Ending {
    pub(crate) fn of(response: &Response) -> Self {
        Self {
            status: response.status(),
            body_bytes: 0,
            headers: response.headers().clone(),
            outcome: response.extensions().get().cloned(),
        }
    }
}

/// Why the API's answer is no success. None: it is one.
pub(crate) fn explain(ending: &Ending, args: &Args, settings: &Settings) -> Option<String> {
    let lines = match ending.status {
        status if status.is_success() => return None,
        StatusCode::UNAUTHORIZED => about_401(ending, args, settings),
        StatusCode::FORBIDDEN => about_403(ending, settings),
        status if status.is_redirection() => about_redirect(ending),
        status => vec![format!("the API answered {status}; that is not about the token")],
    };
    Some(format!("error: {}", lines.join("\n")))
}

fn about_401(ending: &Ending, args: &Args, settings: &Settings) -> Vec<String> {
    let name = |path| settings.name(path);
    let mut lines = match &ending.outcome {
        Some(_) => vec!["the API answered 401: it does not accept the token".to_owned()],
        None => vec![format!(
            "a redirect led away from {}, and there the answer is 401; the token does not go there",
            args.url.origin().ascii_serialization()
        )],
    };
    lines.extend(challenges(&ending.headers));
    let wanted = challenge::parse(&ending.headers);
    let wants = |scheme: &str| wanted.iter().any(|found| found.is(scheme));
    if ending.outcome.is_some() && wants("DPoP") && !wants("Bearer") && !settings.is_bound() {
        let dpop = settings.switch("client.dpop");
        lines.push(format!("hint: the API wants tokens that are bound to a key: try {dpop}"));
        return lines;
    }
    lines.push(match &ending.outcome {
        Some(RetryOutcome::Retried) => format!(
            "  another token got 401, too, so it is not about one that expired or was revoked\n\
             hint: the API may want a token of another issuer, or for another audience: compare what it wants with \
             --show-token, and ask for it by {}, {} or {}",
            name("grant.audience"),
            name("grant.resource"),
            name("grant.scope")
        ),
        Some(RetryOutcome::NotRetried(why)) => format!("  it was not tried again: {}", not_retried(why, settings)),
        None => "hint: if that place is meant to get a token, call it directly".to_owned(),
    });
    lines
}

fn about_403(ending: &Ending, settings: &Settings) -> Vec<String> {
    let mut lines = vec!["the API answered 403: it knows who is calling, and says no".to_owned()];
    let challenges_of = challenge::parse(&ending.headers);
    if let Some(scope) = challenges_of.iter().find(|found| found.error() == Some("insufficient_scope")) {
        lines.extend(challenges(&ending.headers));
        let name = settings.name("grant.scope");
        lines.push(match scope.scope() {
            Some(wanted) => format!("hint: ask for the scope with {name} {:?}", printable(wanted)),
            None => format!("hint: the token lacks a scope; ask for it with {name}"),
        });
        return lines;
    }
    if challenges_of.is_empty() && ending.body_bytes == 0 {
        lines = vec!["the API answered an empty 403: no body and no challenge, so it does not say why".to_owned()];
        lines.push(
            "hint: some servers answer this where 401 is meant; then the token is what they reject. Else it is a gateway or \
             filter in front of the API, or a permission that the client lacks"
                .to_owned(),
        );
        return lines;
    }
    lines.extend(challenges(&ending.headers));
    lines.push(
        "hint: another token of the same kind would fare no better; give the client the permission it lacks".to_owned(),
    );
    lines
}

fn about_redirect(ending: &Ending) -> Vec<String> {
    let location = ending.headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("nowhere");
    vec![format!(
        "the API answered {} to {}, which cannot be followed (from https to http, or nowhere)",
        ending.status,
        printable(location)
    )]
}

fn challenges(headers: &HeaderMap) -> Vec<String> {
    let found = challenge::parse(headers);
    if found.is_empty() {
        return vec!["  it does not say why (no readable WWW-Authenticate header)".to_owned()];
    }
    found.iter().map(in_words).collect()
}

fn in_words(challenge: &Challenge) -> String {
    let mut text = format!("  it asks for {}", printable(challenge.scheme()));
    for (name, value) in challenge.params() {
        let _ = write!(text, ", {}: {}", printable(name), printable(value));
    }
    text
}

fn not_retried(why: &NotRetried, settings: &Settings) -> String {
    match why {
        NotRetried::OtherScheme => "it asks for other credentials than an access token; is the URL right, and is it the API that answers there?".to_owned(),
        NotRetried::InsufficientScope => {
            format!("the token lacks a scope, and another one would lack it, too; use {}", settings.name("grant.scope"))
        }
        NotRetried::InsufficientUserAuthentication => "it wants a user to sign in again".to_owned(),
        NotRetried::InvalidRequest => "it says that the request itself is wrong".to_owned(),
        NotRetried::UnknownError => "the error it names is none that a new token cures".to_owned(),
        NotRetried::Body(why) => why.to_string(),
        NotRetried::NotRenewed(error) => chain(error),
        NotRetried::Elsewhere => "the answer came from another origin".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Text of a server's, without what could play tricks on a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .take(300)
        .flat_map(|char| if char.is_control() { char.escape_default().collect() } else { vec![char] })
        .collect()
}
