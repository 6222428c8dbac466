//! Leases.

use super::{
    Api,
    errors::{Fault, Refusal},
    lines::Lines,
};
use crate::{
    http::Closed,
    rpc::{self, Documents},
    types::{Error, LeaseId, limits},
};

pub(super) async fn grant(
    api: &Api,
    request: rpc::LeaseGrantRequest,
) -> Result<rpc::LeaseGrantResponse, Fault> {
    if request.ttl > limits::LEASE_TTL_MAX_S {
        return Err(Error::LeaseTtlTooLarge.into());
    }
    let granted = api.member.lease_grant(LeaseId(request.id), request.ttl).await;
    let (id, ttl) = granted.map_err(Refusal::of_write)?;
    Ok(rpc::LeaseGrantResponse { header: Some(api.header()), id: id.0, ttl, error: String::new() })
}

pub(super) async fn revoke(
    api: &Api,
    request: rpc::LeaseRevokeRequest,
) -> Result<rpc::LeaseRevokeResponse, Fault> {
    api.member.lease_revoke(LeaseId(request.id)).await.map_err(Refusal::of_write)?;
    Ok(rpc::LeaseRevokeResponse { header: Some(api.header()) })
}

/// Of an unknown lease, the time left is -1.
pub(super) async fn time_to_live(
    api: &Api,
    request: rpc::LeaseTimeToLiveRequest,
) -> Result<rpc::LeaseTimeToLiveResponse, Fault> {
    let found = api.member.lease_time_to_live(LeaseId(request.id), request.keys).await?;
    let (header, id) = (Some(api.header()), request.id);
    Ok(match found {
        Some(found) => rpc::LeaseTimeToLiveResponse {
            header,
            id,
            ttl: found.ttl_s,
            granted_ttl: found.granted_ttl_s,
            keys: found.keys,
        },
        None => rpc::LeaseTimeToLiveResponse { header, id, ttl: -1, ..Default::default() },
    })
}

pub(super) async fn leases(api: &Api, _: rpc::LeaseLeasesRequest) -> Result<rpc::LeaseLeasesResponse, Fault> {
    let leases = api.member.leases().await?;
    let leases = leases.into_iter().map(|id| rpc::LeaseStatus { id: id.0 }).collect();
    Ok(rpc::LeaseLeasesResponse { header: Some(api.header()), leases })
}

/// One answer a request, in order; ends with the requests.
pub(super) async fn keep_alive(api: &Api, first: Vec<u8>, mut lines: Lines<'_, '_>) -> Result<(), Closed> {
    let mut next = Some(first);
    let mut answered = false;
    while let Some(body) = next {
        for request in Documents::<rpc::LeaseKeepAliveRequest>::new(&body) {
            let line = match request {
                Ok(request) => renewed(api, request).await,
                // What is broken behind something good is the end, as for etcd.
                Err(_) if answered => return lines.end().await,
                Err(error) => Err(error.into()),
            };
            match line {
                Ok(line) => lines.send(line).await?,
                Err(refusal) => return lines.fail(&refusal).await,
            }
            answered = true;
        }
        drop(body);
        next = lines.receive_more().await?;
    }
    lines.end().await
}

async fn renewed(api: &Api, request: rpc::LeaseKeepAliveRequest) -> Result<Vec<u8>, Refusal> {
    let ttl = api.member.lease_keep_alive(LeaseId(request.id)).await?.unwrap_or(0);
    let result = rpc::LeaseKeepAliveResponse { header: Some(api.header()), id: request.id, ttl };
    Ok(rpc::encode(&rpc::StreamMessage { result: Some(result), error: None }))
}
