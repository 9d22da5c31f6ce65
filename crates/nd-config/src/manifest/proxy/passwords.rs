//! `proxy.basic_auth:`

use std::collections::BTreeMap;

use nd_api::manifest::{BasicAuth, Password};
use nd_types::PasswordHash;

use super::paths;
use crate::decode::{Decoder, Field};
use crate::node::Value;
use crate::report::{Code, Mistake};

/// bcrypt reads no further.
const LONGEST: usize = 72;

type Users = BTreeMap<String, Password>;

pub(super) fn basic_auth(field: &Field<'_>, d: &mut Decoder) -> BasicAuth {
    let Some(mut keys) = field.keys(d) else { return BasicAuth::default() };
    let written = keys.required("users", "write `users: {ana: ${ANA_PASSWORD}}`", d);
    let paths = keys.get("paths").map(|field| paths(&field, d)).unwrap_or_default();
    keys.finish(d);
    let mut users = Users::new();
    if let Some(written) = written {
        if matches!(written.node.value, Value::Map(_)) {
            for (entry, value) in written.entries(d) {
                let Some(text) = value.text(d) else { continue };
                user(&entry.key, &text, &value, &mut users, d);
            }
        } else {
            for item in written.one_or_more(d) {
                lines(&item, &mut users, d);
            }
        }
    }
    BasicAuth { paths, users }
}

/// Lines `name:password`, as htpasswd writes them.
fn lines(item: &Field<'_>, users: &mut Users, d: &mut Decoder) {
    let Some(text) = item.text(d) else { return };
    if let Some(secret) = text.strip_prefix("secret:") {
        let message = format!("`secret:{secret}` is not supported yet by this version");
        d.say(item.mistake(Code::NotYet, message).help(format!("write `${{{secret}}}` and export it")));
        return;
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        match line.split_once(':') {
            Some((name, password)) => user(name, password, item, users, d),
            None => d.say(bad(item, "a user is written `name:password`, and a line has no colon")),
        }
    }
}

fn user(name: &str, password: &str, at: &Field<'_>, users: &mut Users, d: &mut Decoder) {
    if name.is_empty() || name.len() > 255 || name.contains([':', '\0']) || name.contains(char::is_control) {
        return d.say(bad(at, "the name of a user is a text without a colon"));
    }
    if password.is_empty() {
        return d.say(bad(at, format!("user `{name}` has no password")));
    }
    if PasswordHash::is_meant_by(password) {
        if let Err(error) = password.parse::<PasswordHash>() {
            return d.say(bad(at, format!("the password of `{name}`: {error}")));
        }
    } else if password.len() > LONGEST {
        return d.say(bad(at, format!("the password of `{name}` is longer than {LONGEST} bytes")));
    }
    if users.insert(name.to_owned(), Password::new(password)).is_some() {
        d.say(at.mistake(Code::Conflict, format!("user `{name}` is there already")));
    }
}

/// At the key: what stands at the value is nobody's business.
fn bad(at: &Field<'_>, message: impl Into<String>) -> Mistake {
    at.mistake(Code::BadValue, message).at(at.key_span.clone())
}
