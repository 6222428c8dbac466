//! The JSON of etcd's v2 API, as far as discovery has it.
//!
//! ```text
//! {"action":"get","node":{"key":"/T/_config/size","value":"3","modifiedIndex":1,"createdIndex":1}}
//! {"action":"get","node":{"key":"/T","dir":true,"nodes":[{..},{..}],"modifiedIndex":1,"createdIndex":1}}
//! {"action":"create","node":{"key":"/T/8e9e","value":"a=http://10.0.0.1:2380","modifiedIndex":2,"createdIndex":2}}
//! {"errorCode":100,"message":"Key not found","cause":"/T/8e9e","index":3}
//! ```

use super::{Node, Registry, Token};
use crate::rpc;

#[derive(Clone, Copy)]
pub(super) enum Action {
    Get,
    Create,
}

pub(super) fn event(action: Action, token: &Token, node: &Node<'_>) -> Vec<u8> {
    let mut out = begin(action);
    write(&mut out, token, node);
    out.extend_from_slice(b"}\n");
    out
}

/// As etcd lists it: in order, and without `_config`, which is hidden.
pub(super) fn directory(token: &Token, registry: &Registry) -> Vec<u8> {
    let mut out = begin(Action::Get);
    out.push(b'{');
    text(&mut out, "\"key\":", &format!("/{token}"));
    out.extend_from_slice(b",\"dir\":true");
    let mut between = &b",\"nodes\":["[..];
    for node in registry.members() {
        out.extend_from_slice(between);
        write(&mut out, token, &node);
        between = b",";
    }
    if between == b"," {
        out.push(b']');
    }
    number(&mut out, "\"modifiedIndex\":", 1);
    number(&mut out, "\"createdIndex\":", 1);
    out.extend_from_slice(b"}}\n");
    out
}

pub(super) fn failure(code: u64, message: &str, cause: &str, index: u64) -> Vec<u8> {
    let mut out = b"{".to_vec();
    number(&mut out, "\"errorCode\":", code);
    text(&mut out, "\"message\":", message);
    text(&mut out, "\"cause\":", cause);
    number(&mut out, "\"index\":", index);
    out.extend_from_slice(b"}\n");
    out
}

fn begin(action: Action) -> Vec<u8> {
    let mut out = b"{".to_vec();
    let name = match action {
        Action::Get => "get",
        Action::Create => "create",
    };
    text(&mut out, "\"action\":", name);
    rpc::key(&mut out, "\"node\":");
    out
}

fn write(out: &mut Vec<u8>, token: &Token, node: &Node<'_>) {
    out.push(b'{');
    text(out, "\"key\":", &format!("/{token}/{}", node.name));
    text(out, "\"value\":", node.value);
    number(out, "\"modifiedIndex\":", node.index);
    number(out, "\"createdIndex\":", node.index);
    out.push(b'}');
}

fn text(out: &mut Vec<u8>, key: &str, value: &str) {
    rpc::key(out, key);
    rpc::text(out, value);
}

fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    rpc::key(out, key);
    rpc::integer(out, false, value);
}
