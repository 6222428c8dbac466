//! What a board keeps of its way before it is anybody: a file beside its key.
//!
//! ```text
//!   tls/origin.toml
//!     board = "89ab.."                            by what the hardware is known that the key was made on
//!     token = "0123.."                            with which this very board has registered itself, by its key
//!     others = ["hall=https://10.0.0.2:2380"]     who else has
//! ```
//!
//! - A card that is copied before its board is anybody has a key that must be one board's only: who is another board makes another.
//!   Two with one key would be one for a discovery service, and both would found the cluster.
//! - Who has registered stays findable when the service is gone.
//!
//! Here you will not find: copies of boards that are members. Their data is what it is, and may have been moved for good.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{file, turn::Board};
use crate::{member::Hardware, peer::PeerUrl, types::hex};

const FILE: &str = "origin.toml";

/// Who a board is: see `peer::identity`.
const KEY_FILE: &str = "member.key";

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    board: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    token: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<String>,
}

impl Origin {
    /// For a board without data: what another board has left there goes. Errors, here and below: one line that names the file.
    pub fn of_blank(folder: &Path, hardware: &Hardware) -> Result<(), String> {
        let (kept, here) = (Origin::read(folder)?, mark(hardware));
        if kept.is_of_another(&here) {
            log::warn!(
                "{} was made on another board, and this one has no data: it gets a key of its own",
                folder.display()
            );
            clear(folder).map_err(|error| format!("{} cannot be removed: {error}", folder.display()))?;
        }
        Ok(())
    }

    /// For a member: says so if its data has come from another board. Where those were who registered with it. Whatever is wrong
    /// here, it is a member.
    pub fn of_member(folder: &Path, hardware: &Hardware) -> Vec<PeerUrl> {
        let kept = Origin::read(folder).unwrap_or_else(|why| {
            log::warn!("whether this board's data has come from another board is not known: {why}");
            Origin::default()
        });
        let here = mark(hardware);
        if kept.is_of_another(&here) {
            log::warn!(
                "this board has the data of a member that ran on another board: if that one still runs, with what this is a copy of, \
                 stop one of the two now and clear its whole data directory: one member must not be two boards"
            );
        }
        let places =
            kept.others.iter().flat_map(|value| Board::of_value(String::new(), value).urls).collect();
        if !here.is_empty() && kept.board != here {
            let noted = Origin { board: here, ..kept }.keep(folder);
            noted.unwrap_or_else(|why| log::warn!("that this is the board of its data is not noted: {why}"));
        }
        places
    }

    /// Beside a key that is made, or is this board's.
    pub(super) fn open(folder: &Path, hardware: &Hardware) -> Result<Origin, String> {
        let kept = Origin::read(folder)?;
        if !kept.board.is_empty() {
            return Ok(kept);
        }
        let origin = Origin { board: mark(hardware), ..kept };
        origin.keep(folder)?;
        Ok(origin)
    }

    /// The token with which the board of this folder has registered; empty: none that is known.
    pub fn token(folder: &Path) -> String {
        Origin::read(folder).unwrap_or_default().token
    }

    fn read(folder: &Path) -> Result<Origin, String> {
        let path = folder.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|_| {
                format!("{} is damaged: remove it if this board has never been another", path.display())
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Origin::default()),
            Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
        }
    }

    /// Nobody knows of hardware without a mark.
    fn is_of_another(&self, here: &str) -> bool {
        !self.board.is_empty() && !here.is_empty() && self.board != here
    }

    fn keep(&self, folder: &Path) -> Result<(), String> {
        let text = toml::to_string(self).map_err(|error| error.to_string())?;
        file::keep(folder, FILE, &text)
    }

    pub(super) fn has_registered(&self, token: &str) -> bool {
        self.token == token
    }

    /// This board has registered itself, with these.
    pub(super) fn note(&mut self, folder: &Path, token: &str, others: &[&Board]) -> Result<(), String> {
        let line =
            |board: &&Board| board.urls.iter().map(|url| format!("{}={url}", board.name)).collect::<Vec<_>>();
        let others = others.iter().map(|board| line(board).join(",")).filter(|line| !line.is_empty());
        let noted = Origin { board: self.board.clone(), token: token.into(), others: others.collect() };
        if noted != *self {
            noted.keep(folder)?;
            *self = noted;
        }
        Ok(())
    }

    /// It was not this board.
    pub(super) fn take_back(&mut self, folder: &Path) -> Result<(), String> {
        *self = Origin { board: std::mem::take(&mut self.board), ..Origin::default() };
        self.keep(folder)
    }

    /// Who has registered with this token, as far as this board has seen.
    pub(super) fn others(&self, token: &str) -> Vec<Board> {
        let others = self.others.iter().filter(|_| self.has_registered(token));
        others.map(|value| Board::of_value(String::new(), value)).collect()
    }
}

