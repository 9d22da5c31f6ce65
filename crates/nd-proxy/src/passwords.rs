//! Names and passwords (RFC 7617): found in a request, compared with the hashes of an app's users, remembered.
//!
//! A hash is slow by design. So it is computed away from the workers, one at a time over all of them; what came of it is
//! remembered by a keyed digest; each client has two attempts under way at most; and a flood of wrong passwords pushes
//! nobody's right one out of memory.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use argon2::password_hash::PasswordVerifier as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nd_supervise::blocking;
use nd_types::{BasicAuth, PasswordHash};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Results of one kind that are remembered, twice: of the latest so many, and of those before.
const REMEMBERED: usize = 2048;
/// Attempts of one client that may be under way …
const MOST_OF_ONE: u32 = 2;
/// … and of all clients.
const MOST_AT_ALL: usize = 64;
/// An attempt is given up when its turn does not come in this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longer names and passwords are nobody's.
const LONGEST: usize = 1024;

/// What somebody has shown, and the hash it should fit.
pub(crate) struct Attempt {
    password: Vec<u8>,
    hash: PasswordHash,
    /// There is a user of that name.
    is_user: bool,
    digest: Fingerprint,
}

/// What is known at once about the credentials of a request.
#[derive(Debug)]
pub(crate) enum Shown {
    /// They are right.
    Right,
    /// They are wrong, or there are none.
    Wrong,
    /// It takes a while to find out.
    Unknown(Attempt),
}

/// Too many attempts are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

type Fingerprint = [u8; 32];

/// Compares passwords for all workers.
#[derive(Debug)]
pub(crate) struct Verifier {
    key: [u8; 32],
    right: Mutex<Memory>,
    wrong: Mutex<Memory>,
    under_way: Mutex<HashMap<IpAddr, u32>>,
    turn: Semaphore,
}

/// What was seen lately.
#[derive(Debug, Default)]
struct Memory {
    latest: HashSet<Fingerprint>,
    before: HashSet<Fingerprint>,
}

impl Verifier {
    /// One that remembers nothing yet.
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self {
            key,
            right: Mutex::default(),
            wrong: Mutex::default(),
            under_way: Mutex::default(),
            turn: Semaphore::new(1),
        })
    }

    /// What is known about the value of an `Authorization` field.
    pub(crate) fn look(&self, auth: &BasicAuth, value: Option<&[u8]>) -> Shown {
        let Some((name, password)) = value.and_then(credentials) else { return Shown::Wrong };
        let mut found = None;
        for user in &auth.users {
            // All of them are looked at, whichever it is.
            if bool::from(user.name.as_bytes().ct_eq(&name)) {
                found = Some(user);
            }
        }
        // A name that nobody has takes as long as any other.
        let Some(user) = found.or(auth.users.first()) else { return Shown::Wrong };
        let (hash, is_user) = (user.password.clone(), found.is_some());
        let digest = self.fingerprint(&name, &password, &hash);
        if self.right.lock().has(&digest) {
            return Shown::Right;
        }
        if self.wrong.lock().has(&digest) {
            return Shown::Wrong;
        }
        Shown::Unknown(Attempt { password, hash, is_user, digest })
    }

    /// Whether the password is right. Cancel safe; what was begun is finished and forgotten then.
    pub(crate) async fn verify(&self, attempt: Attempt, client: IpAddr) -> Result<bool, Busy> {
        let _place = self.enter(client)?;
        let Attempt { password, hash, is_user, digest } = attempt;
        let Ok(Ok(_turn)) = timeout(PATIENCE, self.turn.acquire()).await else { return Err(Busy) };
        // Somebody may have come with the same ones before.
        if self.right.lock().has(&digest) {
            return Ok(true);
        }
        let fits = blocking("compare a password", move || fits(&hash, &password)).await;
        let Ok(fits) = fits else { return Err(Busy) };
        let is_right = fits && is_user;
        let memory = if is_right { &self.right } else { &self.wrong };
        memory.lock().add(digest);
        Ok(is_right)
    }

    fn fingerprint(&self, name: &[u8], password: &[u8], hash: &PasswordHash) -> Fingerprint {
        let mut digest = Sha256::new_with_prefix(self.key);
        for part in [hash.as_str().as_bytes(), name, password] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    fn enter(&self, client: IpAddr) -> Result<Place<'_>, Busy> {
        let client = network_of(client);
        let mut under_way = self.under_way.lock();
        if under_way.len() >= MOST_AT_ALL && !under_way.contains_key(&client) {
            return Err(Busy);
        }
        let count = under_way.entry(client).or_insert(0);
        if *count >= MOST_OF_ONE {
            return Err(Busy);
        }
        *count += 1;
        drop(under_way);
        Ok(Place { verifier: self, client })
    }
}

