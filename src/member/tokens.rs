//! Tokens: what a board without data proves that it knows, to be let in.
//!
//! ```text
//!   /_solder/join/ID            {"secret":"..","role":"auto","uses":0,"used":2,"cluster":".."}
//!                               held by a lease: that is its age
//!   /_solder/joined/ID/KEY      as which member the board of that key used it, held by the same lease
//! ```
//!
//! They are ordinary keys, so that every member knows them and one transaction counts their uses. Whoever may write keys may
//! change the members, too: there is nothing to hide from who can read these. Those of another cluster, which came with its
//! data, count for none: one URL must not lead into two.
//!
//! Here you will not find: who is let in (`reception`), URLs (`invitations`).

use serde::{Deserialize, Serialize};

use crate::types::{
    Bytes, ClusterId, Command, Compare, CompareResult, CompareValue, DeleteRangeRequest, Error, KeyRange,
    LeaseId, NodeId, Outcome, PutRequest, RangeRequest, Revision, TxnOp, TxnRequest,
};

use super::Member;

const TOKENS: &str = "/_solder/join/";
const USES: &str = "/_solder/joined/";

/// Tokens at one time: a list that a person can still read.
pub(super) const TOKENS_MAX: usize = 1000;

/// Boards that use one token in one moment get in each other's way, one after the other; so often a use is tried again.
const TRIES: usize = 100;

/// What a token is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It votes if a voter is wanted.
    #[default]
    Auto,
    /// It holds the data, and never votes.
    Replica,
}

/// One token, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Token {
    /// 32 hexadecimal digits.
    pub(super) secret: String,
    pub(super) role: Role,
    /// How many boards it is for; 0: any number.
    pub(super) uses: u32,
    pub(super) used: u32,
    /// Whose it is, once it is kept.
    #[serde(default)]
    pub(super) cluster: String,
}

/// And where it stands.
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) token: Token,
    pub(super) lease: LeaseId,
    modified: Revision,
}

/// Why a token does not let a board in.
#[derive(Debug)]
pub(super) enum NoUse {
    /// There is no such token (any more).
    Unknown,
    UsedUp,
    Failed(Error),
}

impl From<Error> for NoUse {
    fn from(error: Error) -> NoUse {
        NoUse::Failed(error)
    }
}

impl Token {
    pub(super) fn secret(&self) -> Option<[u8; 16]> {
        u128::from_str_radix(&self.secret, 16).ok().filter(|_| self.secret.len() == 32).map(u128::to_be_bytes)
    }

    fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("a token is text and numbers").into()
    }
}

impl Member {
    /// Nothing is changed where there is one of this id already.
    pub(super) async fn keep_token(&self, id: &str, token: &Token, lease: LeaseId) -> Result<(), Error> {
        let key = token_key(id);
        let absent = compare(&key, CompareValue::Create(Revision(0)));
        let token = Token { cluster: self.engine.identity.cluster.to_string(), ..token.clone() };
        self.change(vec![absent], vec![put(key, token.encode(), lease)]).await.map(drop)
    }

    pub(super) async fn token(&self, id: &str) -> Result<Option<Kept>, Error> {
        let found = self.read_tokens(KeyRange::single(token_key(id).as_bytes())).await?;
        Ok(found.into_iter().next())
    }

    /// In the order of their ids.
    pub(super) async fn tokens(&self) -> Result<Vec<Kept>, Error> {
        self.read_tokens(KeyRange::prefix(TOKENS.as_bytes())).await
    }

    async fn read_tokens(&self, range: KeyRange) -> Result<Vec<Kept>, Error> {
        let mut reader = self.range(RangeRequest { range, ..RangeRequest::default() }, false).await?;
        let mut tokens = Vec::new();
        loop {
            let slice = reader.next().await?;
            // What somebody else has written there is no token.
            tokens.extend(slice.rows.iter().filter_map(|row| {
                let id = str::from_utf8(row.key.strip_prefix(TOKENS.as_bytes())?).ok()?.to_owned();
                let token = serde_json::from_slice(row.value).ok().filter(|token| self.is_ours(token))?;
                Some(Kept { id, token, lease: row.lease, modified: row.rev.main })
            }));
            if slice.end.is_some() {
                return Ok(tokens);
            }
        }
    }

