//! What a board without data makes of what other boards say of their cluster: may it found one, or whom does it join as?
//! The rules and words are etcd's, and one more: an id whose member has served is never taken up without its data.
//!
//! Here you will not find: asking.

use std::{collections::BTreeSet, path::Path};

use crate::{
    peer::{PeerUrl, RollCall, RollEntry},
    types::{MemberRow, NodeId},
};

use super::{
    Options, directory,
    open::founder,
    options::{Members, Start},
};

/// Whether a member lives in this data directory: then that is who the board is, whatever it is told.
pub fn has_data(data_dir: &Path) -> bool {
    directory::is_made(data_dir)
}

/// May this board begin as one of those who found a cluster together, now that one of them has told this?
///
/// Errors: one line that says what to do.
pub fn check_founding(options: &Options, told: &RollCall) -> Result<(), String> {
    let me = founder(options);
    if told.members.is_empty() {
        return Ok(());
    }
    let id = me.member;
    if told.cluster != me.cluster {
        return Err(format!(
            "cluster ID mismatch: member {} belongs to cluster {}, but --initial-cluster and --initial-cluster-token here make \
             cluster {}: to found a cluster, give all boards the same; to join that one, add this board with `solder \
             member add {} --peer-urls={}` and start it with --initial-cluster-state existing",
            told.member,
            told.cluster,
            me.cluster,
            me.name,
            options.peer_urls.join(",")
        ));
    }
    match told.members.iter().find(|entry| entry.id == id) {
        Some(entry) if row(entry)?.has_served() => Err(already(id)),
        Some(_) => Ok(()),
        None => Err(format!(
            "member {id} was removed from the cluster, as member {} says: to bring this board back, add it with `solder member \
             add {} --peer-urls={}` and start it with --initial-cluster-state existing",
            told.member,
            me.name,
            options.peer_urls.join(",")
        )),
    }
}

/// As whom this board joins the cluster that one of its members has told of. `members`: whom --initial-cluster names.
/// `None`: that member knows nothing itself yet.
///
/// Errors: one line that says what to do.
pub fn join(options: &Options, members: &Members, told: &RollCall) -> Result<Option<Start>, String> {
    if told.members.is_empty() {
        return Ok(None);
    }
    let rows =
        told.members.iter().map(|entry| Ok((entry.id, row(entry)?))).collect::<Result<Vec<_>, String>>()?;
    let mine = plain(&options.peer_urls);
    let invalid = |what: String| format!("error validating peerURLs of cluster {}: {what}", told.cluster);
    let Some((me, my_row)) = rows.iter().find(|(_, row)| plain(&row.peer_urls) == mine) else {
        return Err(invalid(format!(
            "no member has those of this board: add it with `solder member add {} --peer-urls={}` first",
            options.name,
            options.peer_urls.join(",")
        )));
    };
    if my_row.has_served() {
        return Err(already(*me));
    }
    if rows.len() != members.len() {
        return Err(invalid(format!(
            "member count is unequal: it has {}, --initial-cluster names {}; give it as `solder member add` has printed it",
            rows.len(),
            members.len()
        )));
    }
    let named: BTreeSet<_> = members.values().map(|urls| plain(urls)).collect();
    if let Some((id, row)) = rows.iter().find(|(_, row)| !named.contains(&plain(&row.peer_urls))) {
        return Err(invalid(format!(
            "unmatched member while checking PeerURLs: --initial-cluster names nobody at {}, where member {id} is",
            row.peer_urls.join(",")
        )));
    }
    Ok(Some(Start::Join { cluster: told.cluster, member: *me }))
}

/// Hazard: it would vote again in terms in which it has voted.
fn already(id: NodeId) -> String {
    format!(
        "member {id} has already been bootstrapped, and its data is not here: what it voted for is lost with it, so it must not \
         come back under its old id; remove it with `solder member remove {id}`, add this board with `solder member add`, and \
         start it with --initial-cluster-state existing"
    )
}

fn row(entry: &RollEntry) -> Result<MemberRow, String> {
    MemberRow::decode(&entry.row).map_err(|error| {
        let id = entry.id;
        format!("what the cluster knows of member {id} cannot be read ({error}): install the build that its members have")
    })
}

