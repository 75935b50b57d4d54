//! The pages that people see: plain HTML, no scripts, all text escaped.

use std::fmt::Write;
use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderValue, Response, StatusCode, Uri};

use crate::body::ResponseBody;
use crate::respond::{self, header_value};

const STYLE: &str = include_str!("page.css");
const SUBMIT: &str = "document.forms[0].submit()";
const CONTENT_SECURITY_POLICY: HeaderName = http::header::CONTENT_SECURITY_POLICY;

pub(crate) struct Page {
    title: String,
    main: String,
    /// Where its forms may lead besides this server.
    targets: Vec<String>,
    script: Option<&'static str>,
}

impl Page {
    pub(crate) fn new(title: &str) -> Self {
        let main = format!("<h1>{}</h1>\n", escape(title));
        Self { title: title.to_owned(), main, targets: Vec::new(), script: None }
    }

    pub(crate) fn paragraph(&mut self, text: &str) {
        self.element("p", "", text);
    }

    /// Something that belongs to the page and is not its point.
    pub(crate) fn soft(&mut self, text: &str) {
        self.element("p", " class=\"soft\"", text);
    }

    /// Something that went wrong, read aloud at once.
    pub(crate) fn alarm(&mut self, text: &str) {
        self.element("p", " class=\"alarm\" role=\"alert\"", text);
    }

    /// Names and what they mean.
    pub(crate) fn list<'a>(&mut self, items: impl Iterator<Item = (&'a str, &'a str)>) {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return;
        }
        self.main.push_str("<ul>\n");
        for (name, meaning) in items {
            let meaning =
                if meaning.is_empty() { String::new() } else { format!("<small>{}</small>", escape(meaning)) };
            self.push(format_args!("<li>{}{meaning}</li>\n", escape(name)));
        }
        self.main.push_str("</ul>\n");
    }

    fn element(&mut self, name: &str, attributes: &str, text: &str) {
        self.push(format_args!("<{name}{attributes}>{}</{name}>\n", escape(text)));
    }

    /// A form that posts.
    pub(crate) fn form(&mut self, action: &str, fill: impl FnOnce(&mut Form<'_>)) {
        self.push(format_args!("<form method=\"post\" action=\"{}\">\n", escape(action)));
        fill(&mut Form(self));
        self.main.push_str("</form>\n");
    }

    /// What the answer to a form may lead to, as a source expression of the policy.
    pub(crate) fn leads_to(&mut self, source: String) {
        self.targets.push(source);
    }

    /// Sends its first form without being asked.
    pub(crate) fn submits_itself(&mut self) {
        self.script = Some(SUBMIT);
    }

    pub(crate) fn into_response(self, status: StatusCode) -> Response<ResponseBody> {
        let script = self.script.map_or(String::new(), |script| format!("<script>{script}</script>\n"));
        let html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n\
             <body>\n<main>\n{}</main>\n<footer>Test server: for tests only</footer>\n{script}</body>\n</html>\n",
            escape(&self.title),
            self.main,
        );
        let mut response =
            respond::no_store(respond::content(status, "text/html; charset=utf-8", ResponseBody::full(html)));
        protect(&mut response, &self.targets, self.script);
        response
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        self.main.write_fmt(text).ok();
    }
}

/// The fields of a form.
pub(crate) struct Form<'a>(&'a mut Page);

impl Form<'_> {
    pub(crate) fn hidden(&mut self, name: &str, value: &str) {
        self.0.push(format_args!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escape(name), escape(value)));
    }

    /// A field with its label. `attributes` are ours, never somebody's text.
    pub(crate) fn field(&mut self, name: &str, label: &str, value: &str, attributes: &str) {
        self.0.push(format_args!(
            "<label for=\"{name}\">{}</label>\n<input id=\"{name}\" name=\"{name}\" value=\"{}\" {attributes}>\n",
            escape(label),
            escape(value),
        ));
    }

    /// The button that a person is expected to press.
    pub(crate) fn button(&mut self, name: &str, value: &str, label: &str) {
        self.any_button("", name, value, label);
    }

    /// The other one. It asks for no field to be filled in.
    pub(crate) fn quiet_button(&mut self, name: &str, value: &str, label: &str) {
        self.any_button(" class=\"quiet\" formnovalidate", name, value, label);
    }

    /// What few people want.
    pub(crate) fn link_button(&mut self, name: &str, value: &str, label: &str) {
        self.any_button(" class=\"link\" formnovalidate", name, value, label);
    }

    fn any_button(&mut self, attributes: &str, name: &str, value: &str, label: &str) {
        let name =
            if name.is_empty() { String::new() } else { format!(" name=\"{name}\" value=\"{}\"", escape(value)) };
        self.0.push(format_args!("<button type=\"submit\"{name}{attributes}>{}</button>\n", escape(label)));
    }
}

/// No scripts but ours, no frames, and nothing of the address goes to others.
pub(crate) fn protect(response: &mut Response<ResponseBody>, targets: &[String], script: Option<&str>) {
    static STYLE_HASH: LazyLock<String> = LazyLock::new(|| hash(STYLE));
    let script = script.map_or(String::new(), |script| format!("script-src {}; ", hash(script)));
    let mut form_action = "'self'".to_owned();
    for target in targets.iter().filter(|target| target.bytes().all(is_of_a_source)) {
        form_action.push(' ');
        form_action.push_str(target);
    }
    let policy = format!(
        "default-src 'none'; style-src {}; {script}form-action {form_action}; frame-ancestors 'none'; base-uri 'none'",
        *STYLE_HASH
    );
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, header_value(&policy));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
}

/// Nothing that ends a source expression or a directive.
fn is_of_a_source(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.:/[]".contains(&byte)
}

/// What a page that leads there must allow as the target of its form: browsers look at it when the answer
/// to a form is a redirect.
pub(crate) fn source(uri: &str) -> String {
    let parsed: Option<Uri> = uri.parse().ok();
    let web = parsed.as_ref().and_then(|uri| match uri.scheme_str()? {
        scheme @ ("http" | "https") => Some(format!("{scheme}://{}", uri.authority()?)),
        _ => None,
    });
    web.unwrap_or_else(|| uri.split_once(':').map_or(String::new(), |(scheme, _)| format!("{scheme}:")))
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes())))
}

pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Undoes [`escape`].
pub(crate) fn unescape(html: &str) -> String {
    let text = html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
    text.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_a_form_that_leads_there() {
        for (uri, expected) in [
            ("https://app.test/callback?x", "https://app.test"),
            ("http://127.0.0.1:4711/callback", "http://127.0.0.1:4711"),
            ("com.example.app:/callback", "com.example.app:"),
        ] {
            assert_eq!(source(uri), expected);
        }
    }

    #[test]
    fn no_text_becomes_markup() {
        let text = "<script>&\"'</script>";
        assert_eq!(escape(text), "&lt;script&gt;&amp;&quot;&#39;&lt;/script&gt;");
        assert_eq!(unescape(&escape(text)), text);
    }
}
