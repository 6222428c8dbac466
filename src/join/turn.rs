//! Whose turn it is: what a board without an id does next, by what a discovery service says.
//!
//! - One token makes one cluster. Only the board that the service took first founds it, and what the service took is never changed: so
//!   it is the same board for whoever asks, whenever.
//! - A board whose data is lost does not found again what others may have joined since.
//! - Who does not know the secret of the URL takes no turn: strangers who know the token, and real etcd members. But they may be the
//!   cluster's own boards, and this one was given another URL: beside them one board alone founds nothing.
//!
//! Here you will not find: how anybody is asked. `tests/founding` runs this against the service's own rules, under faults.

use super::{id::is_of_secret, url::SECRET_BYTES};
use crate::peer::PeerUrl;

/// What the service knows of the cluster that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub size: u32,
    /// In the order in which they came; the first founds the cluster.
    pub boards: Vec<Board>,
    /// Those that did not know the secret.
    pub strangers: Vec<Board>,
}

impl Registered {
    /// What a service tells, as boards with this secret see it.
    pub fn new(
        size: u32,
        told: impl IntoIterator<Item = Board>,
        secret: &[u8; SECRET_BYTES],
        token: &str,
    ) -> Registered {
        let (boards, strangers) = told.into_iter().partition(|board| is_of_secret(secret, token, &board.id));
        Registered { size, boards, strangers }
    }

    /// How many have to be there before one of them founds the cluster.
    pub(super) fn needed(&self) -> usize {
        if self.strangers.is_empty() { 1 } else { (self.size as usize / 2 + 1).max(2) }
    }
}

/// A board that has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    pub id: String,
    pub name: String,
    pub urls: Vec<PeerUrl>,
}

impl Board {
    /// As it has registered: `NAME=URL,NAME=URL`. What cannot be called is left out.
    pub fn of_value(id: String, value: &str) -> Board {
        let pairs = || value.split(',').filter_map(|pair| pair.split_once('='));
        let name = pairs().map(|(name, _)| name).next().unwrap_or_default().to_owned();
        Board { id, name, urls: pairs().filter_map(|(_, url)| PeerUrl::parse(url).ok()).collect() }
    }

    pub(super) fn is_at_one_of(&self, urls: &[String]) -> bool {
        self.urls.iter().any(|url| urls.contains(&url.to_string()))
    }
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn<'r> {
    /// There is room for this board.
    Register,
    /// It was first.
    Found(&'r Board),
    /// It was first, has founded the cluster, and knows nothing of that any more.
    HasFounded,
    /// It was first of its kind; but there are others of another kind, and too few of its own.
    Doubt,
    /// One of them lets this board in, once there is a cluster.
    Ask(Vec<&'r Board>),
}

/// Of the board `id`. `has_certificate`: it has been in a cluster.
pub fn turn<'r>(registered: &'r Registered, id: &str, has_certificate: bool) -> Turn<'r> {
    let Registered { size, boards, .. } = registered;
    let is_in = boards.iter().any(|board| board.id == id);
    match boards.first() {
        _ if !is_in && boards.len() < *size as usize => Turn::Register,
        Some(first) if first.id == id && has_certificate => Turn::HasFounded,
        Some(first) if first.id == id && boards.len() < registered.needed() => Turn::Doubt,
        Some(first) if first.id == id => Turn::Found(first),
        _ => Turn::Ask(boards.iter().filter(|board| board.id != id).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(size: u32, ids: &[&str]) -> Registered {
        let board = |id: &&str| Board::of_value((*id).into(), "b=https://10.0.0.1:2380");
        Registered { size, boards: ids.iter().map(board).collect(), strangers: Vec::new() }
    }

    #[test]
    fn whose_turn_it_is() {
        let at =
            |size, ids: &[&str], has_certificate| match turn(&registered(size, ids), "b", has_certificate) {
                Turn::Register => "registers".to_owned(),
                Turn::Found(_) => "founds".to_owned(),
                Turn::HasFounded => "has founded".to_owned(),
                Turn::Doubt => panic!("there are no strangers"),
                Turn::Ask(boards) => {
                    format!("asks {}", boards.iter().map(|board| board.id.as_str()).collect::<String>())
                }
            };
        assert_eq!(at(3, &[], false), "registers");
        assert_eq!(at(3, &["a", "c"], false), "registers");
        assert_eq!(at(3, &["b"], false), "founds");
        assert_eq!(at(3, &["b", "a", "c"], false), "founds");
        assert_eq!(at(3, &["b", "a"], true), "has founded");
        assert_eq!(at(3, &["a", "b"], false), "asks a");
        // Too late to begin with them, and in time to be let in.
        assert_eq!(at(3, &["a", "c", "d"], false), "asks acd");
    }

    #[test]
    fn who_founds_beside_strangers() {
        let turn_of = |size, ids: &[&str], has_certificate| {
            let strangers = registered(size, &["x"]).boards;
            let registered = Registered { strangers, ..registered(size, ids) };
            match turn(&registered, "b", has_certificate) {
                Turn::Found(_) => "founds",
                Turn::Doubt => "doubts",
                Turn::HasFounded => "has founded",
                Turn::Register => "registers",
                Turn::Ask(_) => "asks",
            }
        };
        // They take nobody's place.
        assert_eq!(turn_of(1, &[], false), "registers");
        assert_eq!(turn_of(3, &["a", "c"], false), "registers");
        for (size, ids, what) in [
            (1, &["b"][..], "doubts"),
            (2, &["b"], "doubts"),
            (2, &["b", "a"], "founds"),
            (3, &["b", "a"], "founds"),
            (5, &["b", "a"], "doubts"),
            (5, &["b", "a", "c"], "founds"),
            (5, &["a", "b", "c"], "asks"),
        ] {
            assert_eq!(turn_of(size, ids, false), what, "{size}: {ids:?}");
        }
        assert_eq!(turn_of(5, &["b", "a"], true), "has founded");
    }

    #[test]
    fn who_does_not_know_the_secret_is_a_stranger() {
        let (secret, token) = ([7; SECRET_BYTES], "0123");
        let value = "b=https://10.0.0.1:2380";
        let own = super::super::id_of(&secret, token, &[1; 32]);
        let others = super::super::id_of(&[8; SECRET_BYTES], token, &[1; 32]);
        let told = ["8e9e05c52164694d", &others, &own].map(|id| Board::of_value(id.into(), value));
        let registered = Registered::new(3, told, &secret, token);
        assert_eq!(registered.boards.iter().map(|board| &*board.id).collect::<Vec<_>>(), [&own]);
        assert_eq!(registered.strangers.len(), 2);
    }
}