    /// Or of the cluster that this one follows.
    fn is_ours(&self, token: &Token) -> bool {
        let follows = self.engine.look(|core| core.roll.cluster.follows);
        [self.engine.identity.cluster, ClusterId(follows)].iter().any(|id| id.to_string() == token.cluster)
    }

    /// Its lease goes with it, and what was counted. False: there was none.
    pub(super) async fn drop_token(&self, id: &str) -> Result<bool, Error> {
        let Some(kept) = self.token(id).await? else { return Ok(false) };
        if !kept.lease.is_none() {
            // Not as a client: they wait while a cluster is being founded.
            match self.engine.propose(&Command::LeaseRevoke { id: kept.lease, only_in: None }).await {
                Ok(_) | Err(Error::LeaseNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        let ranges =
            [KeyRange::single(token_key(id).as_bytes()), KeyRange::prefix(used_key(id, "").as_bytes())];
        let delete = |range| TxnOp::DeleteRange(DeleteRangeRequest { range, prev_kv: false });
        self.change(Vec::new(), ranges.map(delete).into()).await?;
        Ok(true)
    }

    /// Counts that the board of this key uses the token to become member `id`; once, however often it says so. The id that it
    /// was counted under, which may be an earlier one.
    pub(super) async fn use_token(
        &self,
        token: &str,
        key_hash: &str,
        id: NodeId,
    ) -> Result<(Role, NodeId), NoUse> {
        for _ in 0..TRIES {
            let kept = self.token(token).await?.ok_or(NoUse::Unknown)?;
            let used = used_key(token, key_hash);
            if let Some(before) = self.used_as(&used).await? {
                return Ok((kept.token.role, before));
            }
            if kept.token.uses > 0 && kept.token.used >= kept.token.uses {
                return Err(NoUse::UsedUp);
            }
            let counted = Token { used: kept.token.used.saturating_add(1), ..kept.token };
            let key = token_key(token);
            let unchanged = compare(&key, CompareValue::Mod(kept.modified));
            let role = counted.role;
            let id_text = id.to_string().into_bytes().into();
            let puts = vec![put(key, counted.encode(), kept.lease), put(used, id_text, kept.lease)];
            match self.change(vec![unchanged], puts).await {
                Ok(true) => return Ok((role, id)),
                Ok(false) => {}
                // It ended in this moment.
                Err(Error::LeaseNotFound) => return Err(NoUse::Unknown),
                Err(error) => return Err(error.into()),
            }
        }
        Err(NoUse::Failed(Error::TooManyRequests))
    }

    /// What was counted for this key is not, so that who was refused has used nothing. (Should the same board ask another member
    /// in this moment, and be let in by what was counted, that one is not counted.)
    pub(super) async fn give_back(&self, token: &str, key_hash: &str, id: NodeId) -> Result<(), Error> {
        for _ in 0..TRIES {
            let Some(kept) = self.token(token).await? else { return Ok(()) };
            let used = used_key(token, key_hash);
            if self.used_as(&used).await? != Some(id) {
                return Ok(());
            }
            let key = token_key(token);
            let unchanged = compare(&key, CompareValue::Mod(kept.modified));
            let fewer = Token { used: kept.token.used.saturating_sub(1), ..kept.token };
            let range = KeyRange::single(used.as_bytes());
            let forget = TxnOp::DeleteRange(DeleteRangeRequest { range, prev_kv: false });
            match self.change(vec![unchanged], vec![put(key, fewer.encode(), kept.lease), forget]).await {
                Ok(false) => {}
                // It ended in this moment, and all that was counted with it.
                Ok(true) | Err(Error::LeaseNotFound) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Err(Error::TooManyRequests)
    }

    async fn used_as(&self, key: &str) -> Result<Option<NodeId>, Error> {
        let range = KeyRange::single(key.as_bytes());
        let mut reader = self.range(RangeRequest { range, ..RangeRequest::default() }, false).await?;
        let slice = reader.next().await?;
        let id =
            slice.rows.iter().find_map(|row| u64::from_str_radix(str::from_utf8(row.value).ok()?, 16).ok());
        Ok(id.map(NodeId))
    }

    /// Did the comparisons hold?
    async fn change(&self, compare: Vec<Compare>, success: Vec<TxnOp>) -> Result<bool, Error> {
        let txn = TxnRequest { compare, success, failure: Vec::new() };
        match self.engine.propose(&Command::Txn(txn)).await?.outcome {
            Outcome::Txn(outcome) => Ok(outcome.succeeded),
            outcome => unreachable!("a transaction led to {outcome:?}"),
        }
    }
}

fn token_key(id: &str) -> String {
    format!("{TOKENS}{id}")
}

fn used_key(id: &str, key_hash: &str) -> String {
    format!("{USES}{id}/{key_hash}")
}

fn compare(key: &str, value: CompareValue) -> Compare {
    Compare { range: KeyRange::single(key.as_bytes()), result: CompareResult::Equal, value }
}

fn put(key: String, value: Bytes, lease: LeaseId) -> TxnOp {
    TxnOp::Put(PutRequest { key: key.into_bytes().into(), value, lease, ..PutRequest::default() })
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use futures_lite::future;
    use smol::LocalExecutor;

    use super::*;
    use crate::member::{self, Options};

    /// A member that is ready, for as long as `test` takes.
    fn with<F: Future<Output = ()>>(test: impl FnOnce(Member, Rc<LocalExecutor<'static>>) -> F) {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let options = Options { wal_segment_bytes: 2 << 20, ..Options::new(dir.path()) };
        let (member, life) = member::open(options).expect("it opens").start(None);
        let executor = Rc::new(LocalExecutor::new());
        let test = test(member.clone(), executor.clone());
        let tested = async {
            member.ready().await;
            test.await;
        };
        async_io::block_on(executor.run(future::or(async { panic!("it ended: {:?}", life.await) }, tested)));
    }

    /// All of them have read the same when the first is counted.
    #[test]
    fn boards_that_use_it_at_one_moment() {
        with(|member, executor| async move {
            let token = Token { secret: "0".repeat(32), role: Role::Replica, uses: 2, ..Token::default() };
            member.keep_token("t", &token, LeaseId::NONE).await.expect("it is kept");
            let uses = (1..=8).map(|board| {
                let member = member.clone();
                executor.spawn(async move { member.use_token("t", &board.to_string(), NodeId(board)).await })
            });
            let uses: Vec<_> = uses.collect();
            let mut let_in = Vec::new();
            for used in uses {
                match used.await {
                    Ok((role, id)) => let_in.push((role, id)),
                    Err(error) => assert!(matches!(error, NoUse::UsedUp), "{error:?}"),
                }
            }
            assert_eq!(let_in.len(), 2, "{let_in:?}");
            // Who is in stays in, under the id that it was counted by.
            let (_, first) = let_in[0];
            let again = member.use_token("t", &first.0.to_string(), NodeId(99)).await;
            assert_eq!(again.ok(), Some((Role::Replica, first)));
            let used = async || member.token("t").await.expect("it reads").expect("it is there").token.used;
            assert_eq!(used().await, 2);
            // Who was refused after all gives its use back, once, and only its own.
            let key = first.0.to_string();
            for id in [NodeId(99), first, first] {
                member.give_back("t", &key, id).await.expect("it is written");
            }
            assert_eq!(used().await, 1);
            let other = member.use_token("t", "other", NodeId(50)).await;
            assert_eq!(other.ok(), Some((Role::Replica, NodeId(50))));
            let unknown = member.use_token("u", "1", NodeId(1)).await;
            assert!(matches!(unknown, Err(NoUse::Unknown)), "{unknown:?}");
        });
    }

    #[test]
    fn a_token_as_it_is_kept() {
        let token =
            Token { secret: "00ff".repeat(8), role: Role::Auto, uses: 3, used: 1, cluster: "c".into() };
        let text =
            br#"{"secret":"00ff00ff00ff00ff00ff00ff00ff00ff","role":"auto","uses":3,"used":1,"cluster":"c"}"#;
        assert_eq!(token.encode()[..], text[..]);
        assert_eq!(token.secret().map(|secret| secret[1]), Some(0xff));
        assert_eq!(serde_json::from_slice::<Token>(text).ok(), Some(token));
    }
}
