//! As much of an MCP server as it takes to see whether a client gets in: JSON-RPC 2.0 over one POST each.

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::api::Caller;
use crate::body::ResponseBody;
use crate::respond;

const PROTOCOL_VERSION: &str = "2025-06-18";

pub(super) fn answer(method: &Method, body: &Bytes, caller: &Caller) -> Response<ResponseBody> {
    if *method != Method::POST {
        let mut response = respond::text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let Ok(message) = serde_json::from_slice::<Value>(body) else {
        return reply(&Value::Null, Err((-32700, "this is no JSON")));
    };
    let id = message.get("id");
    let Some(name) = message.get("method").and_then(Value::as_str) else {
        return reply(id.unwrap_or(&Value::Null), Err((-32600, "this is no request")));
    };
    match id {
        Some(id) => reply(id, call(name, &message["params"], caller)),
        // A notification has no answer.
        None => respond::with_status(StatusCode::ACCEPTED, ResponseBody::full("")),
    }
}

type Outcome = Result<Value, (i32, &'static str)>;

fn call(name: &str, parameters: &Value, caller: &Caller) -> Outcome {
    match name {
        "initialize" => Ok(json!({
            "protocolVersion": PROTOCOL_VERSION,
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "oauth-test-server", "version": env!("CARGO_PKG_VERSION") },
        })),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({ "tools": [{
            "name": "whoami",
            "description": "Says whose token the call came with.",
            "inputSchema": { "type": "object" },
        }] })),
        "tools/call" if parameters["name"] == "whoami" => {
            let subject = match caller {
                Caller::Client(grant) => &grant.subject,
                Caller::Anyone => "nobody",
            };
            Ok(json!({ "content": [{ "type": "text", "text": subject }], "isError": false }))
        }
        "tools/call" => Err((-32602, "unknown tool")),
        _ => Err((-32601, "unknown method")),
    }
}

fn reply(id: &Value, outcome: Outcome) -> Response<ResponseBody> {
    let answer = match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err((code, message)) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
        }
    };
    respond::json(StatusCode::OK, &answer)
}
