//! Users and groups of the host, from passwd(5) and group(5).

use std::fs;

use crate::error::ProcessError;
use crate::protocol::Identity;

/// Whom a unit runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// Name, home and shell, where the system knows the user.
    pub(crate) account: Option<Account>,
    /// The numbers.
    pub(crate) identity: Identity,
}

/// What passwd(5) says beside the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) home: String,
    pub(crate) shell: String,
}

/// Looks up `user[:group]`, names or numbers, in the files of this host.
///
/// # Errors
/// [`ProcessError::NoSuch`] for a name that the files do not hold, or when they cannot be read.
pub(crate) fn find(text: &str) -> Result<User, ProcessError> {
    let read = |path: &'static str| {
        fs::read(path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|error| ProcessError::file("read", path, error))
    };
    find_in(text, &read("/etc/passwd")?, &read("/etc/group")?)
}

/// The account of this number, if there is one.
pub(crate) fn account(uid: u32) -> Option<Account> {
    let passwd = fs::read("/etc/passwd").ok()?;
    String::from_utf8_lossy(&passwd)
        .lines()
        .filter_map(entry)
        .find(|entry| entry.uid == uid)
        .map(|entry| entry.account)
}

fn find_in(text: &str, passwd: &str, group: &str) -> Result<User, ProcessError> {
    let (user, wanted) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let number: Option<u32> = user.parse().ok();
    let known = passwd
        .lines()
        .filter_map(entry)
        .find(|entry| entry.account.name == user || Some(entry.uid) == number);
    let no_such = |kind, name: &str| ProcessError::NoSuch { kind, name: name.to_owned() };
    let (uid, own_gid, account) = match (known, number) {
        (Some(entry), _) => (entry.uid, entry.gid, Some(entry.account)),
        // As Docker does: a number needs no entry; its group is its own.
        (None, Some(uid)) => (uid, uid, None),
        (None, None) => return Err(no_such("user", user)),
    };
    let gid = match wanted {
        None => own_gid,
        Some(wanted) => gid_of(wanted, group).ok_or_else(|| no_such("group", wanted))?,
    };
    let name = account.as_ref().map(|account| account.name.as_str());
    let mut groups: Vec<u32> = group.lines().filter_map(|line| membership(line, name?)).collect();
    groups.push(gid);
    groups.sort_unstable();
    groups.dedup();
    Ok(User { account, identity: Identity { uid, gid, groups } })
}

struct Entry {
    uid: u32,
    gid: u32,
    account: Account,
}

/// `name:password:uid:gid:comment:home:shell`.
fn entry(line: &str) -> Option<Entry> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1)?.to_owned();
    let shell = fields.next().unwrap_or_default().to_owned();
    Some(Entry { uid, gid, account: Account { name, home, shell } })
}

/// `name:password:gid:member,member`.
fn gid_of(wanted: &str, group: &str) -> Option<u32> {
    let named = |line: &str| {
        let mut fields = line.split(':');
        (fields.next()? == wanted).then(|| fields.nth(1)?.parse().ok()).flatten()
    };
    group.lines().find_map(named).or_else(|| wanted.parse().ok())
}

fn membership(line: &str, user: &str) -> Option<u32> {
    let mut fields = line.split(':').skip(2);
    let gid = fields.next()?.parse().ok()?;
    fields.next()?.split(',').any(|member| member == user).then_some(gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\nbroken\ndeploy:x:1000:1001:D:/home/deploy:/bin/sh\n";
    const GROUP: &str = "root:x:0:\ndocker:x:99:other,deploy\ndeploy:x:1001:\nvideo:x:44:deployer\n";

    #[test]
    fn a_user_has_its_own_group_and_those_it_is_a_member_of() {
        let user = find_in("deploy", PASSWD, GROUP).unwrap();
        assert_eq!(user.identity, Identity { uid: 1000, gid: 1001, groups: vec![99, 1001] });
        assert_eq!(user.account.unwrap().home, "/home/deploy");
    }

    #[test]
    fn numbers_and_groups_can_be_given() {
        let user = find_in("1000:docker", PASSWD, GROUP).unwrap();
        assert_eq!(user.identity, Identity { uid: 1000, gid: 99, groups: vec![99] });
        let user = find_in("4711", PASSWD, GROUP).unwrap();
        assert_eq!(
            user,
            User { account: None, identity: Identity { uid: 4711, gid: 4711, groups: vec![4711] } }
        );
    }

    #[test]
    fn an_unknown_name_is_named() {
        assert_eq!(
            find_in("depoly", PASSWD, GROUP).unwrap_err().to_string(),
            "there is no user `depoly` on this host"
        );
        assert_eq!(
            find_in("deploy:x", PASSWD, GROUP).unwrap_err().to_string(),
            "there is no group `x` on this host"
        );
    }
}
