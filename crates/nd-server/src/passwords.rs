//! Passwords of a manifest become hashes before anything is made of it or kept.

use std::sync::Arc;

use nd_api::Manifest;
use nd_api::manifest::Password;
use nd_core::spec::AppSpec;
use nd_supervise::blocking;
use nd_types::{BasicAuth, PasswordHash};

use crate::refusal::Refusal;

/// bcrypt's cost: about 50 ms for each attempt, and hardly any memory.
const COST: u32 = 10;

/// Replaces passwords by their hashes: by the ones that serve already, where they fit, so that the same file makes the same
/// release.
pub(crate) async fn hash(mut manifest: Manifest, serves: Option<Arc<AppSpec>>) -> Result<Manifest, Refusal> {
    let is_plain = |password: &Password| !PasswordHash::is_meant_by(password.as_str());
    if !manifest.proxy.basic_auth.users.values().any(is_plain) {
        return Ok(manifest);
    }
    let hashed = blocking("hash passwords", move || {
        let known = serves.as_ref().map(|spec| &spec.rules.basic_auth);
        for (name, password) in &mut manifest.proxy.basic_auth.users {
            if is_plain(password) {
                *password = Password::new(one(name, password.as_str(), known)?);
            }
        }
        Ok::<_, bcrypt::BcryptError>(manifest)
    });
    match hashed.await {
        Ok(Ok(manifest)) => Ok(manifest),
        Ok(Err(error)) => {
            Err(Refusal::unprocessable(format!("hash the passwords of proxy.basic_auth: {error}")))
        }
        Err(failure) => {
            tracing::error!(%failure, "hash the passwords of a manifest");
            Err(Refusal::failed())
        }
    }
}

fn one(name: &str, password: &str, known: Option<&BasicAuth>) -> Result<String, bcrypt::BcryptError> {
    let same = known.and_then(|auth| auth.users.iter().find(|user| user.name == name));
    if let Some(user) = same.filter(|user| user.password.is_bcrypt())
        && bcrypt::verify(password, user.password.as_str()).unwrap_or(false)
    {
        return Ok(user.password.as_str().to_owned());
    }
    bcrypt::hash(password, COST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nd_types::BasicUser;

    #[test]
    fn a_hash_that_fits_stays_and_another_password_gets_a_new_one() {
        let hash: PasswordHash = bcrypt::hash("secret", 4).unwrap().parse().unwrap();
        let known = BasicAuth {
            users: vec![BasicUser { name: "ana".into(), password: hash.clone() }],
            paths: vec![],
        };
        assert_eq!(one("ana", "secret", Some(&known)).unwrap(), hash.as_str());
        let changed = one("ana", "other", Some(&known)).unwrap();
        assert!(changed != hash.as_str() && bcrypt::verify("other", &changed).unwrap());
    }
}
