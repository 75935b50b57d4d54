use http::{Method, Response, StatusCode};

use crate::body::ResponseBody;
use crate::device::VERIFICATION;
use crate::form::{self, Form};
use crate::incoming::Incoming;
use crate::page::Page;
use crate::state::Shared;

/// RFC 8628 section 3.3: GET shows the page, POST is its form. A test may post `user_code`, `decision`
/// (`approve` or `deny`) and `subject` without having seen the page.
pub(crate) fn verify(incoming: &Incoming<'_>, body: &[u8]) -> Response<ResponseBody> {
    let (shared, parts) = (incoming.shared, incoming.parts);
    if parts.method != Method::POST {
        let query = form::pairs(parts.uri.query().unwrap_or_default().as_bytes()).unwrap_or_default();
        let code = query.into_iter().find_map(|(name, value)| (name == "user_code").then_some(value));
        return ask(shared, &code.unwrap_or_default(), None, StatusCode::OK);
    }
    let site = parts.headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return tell("This does not work", "The form was sent by another site.", StatusCode::FORBIDDEN);
    }
    let Ok(form) = Form::parse(body) else {
        return ask(shared, "", Some("The form cannot be read."), StatusCode::BAD_REQUEST);
    };
    let code = form.get("user_code").unwrap_or_default();
    let decision = form.get("decision");
    if !matches!(decision, Some("approve" | "deny")) {
        return ask(shared, code, Some("Please approve or deny."), StatusCode::BAD_REQUEST);
    }
    let decided = {
        let model = &mut *shared.lock();
        let name = form.get("subject").unwrap_or("alice");
        match (decision, model.users.sign_in(name.trim(), form.get("password"))) {
            (Some("deny"), _) => Some(model.devices.decide(code, None)),
            (_, Some(user)) => Some(model.devices.decide(code, Some(&user.name))),
            (_, None) => None,
        }
    };
    match decided {
        None => ask(shared, code, Some("The user name or the password is wrong."), StatusCode::BAD_REQUEST),
        Some(false) => ask(shared, code, Some("No device waits with this code."), StatusCode::NOT_FOUND),
        Some(true) if decision == Some("deny") => {
            tell("Not connected", "The device got no access. You can close this page.", StatusCode::OK)
        }
        Some(true) => tell("Your device is connected", "You can close this page and go back to it.", StatusCode::OK),
    }
}

fn ask(shared: &Shared, code: &str, wrong: Option<&str>, status: StatusCode) -> Response<ResponseBody> {
    let passwords = shared.lock().users.have_passwords();
    let mut page = Page::new("Connect a device");
    page.soft("Type the code that your device shows. Only approve a device that is in front of you.");
    if let Some(wrong) = wrong {
        page.alarm(wrong);
    }
    page.form(&shared.endpoint_url(VERIFICATION), |form| {
        let usual = "class=\"code\" type=\"text\" autocomplete=\"off\" autocapitalize=\"characters\" spellcheck=\"false\" required";
        form.field("user_code", "Code", code, usual);
        let usual = "type=\"text\" autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" required";
        form.field("subject", "User name", "", usual);
        if passwords {
            form.field("password", "Password", "", "type=\"password\" autocomplete=\"current-password\"");
        }
        form.button("decision", "approve", "Approve");
        form.quiet_button("decision", "deny", "Deny");
    });
    page.into_response(status)
}

fn tell(title: &str, text: &str, status: StatusCode) -> Response<ResponseBody> {
    let mut page = Page::new(title);
    page.paragraph(text);
    page.into_response(status)
}
