//! Settings that cannot be meant.

use examples::egress_proxy::{Proxy, Settings, UpstreamSettings};
use oauth_test_server::TestServer;

use super::rig::settings;

#[tokio::test]
async fn p1_settings_that_would_open_a_door_are_refused() {
    let server = TestServer::start().await.expect("servers");
    let api = server.api_origin();
    type Change = fn(&mut Settings);
    fn other(settings: &mut Settings) -> UpstreamSettings {
        settings.upstreams[0].clone()
    }
    let cases: &[(&str, Change)] = &[
        ("beyond loopback", |settings| settings.listen = "0.0.0.0:0".parse().expect("an address")),
        ("beyond loopback", |settings| settings.admin = "[::]:0".parse().expect("an address")),
        ("no upstream", |settings| settings.upstreams.clear()),
        ("no origin of `oauth.crm` covers", |settings| {
            settings.upstreams[0].url = "https://elsewhere.example.com".to_owned();
        }),
        ("the upstream `crm`: its `oauth`", |settings| settings.upstreams[0].oauth = "billing".to_owned()),
        ("either a `path` or a `host`", |settings| settings.upstreams[0].path = None),
        ("either a `path` or a `host`", |settings| settings.upstreams[0].host = Some("crm".to_owned())),
        ("same `path`", |settings| {
            let mut other = other(settings);
            other.path = Some("/crm/".to_owned());
            settings.upstreams.push(other);
        }),
        ("named twice", |settings| {
            settings.upstreams[0].path = None;
            settings.upstreams[0].host = Some("LOCALHOST:1234".to_owned());
        }),
        ("begins with `/`", |settings| settings.upstreams[0].path = Some("crm".to_owned())),
        ("begins with `/`", |settings| settings.upstreams[0].path = Some("/crm/../x".to_owned())),
        ("begins with `/`", |settings| settings.upstreams[0].path = Some("/c%72m".to_owned())),
        ("begins with `/`", |settings| settings.upstreams[0].path = Some("/crm?x".to_owned())),
        ("`hosts`: a host is a name", |settings| settings.hosts = vec!["*.example.com".to_owned()]),
        ("a host is a name", |settings| settings.hosts = vec!["http://localhost".to_owned()]),
        ("nobody could ever connect", |settings| settings.limits.connections = 0),
        ("head_bytes", |settings| settings.limits.head_bytes = 10),
    ];
    for (expected, change) in cases {
        let (_secret, mut settings) = settings(&server, api);
        Proxy::check(&settings).expect("good settings");
        change(&mut settings);
        let error = format!("{:#}", Proxy::check(&settings).expect_err(expected));
        for value in ["billing", "elsewhere", "LOCALHOST", "crm/../x", "c%72m", "crm?x"] {
            assert!(!error.contains(value), "{error}");
        }
        assert!(error.contains(expected), "{expected}: {error}");
        Proxy::bind(&settings).await.expect_err(expected);
    }
    let (_secret, mut settings) = settings(&server, api);
    settings.listen = "0.0.0.0:0".parse().expect("an address");
    settings.dangerously_listen_beyond_loopback = true;
    Proxy::check(&settings).expect("allowed by name");
}

#[test]
fn p1_a_file_with_mistakes_is_refused_without_being_repeated() {
    let good = "[oauth]\n[[upstreams]]\nname = 'a'\npath = '/a'\nurl = 'https://a.example.com'\noauth = 'a'\n";
    Settings::parse(good).expect("it can be read");
    let cases = [
        ("lisen = '127.0.0.1:1'\n", "unknown field `lisen`"),
        ("timeouts = { idle = 0 }\n", "number of seconds"),
        ("timeouts = { idle = -1 }\n", "number of seconds"),
        ("timeouts = { idle = nan }\n", "number of seconds"),
        ("timeouts = { idle = 1e300 }\n", "number of seconds"),
        ("timeouts = { idel = 1 }\n", "unknown field `idel`"),
        ("listen = 's3cr3t'\n", "line 1: `listen`"),
        ("# one\nhosts = 's3cr3t'\n", "line 2: `hosts`"),
        ("timeouts.idle = 's3cr3t'\n", "line 1: `idle`"),
        ("limits = { connections = 's3cr3t' }\n", "line 1: `connections`"),
        ("limits = ['s3cr3t']\n", "line 1: "),
        ("dangerously_listen_beyond_loopback = 's3cr3t'\n", "line 1: `dangerously_listen_beyond_loopback`"),
        ("hosts = ['''\ns3cr3t = ''', 5]\n", "line "),
        ("hosts = ['s3cr3t\\q\n", "line "),
        ("a b = 's3cr3t'\n", "line 1"),
    ];
    for (line, expected) in cases {
        let error = format!("{:#}", Settings::parse(&format!("{line}{good}")).expect_err(line));
        assert!(error.contains(expected), "{line}: {error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
    let secret = "[oauth.a.client]\nsecret = 's3cr3t'\n";
    let text = good.replace("[oauth]\n", secret);
    let error = format!("{:#}", Proxy::check(&Settings::parse(&text).expect("it can be read")).expect_err("a secret"));
    assert!(!error.contains("s3cr3t"), "{error}");
}
