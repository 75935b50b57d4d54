//! What to do about a 401, from its challenges alone.

use http::HeaderMap;

use super::{Challenge, parse};

/// What a 401 asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Another token may help.
    Renew,
    /// The same token may help, with a proof that holds the nonce that comes with the response (RFC 9449, section 9).
    ProveAgain,
    /// Another token of the same kind would fare no better: the response is the caller's.
    Leave(Reason),
}

/// Why a 401 is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There are challenges, but neither Bearer nor DPoP.
    OtherScheme,
    /// The token lacks a scope (RFC 6750, section 3.1).
    InsufficientScope,
    /// The user has to sign in anew or by stronger means (RFC 9470, section 3).
    InsufficientUserAuthentication,
    /// The token lacks claims that the challenge names.
    InsufficientClaims,
    /// The request itself is wrong (RFC 6750, section 3.1).
    InvalidRequest,
    /// A code that we do not know.
    UnknownError,
}

/// Reads a 401's challenges: would another token help?
///
/// Yes if nothing can be read, for then the 401 alone speaks, and a server that wants renewals can have them that
/// way: it gains nothing by sending too many challenges, or garbage. The storm guard bounds both.
///
/// Several Bearer and DPoP challenges may disagree. A server that takes both schemes answers for the one that was
/// used and offers the other without an `error` (RFC 9449, section 7.2), so a challenge without one counts only
/// when no challenge has one: `Bearer error="insufficient_scope", DPoP algs="ES256"` is no case for a new token.
/// Among errors, one `invalid_token` suffices: the token is dead, and a renewal too many is cheap while a
/// dead token that stays is not. Else the first error is the reason.
pub(crate) fn advice(headers: &HeaderMap, renew_on_other_schemes: bool) -> Advice {
    let challenges = parse(headers);
    let ours = || challenges.iter().filter(|challenge| challenge.is("Bearer") || challenge.is("DPoP"));
    if ours().next().is_none() && !challenges.is_empty() && !renew_on_other_schemes {
        return Advice::Leave(Reason::OtherScheme);
    }
    if ours().any(|challenge| challenge.error() == Some("invalid_token")) {
        return Advice::Renew;
    }
    match ours().find_map(Challenge::error) {
        None => Advice::Renew,
        Some("use_dpop_nonce") => Advice::ProveAgain,
        Some("insufficient_scope") => Advice::Leave(Reason::InsufficientScope),
        Some("insufficient_user_authentication") => Advice::Leave(Reason::InsufficientUserAuthentication),
        Some("insufficient_claims") => Advice::Leave(Reason::InsufficientClaims),
        Some("invalid_request") => Advice::Leave(Reason::InvalidRequest),
        Some(_) => Advice::Leave(Reason::UnknownError),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::headers, *};

    #[test]
    fn r6_advice() {
        use Advice::{Leave, Renew};
        let vectors: &[(&[&str], Advice)] = &[
            // Nothing readable.
            (&[], Renew),
            (&[""], Renew),
            (&["Bearer error=insufficient_scope error_uri=x"], Renew),
            // Ours, without an error or with `invalid_token`.
            (&["Bearer"], Renew),
            (&["dpop"], Renew),
            (&["bearer xyz"], Renew),
            (&["Bearer realm=api, scope=read"], Renew),
            (&[r#"DPoP algs="ES256 PS256""#], Renew),
            (&["Bearer error=invalid_token"], Renew),
            (&[r#"BEARER Error="invalid_token""#], Renew),
            (&[r#"DPoP error="invalid_token", error_description="expired""#], Renew),
            (&["Basic realm=x, Bearer"], Renew),
            (&["Basic realm=x", "Bearer error=invalid_token"], Renew),
            // Ours, and no case for a new token.
            (&["Bearer error=insufficient_scope, scope=write"], Leave(Reason::InsufficientScope)),
            (
                &["Bearer error=insufficient_user_authentication, acr_values=high"],
                Leave(Reason::InsufficientUserAuthentication),
            ),
            (&["Bearer error=insufficient_claims, claims=e30"], Leave(Reason::InsufficientClaims)),
            (&["Bearer error=invalid_request"], Leave(Reason::InvalidRequest)),
            (&["DPoP error=use_dpop_nonce"], Advice::ProveAgain),
            (&["DPoP error=invalid_dpop_proof"], Leave(Reason::UnknownError)),
            (&["Bearer error=Invalid_Token"], Leave(Reason::UnknownError)),
            (&[r#"Bearer error="""#], Leave(Reason::UnknownError)),
            (&[r#"Bearer error=" invalid_token""#], Leave(Reason::UnknownError)),
            (&["Basic error=invalid_token, Bearer error=insufficient_scope"], Leave(Reason::InsufficientScope)),
            // The scheme that was used has the error, the other is an offer.
            (&["Bearer error=insufficient_scope, DPoP algs=ES256"], Leave(Reason::InsufficientScope)),
            (&["DPoP algs=ES256, Bearer error=invalid_request"], Leave(Reason::InvalidRequest)),
            (&["Bearer error=invalid_token, DPoP algs=ES256"], Renew),
            // Errors that disagree.
            (&["Bearer error=insufficient_scope, DPoP error=invalid_token"], Renew),
            (&["Bearer error=invalid_token", "Bearer error=invalid_request"], Renew),
            (&["Bearer error=invalid_request", "Bearer error=insufficient_scope"], Leave(Reason::InvalidRequest)),
        ];
        for &(fields, expected) in vectors {
            for renew_on_other_schemes in [false, true] {
                let advice = advice(&headers(fields), renew_on_other_schemes);
                assert_eq!(advice, expected, "{fields:?}");
            }
        }
    }

    #[test]
    fn r6_other_schemes_only_if_asked() {
        for fields in [
            &["Basic realm=x"][..],
            &["Negotiate", "NTLM"],
            &["Bearers error=invalid_token"],
            &["Basic realm=x, error=insufficient_scope"],
            // What cannot be read is as if it were not there.
            &["Basic", "Bearer realm=a b"],
        ] {
            let headers = headers(fields);
            assert_eq!(advice(&headers, false), Advice::Leave(Reason::OtherScheme), "{fields:?}");
            assert_eq!(advice(&headers, true), Advice::Renew, "{fields:?}");
        }
    }

    #[test]
    fn r6_past_the_limits_is_unreadable() {
        let many = "Bearer error=insufficient_scope,".repeat(33);
        assert_eq!(advice(&headers(&[many]), false), Advice::Renew);
        let long = format!("Basic realm=\"{}\"", "x".repeat(16 * 1024));
        assert_eq!(advice(&headers(&[long]), false), Advice::Renew);
    }
}
