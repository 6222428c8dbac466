//! Boards that become one cluster by a URL: real processes, each on a board of its own, with a network card, an address and a
//! host's name.
//!
//! ```text
//!   together  N boards and one discovery URL; in any order, killed, restarted and cut off meanwhile
//!   founder   the same, and the board that is to found the cluster dies at each point of its way
//!   invited   one board that ran alone, and the URL that it prints; many more later
//!   voters    how many vote, and from when on
//!   losses    voters that die, come back, come back without their data; boards that were off for long
//!   moves     addresses change: of one board, of the leader, of all
//!   again     boards that come back with their keys and without their data
//!   refused   URLs that do not let a board in, or not yet
//!   distrust  URLs of which some hosts are of another cluster
//!   hosts     any host of a discovery URL; strangers who use its token; URLs for who is a member elsewhere
//!   uses      what a token counts; newcomers that ask again, or say what cannot be
//!   admission several that ask at one moment; who can let in once boards are lost
//!   doors     the inviting board: asked by several at once, its port taken
//!   renewal   boards renew their keys
//!   restored  a lost cluster, from a snapshot and its authority
//!   nearby    members found by multicast DNS
//!   networks  several at one board; IPv6 alone
//!   waiting   what a board says until it is let in
//!   etcds     real etcd members, which begin by a token of the same service
//!   scale     what a cluster costs by its size; by hand
//!                 |
//!                 v
//!   judge     one cluster, all members in it, an odd number of voters, all data, equal hashes, all serve
//! ```
//!
//! It needs root, and `ip`: where there is neither, it says so and tests nothing. `SEED=..` repeats what is done (not what
//! comes of it), `ROUNDS=..` is for long runs.

mod admission;
mod again;
mod crowd;
mod distrust;
mod doors;
mod etcds;
mod founder;
mod hosts;
mod house;
mod invited;
mod judge;
mod losses;
mod moves;
mod nearby;
mod networks;
mod refused;
mod renewal;
mod restored;
mod runner;
mod scale;
#[path = "../support/mod.rs"]
pub mod support;
mod together;
mod uses;
mod voters;
mod waiting;
mod writer;

use std::{env, ops::Range, process::ExitCode};

use crate::support::net::loudly;

/// Those that take longest come first.
fn main() -> ExitCode {
    let usual = [
        together::SCENES,
        moves::SCENES,
        losses::SCENES,
        renewal::SCENES,
        restored::SCENES,
        crowd::SCENES,
        voters::SCENES,
        refused::SCENES,
        invited::SCENES,
        nearby::SCENES,
        networks::SCENES,
        waiting::SCENES,
        founder::SCENES,
        hosts::SCENES,
        again::SCENES,
        admission::SCENES,
        doors::SCENES,
        uses::SCENES,
        distrust::SCENES,
        etcds::SCENES,
    ];
    runner::run(&usual, &[crowd::BY_HAND, scale::BY_HAND].concat())
}

/// The seeds of a test by chance, each said aloud before it is used.
fn seeds(test: &str, rounds: u64) -> impl Iterator<Item = u64> {
    let asked = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (rounds, seed) =
        (asked("ROUNDS").unwrap_or(rounds), asked("SEED").unwrap_or_else(|| fastrand::u64(..1 << 32)));
    let seeds: Range<u64> = seed..seed + rounds;
    let test = test.to_owned();
    seeds.inspect(move |seed| {
        loudly(&format!("{test}: again with SEED={seed} ROUNDS=1 cargo test --test joining {test}"))
    })
}
