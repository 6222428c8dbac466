//! Invitations to join the cluster.

use super::{
    Api,
    errors::{Code, Fault, Refusal},
};
use crate::{
    member::{Invitation, InviteError, Invitee, Role},
    rpc,
    types::limits,
};

pub(super) async fn invite(api: &Api, request: rpc::InviteRequest) -> Result<rpc::InviteResponse, Fault> {
    if !(0..=limits::LEASE_TTL_MAX_S).contains(&request.ttl) {
        return Err(Refusal::told(
            Code::InvalidArgument,
            "TTL: give seconds, or 0 for one that does not end",
        )
        .into());
    }
    let role = if request.replica { Role::Replica } else { Role::Auto };
    let wanted = Invitation { ttl_s: request.ttl, uses: request.uses, role };
    let invited = api.member.invite(wanted).await.map_err(|error| match error {
        InviteError::Refused(why) => Refusal::told(Code::FailedPrecondition, why),
        InviteError::Failed(error) => Refusal::of_write(error),
    })?;
    Ok(rpc::InviteResponse {
        header: Some(api.header()),
        url: invited.url,
        id: invited.id,
        ttl: invited.ttl_s,
        near_url: invited.near_url.unwrap_or_default(),
    })
}

pub(super) async fn list(api: &Api, _: rpc::InviteListRequest) -> Result<rpc::InviteListResponse, Fault> {
    let invites = api.member.invitations().await?.into_iter().map(status).collect();
    Ok(rpc::InviteListResponse { header: Some(api.header()), invites })
}

pub(super) async fn revoke(
    api: &Api,
    request: rpc::InviteRevokeRequest,
) -> Result<rpc::InviteRevokeResponse, Fault> {
    let was_there = api.member.revoke_invitation(&request.id).await.map_err(Refusal::of_write)?;
    match was_there {
        true => Ok(rpc::InviteRevokeResponse { header: Some(api.header()) }),
        false => {
            let why = format!("there is no invitation {}: see `solder invite --list`", request.id);
            Err(Refusal::told(Code::NotFound, why).into())
        }
    }
}

fn status(invitee: Invitee) -> rpc::InviteStatus {
    let Invitee { id, role, uses, used, left_s } = invitee;
    rpc::InviteStatus { id, replica: role == Role::Replica, uses, used, ttl: left_s.unwrap_or(-1) }
}
