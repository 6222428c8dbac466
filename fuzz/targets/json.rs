//! Bodies of requests.

use solder::rpc::*;

/// Of every message: what is read is written in a form that is read again as the same. The first byte chooses the message.
pub fn json_bodies(data: &[u8]) {
    let Some((&choice, body)) = data.split_first() else { return };
    let reader = READERS[usize::from(choice) % READERS.len()];
    reader(body);
}

const READERS: [fn(&[u8]); 20] = [
    one::<RangeRequest>,
    one::<PutRequest>,
    one::<DeleteRangeRequest>,
    one::<TxnRequest>,
    one::<CompactionRequest>,
    all::<WatchRequest>,
    one::<LeaseGrantRequest>,
    one::<LeaseRevokeRequest>,
    one::<LeaseTimeToLiveRequest>,
    one::<LeaseLeasesRequest>,
    all::<LeaseKeepAliveRequest>,
    one::<MemberAddRequest>,
    one::<MemberUpdateRequest>,
    one::<MemberListRequest>,
    one::<AlarmRequest>,
    one::<DowngradeRequest>,
    one::<HashKVRequest>,
    one::<MoveLeaderRequest>,
    one::<RangeResponse>,
    one::<WatchResponse>,
];

fn one<M: Message + Value>(body: &[u8]) {
    match decode::<M>(body) {
        Ok(message) => comes_back(&message),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn all<M: Message + Value>(body: &[u8]) {
    let mut failed = false;
    for message in Documents::<M>::new(body) {
        assert!(!failed, "a message behind an error");
        match message {
            Ok(message) => comes_back(&message),
            Err(_) => failed = true,
        }
    }
}

/// What is read is written in a form that is read again as the same.
pub(super) fn comes_back<M: Message + Value>(message: &M) {
    let bytes = encode(message);
    let again: M =
        decode(&bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&bytes)));
    assert_eq!(encode(&again), bytes, "{}", String::from_utf8_lossy(&bytes));
}
