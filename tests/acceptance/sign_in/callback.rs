//! What may come to the redirect URI: parsed strictly, whoever sent it.

use oauth_tokens::{Callback, ErrorKind};
use tests::support::shown;

#[test]
fn l2_callbacks_that_are_refused_as_they_are() {
    let long = format!("code=a&state=b&x={}", "y".repeat(16 * 1024));
    let cases = [
        "code=s3cr3t&code=s3cr3t&state=b",
        "code=s3cr3t&state=b&state=b",
        "code=s3cr3t&state=b&iss=x&iss=x",
        "code=s3cr3t&state=b&c%6Fde=s3cr3t",
        "code=s3cr3t&state=b&code=",
        "state=b&error=x&error=y",
        "x=1&x=2&code=s3cr3t&state=b",
        "code=s3cr3t&error=access_denied&state=b",
        "code=s3cr3t&state=b&access_token=s3cr3t",
        "code=s3cr3t&state=b&id_token=s3cr3t",
        "access_token=s3cr3t&token_type=Bearer&state=b",
        "code=s3cr3t%ff&state=b",
        "code=s3cr3t%&state=b",
        "code=s3cr3t%4&state=b",
        "code=s3cr3t%g0&state=b",
        "code=s3cr3t%+1&state=b",
        long.as_str(),
    ];
    for query in cases {
        let from_form = Callback::from_form(query.as_bytes());
        for error in [Callback::from_query(query).err(), from_form.err()] {
            let error = error.unwrap_or_else(|| panic!("{query} was taken"));
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::InvalidCallback, false), "{query}");
            assert!(!shown(&error).contains("s3cr3t"), "{error}");
        }
    }
    let error = Callback::from_form(b"code=a&state=\xff").expect_err("no UTF-8");
    assert_eq!(error.kind(), ErrorKind::InvalidCallback);
}

#[test]
fn l2_callbacks_as_servers_write_them() {
    let cases = [
        ("code=a&state=b", Some("b")),
        ("state=b&session_state=x.y&code=a&iss=https%3A%2F%2Fid.test&scope=a+b", Some("b")),
        ("state=b%20c+d%2Be", Some("b c d+e")),
        ("&&code=a&&state=b&", Some("b")),
        ("state", None),
        ("state=", None),
        ("code=a", None),
        ("", None),
        ("error=access_denied&error_description=no&state=b", Some("b")),
        ("code=a&state=b&expires_in=&access_token=", Some("b")),
        ("st%61te=b", Some("b")),
    ];
    for (query, state) in cases {
        let callback = Callback::from_query(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(callback.state(), state, "{query}");
        assert_eq!(Callback::from_form(query.as_bytes()).expect("the same").state(), state, "{query}");
    }
}

#[test]
fn s1_a_callback_shows_nothing_of_itself() {
    let callback = Callback::from_query("code=s3cr3t&state=s3cr3t&iss=s3cr3t&s3cr3t=1").expect("a callback");
    assert_eq!(format!("{callback:?}"), "Callback(code)");
    let callback = Callback::from_query("error=s3cr3t&error_description=s3cr3t").expect("a callback");
    assert_eq!(format!("{callback:?}"), "Callback(error)");
}
