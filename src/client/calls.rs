//! The calls of the API, one method each.

use super::{
    Client, ClientError, KeepAlive, Stream, Watch,
    core::Effect::{None, Write},
};
use crate::rpc::{
    AlarmRequest, AlarmResponse, ClusterRolesRequest, ClusterRolesResponse, ClusterSetRequest,
    ClusterSettingsRequest, ClusterSettingsResponse, CompactionRequest, CompactionResponse,
    DefragmentRequest, DefragmentResponse, DeleteRangeRequest, DeleteRangeResponse, HashKVRequest,
    HashKVResponse, InviteListRequest, InviteListResponse, InviteRequest, InviteResponse,
    InviteRevokeRequest, InviteRevokeResponse, LeaseGrantRequest, LeaseGrantResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse,
    MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse,
    MemberRenewKeyRequest, MemberRenewKeyResponse, MemberUpdateRequest, MemberUpdateResponse,
    MoveLeaderRequest, MoveLeaderResponse, PutRequest, PutResponse, RangeRequest, RangeResponse,
    StatusRequest, StatusResponse, TxnRequest, TxnResponse, WatchCreateRequest,
};

type Answer<T> = Result<T, ClientError>;

impl Client {
    pub async fn range(&self, request: &RangeRequest) -> Answer<RangeResponse> {
        self.call("/v3/kv/range", request, None).await
    }

    pub async fn put(&self, request: &PutRequest) -> Answer<PutResponse> {
        self.call("/v3/kv/put", request, Write).await
    }

    pub async fn delete_range(&self, request: &DeleteRangeRequest) -> Answer<DeleteRangeResponse> {
        self.call("/v3/kv/deleterange", request, Write).await
    }

    pub async fn txn(&self, request: &TxnRequest) -> Answer<TxnResponse> {
        self.call("/v3/kv/txn", request, Write).await
    }

    pub async fn compact(&self, request: &CompactionRequest) -> Answer<CompactionResponse> {
        self.call("/v3/kv/compaction", request, Write).await
    }

    /// Events from `start_revision` on, or from now on if it is zero.
    pub fn watch(&self, request: WatchCreateRequest) -> Watch<'_> {
        Watch::new(self, request)
    }

    pub async fn lease_grant(&self, request: &LeaseGrantRequest) -> Answer<LeaseGrantResponse> {
        self.call("/v3/lease/grant", request, Write).await
    }

    pub async fn lease_revoke(&self, request: &LeaseRevokeRequest) -> Answer<LeaseRevokeResponse> {
        self.call("/v3/lease/revoke", request, Write).await
    }

    pub async fn lease_time_to_live(
        &self,
        request: &LeaseTimeToLiveRequest,
    ) -> Answer<LeaseTimeToLiveResponse> {
        self.call("/v3/lease/timetolive", request, None).await
    }

    pub async fn leases(&self) -> Answer<LeaseLeasesResponse> {
        self.call("/v3/lease/leases", &LeaseLeasesRequest::default(), None).await
    }

    pub fn keep_alive(&self, lease: i64) -> KeepAlive<'_> {
        KeepAlive::new(self, lease)
    }

    pub async fn member_list(&self, request: &MemberListRequest) -> Answer<MemberListResponse> {
        self.call("/v3/cluster/member/list", request, None).await
    }

    pub async fn member_add(&self, request: &MemberAddRequest) -> Answer<MemberAddResponse> {
        self.call("/v3/cluster/member/add", request, Write).await
    }

    pub async fn member_remove(&self, request: &MemberRemoveRequest) -> Answer<MemberRemoveResponse> {
        self.call("/v3/cluster/member/remove", request, Write).await
    }

    pub async fn member_update(&self, request: &MemberUpdateRequest) -> Answer<MemberUpdateResponse> {
        self.call("/v3/cluster/member/update", request, Write).await
    }

    pub async fn member_promote(&self, request: &MemberPromoteRequest) -> Answer<MemberPromoteResponse> {
        self.call("/v3/cluster/member/promote", request, Write).await
    }

    /// Solder's own: the member that is asked makes itself a new key.
    pub async fn member_renew_key(&self) -> Answer<MemberRenewKeyResponse> {
        self.call("/v3/cluster/member/renew-key", &MemberRenewKeyRequest::default(), Write).await
    }

    /// Solder's own: what holds for all members.
    pub async fn cluster_settings(&self) -> Answer<ClusterSettingsResponse> {
        self.call("/v3/cluster/settings", &ClusterSettingsRequest::default(), None).await
    }

    /// Solder's own: why members are what they are.
    pub async fn cluster_roles(&self) -> Answer<ClusterRolesResponse> {
        self.call("/v3/cluster/roles", &ClusterRolesRequest::default(), None).await
    }

    pub async fn cluster_set(&self, request: &ClusterSetRequest) -> Answer<ClusterSettingsResponse> {
        self.call("/v3/cluster/settings/set", request, Write).await
    }

    /// Solder's own: a URL that lets boards in.
    pub async fn invite(&self, request: &InviteRequest) -> Answer<InviteResponse> {
        self.call("/v3/cluster/invite", request, Write).await
    }

    pub async fn invites(&self) -> Answer<InviteListResponse> {
        self.call("/v3/cluster/invite/list", &InviteListRequest::default(), None).await
    }

    pub async fn invite_revoke(&self, request: &InviteRevokeRequest) -> Answer<InviteRevokeResponse> {
        self.call("/v3/cluster/invite/revoke", request, Write).await
    }

    pub async fn status(&self) -> Answer<StatusResponse> {
        self.call("/v3/maintenance/status", &StatusRequest::default(), None).await
    }

    pub async fn hash_kv(&self, request: &HashKVRequest) -> Answer<HashKVResponse> {
        self.call("/v3/maintenance/hashkv", request, None).await
    }

    pub async fn alarm(&self, request: &AlarmRequest) -> Answer<AlarmResponse> {
        self.call("/v3/maintenance/alarm", request, Write).await
    }

    pub async fn defragment(&self) -> Answer<DefragmentResponse> {
        self.call("/v3/maintenance/defragment", &DefragmentRequest::default(), Write).await
    }

    pub async fn move_leader(&self, request: &MoveLeaderRequest) -> Answer<MoveLeaderResponse> {
        self.call("/v3/maintenance/transfer-leadership", request, Write).await
    }

    /// The store as a stream of `SnapshotResponse`s; the last holds the sha256 of what the others hold.
    pub async fn snapshot(&self) -> Answer<Stream> {
        self.stream("/v3/maintenance/snapshot", b"{}").await
    }
}
