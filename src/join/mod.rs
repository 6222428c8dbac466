//! How a board without data becomes a member: `solder serve --discovery URL`.
//!
//! ```text
//!   no data --> its own key --> URL of a service: who has registered first?
//!                |                 it is this board:  it founds the cluster, alone, and waits for the others
//!                |                 it is another:     that one, or whoever of them answers, lets this board in
//!                |                 (who does not know the secret has not registered, whatever stands there)
//!                |              URL of members: any of them lets this board in
//!                +------------> certificate and id --> an empty store, which the leader fills
//!   data    --> nothing of all this: the URL is where members may be found again
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `url` | what a URL says |
//! | `service` | a discovery service, as a client sees it |
//! | `id` | under which boards register: a stranger cannot make one |
//! | `turn` | what follows from the service's answer: who founds, who asks whom |
//! | `newcomer` | the way from no data to an id |
//! | `registering` | the part of it that leads by a service |
//! | `asking` | members, asked one after the other |
//! | `origin` | what a board keeps of its way before it is anybody |
//! | `formation` | what the founder must not forget |
//! | `file` | how these two are written |
//!
//! - It may be cut off anywhere and begun again: the key is made first, and says who the board is. It is never two boards.
//! - What passes is waited for, with a line now and then; what does not ends it, with one line that says what to do.
//!
//! Here you will not find: how a secret is proven (`peer`), who is let in (`member`).

mod asking;
mod file;
mod formation;
mod id;
mod newcomer;
mod origin;
mod registering;
mod service;
mod turn;
mod url;

pub use self::{
    formation::Founding,
    id::id_of,
    newcomer::{Begun, Newcomer, begin},
    origin::Origin,
    turn::{Board, Registered, Turn, turn},
    url::{JoinUrl, Way},
};