/// Equal for equal places, in whatever order and form they were written.
pub(super) fn plain(urls: &[String]) -> BTreeSet<String> {
    let one = |url: &String| PeerUrl::parse(url).map_or_else(|_| url.clone(), |url| url.to_string());
    urls.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ClusterId;

    fn members(names: &[&str]) -> Members {
        let url = |name: &&str| ((*name).to_owned(), vec![format!("http://{name}:2380")]);
        names.iter().map(url).collect()
    }

    fn options(name: &str, start: Start) -> Options {
        let peer_urls = vec![format!("http://{name}:2380")];
        Options { name: name.to_owned(), peer_urls, start, ..Options::new("") }
    }

    /// Those with capital letters have served.
    fn told(cluster: ClusterId, names: &[(u64, &str)]) -> RollCall {
        let entry = |(id, name): &(u64, &str)| {
            let peer_urls = vec![format!("http://{}:2380/", name.to_lowercase())];
            let has_served = name.to_lowercase() != *name;
            let name = if has_served { (*name).to_owned() } else { String::new() };
            let incarnation = u64::from(has_served);
            let row = MemberRow { name, peer_urls, incarnation, ..MemberRow::default() };
            RollEntry { id: NodeId(*id), is_learner: false, row: row.encode() }
        };
        let members = names.iter().map(entry).collect();
        RollCall { cluster, member: NodeId(1), members, removed: [NodeId(9)].into() }
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T, String>) -> String {
        let text = result.expect_err("it must not");
        assert!(!text.contains('\n'), "{text}");
        text
    }

    #[test]
    fn who_founds() {
        let options = options("b", Start::Together(members(&["a", "b"])));
        let me = founder(&options);
        let of = |names: &[(u64, &str)]| check_founding(&options, &told(me.cluster, names));
        let id = me.member.0;
        assert_eq!(of(&[]), Ok(()), "who answers knows nothing yet");
        assert_eq!(of(&[(1, "A"), (id, "b")]), Ok(()), "the others were faster");
        let text = refusal(of(&[(1, "A"), (id, "B")]));
        assert!(text.starts_with(&format!("member {id:x} has already been bootstrapped")), "{text}");
        let text = refusal(of(&[(1, "A")]));
        assert!(text.starts_with(&format!("member {id:x} was removed from the cluster")), "{text}");
        let text = refusal(check_founding(&options, &told(ClusterId(5), &[(1, "A")])));
        assert!(text.starts_with("cluster ID mismatch: member 1 belongs to cluster 5"), "{text}");
    }

    #[test]
    fn who_joins() {
        let cluster = ClusterId(5);
        let options = options("c", Start::Alone);
        let named = members(&["a", "b", "c"]);
        let of = |names: &[(u64, &str)]| join(&options, &named, &told(cluster, names));
        assert_eq!(of(&[]), Ok(None));
        let start = Start::Join { cluster, member: NodeId(3) };
        assert_eq!(of(&[(1, "A"), (2, "B"), (3, "c")]), Ok(Some(start)));
        let text = refusal(of(&[(1, "A"), (2, "B")]));
        assert!(text.contains("`solder member add c --peer-urls=http://c:2380` first"), "{text}");
        let text = refusal(of(&[(1, "A"), (3, "c")]));
        assert!(text.contains("member count is unequal: it has 2, --initial-cluster names 3"), "{text}");
        let text = refusal(of(&[(1, "A"), (2, "D"), (3, "c")]));
        assert!(
            text.contains("unmatched member while checking PeerURLs") && text.contains("member 2"),
            "{text}"
        );
        let text = refusal(of(&[(1, "A"), (2, "B"), (3, "C")]));
        assert!(text.starts_with("member 3 has already been bootstrapped"), "{text}");
        let mut newer = told(cluster, &[(1, "A")]);
        newer.members[0].row = vec![9].into();
        let text = refusal(join(&options, &named, &newer));
        assert!(text.contains("member 1 cannot be read"), "{text}");
    }
}
