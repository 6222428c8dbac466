//! The one table from paths to what answers there.

use std::borrow::Cow;

use super::discovery::{self, Place};

/// What a path asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Route {
    Call(&'static Row),
    /// Below /v3, but nothing that etcd has.
    NoCall,
    Page(Page),
    /// The raw value of a key: what follows `/kv/`, still percent-encoded, is the key.
    Key(String),
    Metrics,
    Discovery(Place),
    Moved(String),
    Nothing,
}

impl Route {
    /// What a discovery service answers that is nothing else: none of it can read or write keys.
    pub(super) fn is_for_strangers(&self) -> bool {
        matches!(self, Route::Page(_) | Route::Metrics | Route::Discovery(_))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Page {
    Version,
    Health,
    /// With the name of one check, if the path has one.
    Livez(Option<Check>),
    Readyz(Option<Check>),
}

/// What /livez and /readyz look at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

impl Check {
    pub(super) const LIVEZ: &[Check] = &[Check::SerializableRead];
    pub(super) const READYZ: &[Check] =
        &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner];

    pub(super) fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
        }
    }
}

/// One path of the gateway.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) path: &'static str,
    pub(super) call: Call,
    /// How etcd's metrics name it.
    pub(super) service: &'static str,
    pub(super) method: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Call {
    Unary(Unary),
    Stream(Stream),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unary {
    Range,
    Put,
    DeleteRange,
    Txn,
    Compact,
    LeaseGrant,
    LeaseRevoke,
    LeaseTimeToLive,
    LeaseLeases,
    MemberAdd,
    MemberRemove,
    MemberUpdate,
    MemberPromote,
    MemberList,
    MemberRenewKey,
    ClusterSettings,
    ClusterSet,
    ClusterRoles,
    Invite,
    InviteList,
    InviteRevoke,
    Alarm,
    Status,
    Defragment,
    Hash,
    HashKv,
    MoveLeader,
    Downgrade,
    AuthStatus,
    UserGet,
    /// etcd has it, this version does not.
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stream {
    Watch,
    LeaseKeepAlive,
    Snapshot,
}

const KV: &str = "etcdserverpb.KV";
const WATCH: &str = "etcdserverpb.Watch";
const LEASE: &str = "etcdserverpb.Lease";
const CLUSTER: &str = "etcdserverpb.Cluster";
const MAINTENANCE: &str = "etcdserverpb.Maintenance";
const AUTH: &str = "etcdserverpb.Auth";
const LOCK: &str = "v3lockpb.Lock";
const ELECTION: &str = "v3electionpb.Election";

const fn unary(path: &'static str, call: Unary, service: &'static str, method: &'static str) -> Row {
    Row { path, call: Call::Unary(call), service, method }
}

const fn stream(path: &'static str, call: Stream, service: &'static str, method: &'static str) -> Row {
    Row { path, call: Call::Stream(call), service, method }
}

static CALLS: &[Row] = &[
    unary("/v3/kv/range", Unary::Range, KV, "Range"),
    unary("/v3/kv/put", Unary::Put, KV, "Put"),
    unary("/v3/kv/deleterange", Unary::DeleteRange, KV, "DeleteRange"),
    unary("/v3/kv/txn", Unary::Txn, KV, "Txn"),
    unary("/v3/kv/compaction", Unary::Compact, KV, "Compact"),
    stream("/v3/watch", Stream::Watch, WATCH, "Watch"),
    unary("/v3/lease/grant", Unary::LeaseGrant, LEASE, "LeaseGrant"),
    unary("/v3/lease/revoke", Unary::LeaseRevoke, LEASE, "LeaseRevoke"),
    unary("/v3/kv/lease/revoke", Unary::LeaseRevoke, LEASE, "LeaseRevoke"),
    stream("/v3/lease/keepalive", Stream::LeaseKeepAlive, LEASE, "LeaseKeepAlive"),
    unary("/v3/lease/timetolive", Unary::LeaseTimeToLive, LEASE, "LeaseTimeToLive"),
    unary("/v3/kv/lease/timetolive", Unary::LeaseTimeToLive, LEASE, "LeaseTimeToLive"),
    unary("/v3/lease/leases", Unary::LeaseLeases, LEASE, "LeaseLeases"),
    unary("/v3/kv/lease/leases", Unary::LeaseLeases, LEASE, "LeaseLeases"),
    unary("/v3/cluster/member/add", Unary::MemberAdd, CLUSTER, "MemberAdd"),
    unary("/v3/cluster/member/remove", Unary::MemberRemove, CLUSTER, "MemberRemove"),
    unary("/v3/cluster/member/update", Unary::MemberUpdate, CLUSTER, "MemberUpdate"),
    unary("/v3/cluster/member/promote", Unary::MemberPromote, CLUSTER, "MemberPromote"),
    unary("/v3/cluster/member/list", Unary::MemberList, CLUSTER, "MemberList"),
    // Solder's own.
    unary("/v3/cluster/member/renew-key", Unary::MemberRenewKey, CLUSTER, "MemberRenewKey"),
    unary("/v3/cluster/settings", Unary::ClusterSettings, CLUSTER, "Settings"),
    unary("/v3/cluster/settings/set", Unary::ClusterSet, CLUSTER, "SetSettings"),
    unary("/v3/cluster/invite", Unary::Invite, CLUSTER, "Invite"),
    unary("/v3/cluster/invite/list", Unary::InviteList, CLUSTER, "InviteList"),
    unary("/v3/cluster/invite/revoke", Unary::InviteRevoke, CLUSTER, "InviteRevoke"),
    unary("/v3/cluster/roles", Unary::ClusterRoles, CLUSTER, "Roles"),
    unary("/v3/maintenance/alarm", Unary::Alarm, MAINTENANCE, "Alarm"),
    unary("/v3/maintenance/status", Unary::Status, MAINTENANCE, "Status"),
    unary("/v3/maintenance/defragment", Unary::Defragment, MAINTENANCE, "Defragment"),
    unary("/v3/maintenance/hash", Unary::Hash, MAINTENANCE, "Hash"),
    unary("/v3/maintenance/hashkv", Unary::HashKv, MAINTENANCE, "HashKV"),
    stream("/v3/maintenance/snapshot", Stream::Snapshot, MAINTENANCE, "Snapshot"),
    unary("/v3/maintenance/transfer-leadership", Unary::MoveLeader, MAINTENANCE, "MoveLeader"),
    unary("/v3/maintenance/downgrade", Unary::Downgrade, MAINTENANCE, "Downgrade"),
    unary("/v3/auth/status", Unary::AuthStatus, AUTH, "AuthStatus"),
    unary("/v3/auth/enable", Unary::Absent, AUTH, "AuthEnable"),
    unary("/v3/auth/disable", Unary::Absent, AUTH, "AuthDisable"),
    unary("/v3/auth/authenticate", Unary::Absent, AUTH, "Authenticate"),
    unary("/v3/auth/user/add", Unary::Absent, AUTH, "UserAdd"),
    unary("/v3/auth/user/get", Unary::UserGet, AUTH, "UserGet"),
    unary("/v3/auth/user/list", Unary::Absent, AUTH, "UserList"),
    unary("/v3/auth/user/delete", Unary::Absent, AUTH, "UserDelete"),
    unary("/v3/auth/user/changepw", Unary::Absent, AUTH, "UserChangePassword"),
    unary("/v3/auth/user/grant", Unary::Absent, AUTH, "UserGrantRole"),
    unary("/v3/auth/user/revoke", Unary::Absent, AUTH, "UserRevokeRole"),
    unary("/v3/auth/role/add", Unary::Absent, AUTH, "RoleAdd"),
    unary("/v3/auth/role/get", Unary::Absent, AUTH, "RoleGet"),
    unary("/v3/auth/role/list", Unary::Absent, AUTH, "RoleList"),
    unary("/v3/auth/role/delete", Unary::Absent, AUTH, "RoleDelete"),
    unary("/v3/auth/role/grant", Unary::Absent, AUTH, "RoleGrantPermission"),
    unary("/v3/auth/role/revoke", Unary::Absent, AUTH, "RoleRevokePermission"),
    unary("/v3/lock/lock", Unary::Absent, LOCK, "Lock"),
    unary("/v3/lock/unlock", Unary::Absent, LOCK, "Unlock"),
    unary("/v3/election/campaign", Unary::Absent, ELECTION, "Campaign"),
    unary("/v3/election/proclaim", Unary::Absent, ELECTION, "Proclaim"),
    unary("/v3/election/leader", Unary::Absent, ELECTION, "Leader"),
    unary("/v3/election/observe", Unary::Absent, ELECTION, "Observe"),
    unary("/v3/election/resign", Unary::Absent, ELECTION, "Resign"),
];

/// Where a request goes. `path` is as it came.
pub(super) fn find(path: &str) -> Route {
    let path = match path.strip_prefix("/v3beta/") {
        Some(rest) => Cow::Owned(format!("/v3/{rest}")),
        None => Cow::Borrowed(path),
    };
    if let Some(row) = CALLS.iter().find(|row| row.path == path) {
        return Route::Call(row);
    }
    if let Some(key) = path.strip_prefix("/kv/") {
        return Route::Key(key.to_owned());
    }
    if let Some(clean) = cleaned(&path) {
        return Route::Moved(clean);
    }
    match &*path {
        "/v3" => Route::Moved("/v3/".to_owned()),
        "/version" => Route::Page(Page::Version),
        "/health" => Route::Page(Page::Health),
        "/livez" => Route::Page(Page::Livez(None)),
        "/readyz" => Route::Page(Page::Readyz(None)),
        "/metrics" => Route::Metrics,
        path if path.starts_with("/v3/") => Route::NoCall,
        path => match discovery::find(path) {
            Some(place) => Route::Discovery(place),
            None => sub_page(path).map_or(Route::Nothing, Route::Page),
        },
    }
}

fn sub_page(path: &str) -> Option<Page> {
    let check = |checks: &[Check], name| checks.iter().copied().find(|check| check.name() == name);
    if let Some(name) = path.strip_prefix("/livez/") {
        return check(Check::LIVEZ, name).map(|check| Page::Livez(Some(check)));
    }
    let name = path.strip_prefix("/readyz/")?;
    check(Check::READYZ, name).map(|check| Page::Readyz(Some(check)))
}

/// The path without empty, `.` and `..` steps, as Go's ServeMux wants it; `None`: it is.
fn cleaned(path: &str) -> Option<String> {
    let is_clean = path.starts_with('/')
        && path[1..].split('/').rev().skip(1).all(|step| !matches!(step, "" | "." | ".."))
        && !matches!(path.rsplit('/').next(), Some("." | ".."));
    if is_clean {
        return None;
    }
    let mut steps = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    let end = if path.ends_with('/') && !steps.is_empty() { "/" } else { "" };
    Some(format!("/{}{end}", steps.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(path: &str) -> Option<&'static str> {
        match find(path) {
            Route::Call(row) => Some(row.method),
            _ => None,
        }
    }

    #[test]
    fn where_paths_lead() {
        assert_eq!(method("/v3/kv/range"), Some("Range"));
        assert_eq!(method("/v3beta/kv/range"), Some("Range"));
        assert_eq!(method("/v3/kv/lease/revoke"), Some("LeaseRevoke"));
        let moved = |to: &str| Route::Moved(to.to_owned());
        let cases = [
            ("/v3", moved("/v3/")),
            ("/v3//kv/range", moved("/v3/kv/range")),
            ("//evil.example/", moved("/evil.example/")),
            ("/v3/../version", moved("/version")),
            ("/v3/.", moved("/v3")),
            ("//", moved("/")),
            ("*", moved("/*")),
            ("/v3/", Route::NoCall),
            ("/v3/kv/range/", Route::NoCall),
            ("/v3/KV/range", Route::NoCall),
            ("/v3/kv/lease/grant", Route::NoCall),
            ("/v3alpha/kv/range", Route::Nothing),
            ("/", Route::Nothing),
            ("/kv", Route::Nothing),
            ("/health/", Route::Nothing),
            ("/livez/linearizable_read", Route::Nothing),
            ("/livez/serializable_read", Route::Page(Page::Livez(Some(Check::SerializableRead)))),
            ("/readyz/non_learner", Route::Page(Page::Readyz(Some(Check::NonLearner)))),
            ("/kv//boards/../a", Route::Key("/boards/../a".to_owned())),
            ("/kv/", Route::Key(String::new())),
        ];
        for (path, route) in cases {
            assert_eq!(find(path), route, "{path}");
        }
    }

    #[test]
    fn no_path_stands_twice() {
        for (index, row) in CALLS.iter().enumerate() {
            assert!(CALLS[..index].iter().all(|other| other.path != row.path), "{}", row.path);
        }
    }
}