/// A client's place among the attempts under way.
struct Place<'v> {
    verifier: &'v Verifier,
    client: IpAddr,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut under_way = self.verifier.under_way.lock();
        if let Some(count) = under_way.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.client);
            }
        }
    }
}

impl Memory {
    fn has(&self, digest: &Fingerprint) -> bool {
        // The key is ours alone, so that nobody learns anything from how long this takes.
        self.latest.contains(digest) || self.before.contains(digest)
    }

    fn add(&mut self, digest: Fingerprint) {
        if self.latest.len() >= REMEMBERED {
            self.before = std::mem::take(&mut self.latest);
        }
        self.latest.insert(digest);
    }
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attempt(…)")
    }
}

/// An IPv6 client has all addresses of its network.
fn network_of(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Name and password of a field's value.
fn credentials(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") || encoded.len() > 2 * LONGEST {
        return None;
    }
    let mut name = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = memchr::memchr(b':', &name)?;
    let password = name.split_off(colon).get(1..)?.to_vec();
    Some((name, password))
}

fn fits(hash: &PasswordHash, password: &[u8]) -> bool {
    if hash.is_bcrypt() {
        return bcrypt::verify(password, hash.as_str()).unwrap_or(false);
    }
    let parsed = argon2::password_hash::phc::PasswordHash::new(hash.as_str());
    parsed.is_ok_and(|parsed| argon2::Argon2::default().verify_password(password, &parsed).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nd_types::BasicUser;

    /// `secret`, at the least cost.
    fn auth() -> BasicAuth {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let user = BasicUser { name: "ana".into(), password: hash.parse().unwrap() };
        BasicAuth { users: vec![user], paths: vec![] }
    }

    fn basic(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    fn attempt(verifier: &Verifier, auth: &BasicAuth, text: &str) -> Attempt {
        match verifier.look(auth, Some(&basic(text))) {
            Shown::Unknown(attempt) => attempt,
            other => unreachable!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_right_password_is_right_and_known_from_then_on() {
        let (verifier, auth) = (Verifier::new().unwrap(), auth());
        let client = "192.0.2.1".parse().unwrap();
        for (text, right) in
            [("ana:secret", true), ("ana:secret ", false), ("eva:secret", false), ("ana:", false)]
        {
            assert_eq!(verifier.verify(attempt(&verifier, &auth, text), client).await, Ok(right), "{text}");
            let again = verifier.look(&auth, Some(&basic(text)));
            assert!(matches!((right, again), (true, Shown::Right) | (false, Shown::Wrong)), "{text}");
        }
    }

    #[tokio::test]
    async fn hashes_of_argon2_are_read() {
        let hash = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzYWx0$";
        let made = argon2::Argon2::new(
            argon2::Algorithm::Argon2id,
            argon2::Version::V0x13,
            argon2::Params::new(8, 1, 1, None).unwrap(),
        );
        let mut out = [0; 32];
        made.hash_password_into(b"secret", b"somesaltsalt", &mut out).unwrap();
        let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(out);
        let hash: PasswordHash = format!("{hash}{encoded}").parse().unwrap();
        assert!(fits(&hash, b"secret") && !fits(&hash, b"Secret"));
    }

    #[test]
    fn what_is_no_name_and_password_is_wrong() {
        let (verifier, auth) = (Verifier::new().unwrap(), auth());
        let values: [&[u8]; 6] = [b"", b"Basic", b"Basic !!!", b"Bearer abc", b"Basic YW5h", b"basic \xff"];
        for value in values {
            assert!(matches!(verifier.look(&auth, Some(value)), Shown::Wrong), "{value:?}");
        }
        assert!(matches!(verifier.look(&auth, None), Shown::Wrong));
    }

    #[tokio::test]
    async fn one_client_has_two_attempts_under_way_and_others_their_own() {
        let (verifier, auth) = (Verifier::new().unwrap(), auth());
        let (flood, other) = ("2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        let same_network = "2001:db8::2".parse().unwrap();
        let first = verifier.enter(flood).unwrap();
        let _second = verifier.enter(same_network).unwrap();
        assert_eq!(verifier.verify(attempt(&verifier, &auth, "ana:x"), flood).await, Err(Busy));
        assert_eq!(verifier.verify(attempt(&verifier, &auth, "ana:secret"), other).await, Ok(true));
        drop(first);
        assert_eq!(verifier.verify(attempt(&verifier, &auth, "ana:x"), flood).await, Ok(false));
    }

    #[test]
    fn memory_is_bounded_and_keeps_the_latest() {
        let mut memory = Memory::default();
        for n in 0..20_000_u32 {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&n.to_be_bytes());
            memory.add(digest);
            assert!(memory.has(&digest));
        }
        assert!(memory.latest.len() + memory.before.len() <= 2 * REMEMBERED);
    }
}
