//! The members, and what holds for all of them.

use super::{
    Api,
    errors::{Code, Fault, Refusal},
};
use crate::{
    member::{self, ClusterSettings, ClusterSettingsChange, MemberInfo, RenewalError},
    rpc,
    types::{NodeId, Revision, hex},
};

pub(super) async fn list(
    api: &Api,
    request: rpc::MemberListRequest,
) -> Result<rpc::MemberListResponse, Fault> {
    let found = api.member.members(request.linearizable).await?;
    Ok(rpc::MemberListResponse { header: header(api), members: members(found) })
}

pub(super) async fn add(api: &Api, request: rpc::MemberAddRequest) -> Result<rpc::MemberAddResponse, Fault> {
    let urls = peer_urls(&request.peer_urls)?;
    let added = api.member.member_add(urls, request.is_learner).await;
    let (new, all) = added.map_err(Refusal::of_write)?;
    Ok(rpc::MemberAddResponse { header: header(api), member: Some(member(new)), members: members(all) })
}

pub(super) async fn remove(
    api: &Api,
    request: rpc::MemberRemoveRequest,
) -> Result<rpc::MemberRemoveResponse, Fault> {
    let left = api.member.member_remove(NodeId(request.id)).await.map_err(Refusal::of_write)?;
    Ok(rpc::MemberRemoveResponse { header: header(api), members: members(left) })
}

/// etcd takes whatever stands there, and does not survive it if that is no URL.
pub(super) async fn update(
    api: &Api,
    request: rpc::MemberUpdateRequest,
) -> Result<rpc::MemberUpdateResponse, Fault> {
    let urls = peer_urls(&request.peer_urls)?;
    let all = api.member.member_update(NodeId(request.id), urls).await.map_err(Refusal::of_write)?;
    Ok(rpc::MemberUpdateResponse { header: header(api), members: members(all) })
}

pub(super) async fn promote(
    api: &Api,
    request: rpc::MemberPromoteRequest,
) -> Result<rpc::MemberPromoteResponse, Fault> {
    let promoted = api.member.member_promote(NodeId(request.id)).await;
    api.counters.promoted(promoted.as_ref().err());
    let all = promoted.map_err(Refusal::of_write)?;
    Ok(rpc::MemberPromoteResponse { header: header(api), members: members(all) })
}

/// Of this member itself.
pub(super) async fn renew_key(
    api: &Api,
    _: rpc::MemberRenewKeyRequest,
) -> Result<rpc::MemberRenewKeyResponse, Fault> {
    let key = api.member.renew_key().await.map_err(|error| match error {
        RenewalError::Refused(why) => Refusal::told(Code::FailedPrecondition, why),
        RenewalError::Failed(error) => Refusal::of_write(error),
    })?;
    Ok(rpc::MemberRenewKeyResponse { header: header(api), key: hex(key) })
}

pub(super) async fn settings(
    api: &Api,
    _: rpc::ClusterSettingsRequest,
) -> Result<rpc::ClusterSettingsResponse, Fault> {
    let settings = api.member.cluster_settings().await?;
    Ok(settings_response(api, &settings))
}

/// What is not given stays as it is.
pub(super) async fn set_settings(
    api: &Api,
    request: rpc::ClusterSetRequest,
) -> Result<rpc::ClusterSettingsResponse, Fault> {
    let given = |number: u32| (number > 0).then_some(number);
    let voters = (request.voters != 0).then(|| u32::try_from(request.voters).unwrap_or(0));
    let change = ClusterSettingsChange {
        heartbeat_ms: given(request.heartbeat_interval),
        election_ms: given(request.election_timeout),
        voters_max: voters,
        replace_after_s: given(request.replace_after),
        learners_max: given(request.max_learners),
        size: given(request.size),
    };
    if change == ClusterSettingsChange::default() {
        return Err(Refusal::NO_SETTINGS.into());
    }
    let settings = api.member.change_cluster_settings(change).await.map_err(Refusal::of_write)?;
    Ok(settings_response(api, &settings))
}

fn settings_response(api: &Api, settings: &ClusterSettings) -> rpc::ClusterSettingsResponse {
    let (heartbeat_interval, election_timeout) = settings.timeouts_ms;
    rpc::ClusterSettingsResponse {
        header: header(api),
        heartbeat_interval,
        election_timeout,
        voters: settings.voters_max,
        replace_after: settings.replace_after_s,
        max_learners: settings.learners_max,
    }
}

pub(super) async fn roles(
    api: &Api,
    _: rpc::ClusterRolesRequest,
) -> Result<rpc::ClusterRolesResponse, Fault> {
    let roles = api.member.roles().await?.into_iter();
    let roles = roles.map(|role| rpc::MemberRole { id: role.id.0, since: role.since_s, why: role.why });
    Ok(rpc::ClusterRolesResponse { header: header(api), roles: roles.collect() })
}

/// A header of the cluster has no revision.
fn header(api: &Api) -> Option<rpc::ResponseHeader> {
    Some(api.header_at(Revision(0)))
}

fn members(infos: Vec<MemberInfo>) -> Vec<rpc::Member> {
    infos.into_iter().map(member).collect()
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

/// In order, without the blanks around them, as etcd keeps them.
fn peer_urls(given: &[String]) -> Result<Vec<String>, Refusal> {
    let mut urls: Vec<String> = given.iter().map(|url| url.trim().to_owned()).collect();
    urls.sort();
    match !urls.is_empty() && urls.iter().all(|url| is_peer_url(url)) {
        true => Ok(urls),
        false => Err(Refusal::MEMBER_URLS),
    }
}

/// `http://host:port`, nothing behind it. etcd takes unix sockets too; nobody here could reach them.
fn is_peer_url(url: &str) -> bool {
    !url.ends_with('/') && member::is_peer_url(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_peer_urls_are_taken() {
        for good in ["http://127.0.0.1:2380", "https://[::1]:1", " http://board-1.local:1 "] {
            assert_eq!(peer_urls(&[good.to_owned()]), Ok(vec![good.trim().to_owned()]));
        }
        let bad = ["nonsense", "", "http://h", "http://h:1/path", "http://h:1/", "ftp://h:1", "http://:1"];
        for bad in bad.into_iter().chain(["unix://a:1", "http://h:65536"]) {
            let urls = ["http://h:1".to_owned(), bad.to_owned()];
            assert_eq!(peer_urls(&urls), Err(Refusal::MEMBER_URLS), "{bad}");
        }
        assert_eq!(peer_urls(&[]), Err(Refusal::MEMBER_URLS));
        let two = ["http://b:1".to_owned(), "http://a:1".to_owned()];
        assert_eq!(peer_urls(&two), Ok(vec![two[1].clone(), two[0].clone()]));
    }
}