/// What was made on another board, which may be cut off anywhere: its key first, for that must not become this board's; and last
/// what says that it was another.
fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(KEY_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => File::open(folder)?.sync_all()?,
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            _ if entry.file_name() == FILE => {}
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    File::open(folder)?.sync_all()?;
    fs::remove_file(folder.join(FILE))?;
    fs::remove_dir(folder)
}

/// Whatever port it listens on.
fn mark(hardware: &Hardware) -> String {
    hex(hardware.mark(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123";

    fn is_there(folder: &Path) -> bool {
        folder.join("member.key").exists()
    }

    #[test]
    fn a_copied_card_gets_another_key() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let folder = dir.path().join("tls");
        let here = Hardware::called("here");
        Origin::of_blank(&folder, &here).expect("nothing is there");
        fs::create_dir(&folder).expect("room");
        fs::write(folder.join("member.key"), "").expect("room");
        Origin::open(&folder, &here).expect("room");
        for (hardware, stays) in [("here", true), ("", true), ("elsewhere", false)] {
            Origin::of_blank(&folder, &Hardware::called(hardware)).expect("it can be removed");
            assert_eq!(is_there(&folder), stays, "{hardware:?}");
        }
    }

    #[test]
    fn a_members_data_may_move() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let folder = dir.path();
        fs::write(folder.join("member.key"), "").expect("room");
        for hardware in ["here", "elsewhere", ""] {
            Origin::of_member(folder, &Hardware::called(hardware));
            assert!(is_there(folder));
        }
        assert_eq!(Origin::read(folder).expect("it is good").board, mark(&Hardware::called("elsewhere")));
    }

    #[test]
    fn what_cannot_be_noted_stops_no_member() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let folder = dir.path();
        fs::write(folder.join(FILE), "board = 1").expect("room");
        Origin::of_member(folder, &Hardware::called("here"));
        fs::remove_file(folder.join(FILE)).expect("it is there");
        fs::create_dir(folder.join(FILE)).expect("room");
        Origin::of_member(folder, &Hardware::called("here"));
        Origin::of_member(&folder.join("missing"), &Hardware::called("here"));
    }

    /// Wherever the power goes: as long as anything is left, it is known to be another board's; and without the key first.
    #[test]
    fn what_is_cleared_is_another_boards_to_the_end() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let folder = dir.path().join("tls");
        fs::create_dir(&folder).expect("room");
        Origin::open(&folder, &Hardware::called("elsewhere")).expect("room");
        fs::write(folder.join("ca.key"), "").expect("room");
        fs::create_dir(folder.join(KEY_FILE)).expect("room");
        let here = Hardware::called("here");
        Origin::of_blank(&folder, &here).expect_err("that is no file");
        assert!(folder.join("ca.key").exists() && folder.join(FILE).exists(), "the key goes first");
        fs::remove_dir(folder.join(KEY_FILE)).expect("it is there");
        Origin::of_blank(&folder, &here).expect("it can be removed");
        assert!(!folder.exists());
    }

    #[test]
    fn who_has_registered_is_kept() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let folder = dir.path();
        let mut origin = Origin::open(folder, &Hardware::called("here")).expect("room");
        let other = Board::of_value("1".into(), "hall=https://10.0.0.2:2380,hall=https://[fd00::2]:2380");
        origin.note(folder, TOKEN, &[&other]).expect("room");
        let again = Origin::open(folder, &Hardware::called("here")).expect("it is good");
        assert!(again == origin && again.has_registered(TOKEN) && !again.has_registered("4567"));
        assert_eq!(again.others(TOKEN), [Board { id: String::new(), ..other.clone() }]);
        assert!(again.others("4567").is_empty());
        assert_eq!(Origin::of_member(folder, &Hardware::called("here")), other.urls);
        fs::write(folder.join(FILE), "board = 1").expect("room");
        assert!(Origin::of_blank(folder, &Hardware::called("here")).expect_err("damaged").contains(FILE));
    }
}
