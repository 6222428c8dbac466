//! The members. Lists them; what changes them comes with replication, and is refused as far as etcd would refuse it.

use super::{
    Api,
    errors::{Fault, Refusal},
};
use crate::{
    member::MemberInfo,
    rpc,
    types::{Error, NodeId, Revision},
};

pub(super) async fn list(
    api: &Api,
    request: rpc::MemberListRequest,
) -> Result<rpc::MemberListResponse, Fault> {
    let mut members = api.member.members(request.linearizable).await?;
    members.sort_by_key(|member| member.id);
    let members = members.into_iter().map(member).collect();
    // A header of the cluster has no revision.
    Ok(rpc::MemberListResponse { header: Some(api.header_at(Revision(0))), members })
}

fn member(info: MemberInfo) -> rpc::Member {
    rpc::Member {
        id: info.id.0,
        name: info.name,
        peer_urls: info.peer_urls,
        client_urls: info.client_urls,
        is_learner: info.is_learner,
    }
}

pub(super) async fn add(request: rpc::MemberAddRequest) -> Result<rpc::MemberAddResponse, Fault> {
    let urls = &request.peer_urls;
    if urls.is_empty() || !urls.iter().all(|url| is_peer_url(url)) {
        return Err(Refusal::MEMBER_URLS.into());
    }
    Err(Refusal::ABSENT.into())
}

pub(super) async fn remove(
    api: &Api,
    request: rpc::MemberRemoveRequest,
) -> Result<rpc::MemberRemoveResponse, Fault> {
    change(api, request.id).await
}

pub(super) async fn update(
    api: &Api,
    request: rpc::MemberUpdateRequest,
) -> Result<rpc::MemberUpdateResponse, Fault> {
    change(api, request.id).await
}

pub(super) async fn promote(
    api: &Api,
    request: rpc::MemberPromoteRequest,
) -> Result<rpc::MemberPromoteResponse, Fault> {
    change(api, request.id).await
}

/// Of a member that there is not, it can be said at once.
async fn change<T>(api: &Api, id: u64) -> Result<T, Fault> {
    let members = api.member.members(false).await?;
    let known = members.iter().any(|member| member.id == NodeId(id));
    Err(if known { Refusal::ABSENT.into() } else { Error::MemberNotFound.into() })
}

/// `http://host:port`, nothing behind it; a unix socket has a path for a host.
fn is_peer_url(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    match scheme {
        "unix" | "unixs" => !rest.is_empty(),
        "http" | "https" => match rest.rsplit_once(':') {
            Some((host, port)) => !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok(),
            None => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_urls() {
        for good in ["http://127.0.0.1:2380", "https://[::1]:1", "unix://a:1"] {
            assert!(is_peer_url(good), "{good}");
        }
        for bad in
            ["nonsense", "", "http://no-port", "http://127.0.0.1:1/path", "ftp://127.0.0.1:1", "http://:1"]
        {
            assert!(!is_peer_url(bad), "{bad}");
        }
    }
}
