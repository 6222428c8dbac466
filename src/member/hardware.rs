//! What tells this board from every other, whatever is on its disk: its serial number, else the address of its network card.
//! A board that comes back without its data is known by it; nothing that matters for safety is.

use std::{fs, path::Path};

use sha2::{Digest as _, Sha256};

use crate::types::Bytes;

/// Where the kernel tells the serial number of a board.
const BOARD_SERIALS: [&str; 2] =
    ["/proc/device-tree/serial-number", "/sys/firmware/devicetree/base/serial-number"];

/// Of a PC: makers write there what they like.
const PC_SERIALS: [&str; 1] = ["/sys/class/dmi/id/product_serial"];

/// Networks within a machine, which others have with the same addresses.
const VIRTUAL: [&str; 12] =
    ["docker", "br-", "veth", "virbr", "lxc", "tun", "tap", "wg", "podman", "cni", "flannel", "cali"];
const NETWORK: &str = "/sys/class/net";

/// What the kernel says of an address that it has drawn: another at the next boot.
const DRAWN: &str = "1";

/// This board, as it can be told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardware(String);

impl Hardware {
    pub fn here() -> Hardware {
        let found = |paths: &[&str]| paths.iter().find_map(|path| serial(Path::new(path)));
        let known = found(&BOARD_SERIALS).or_else(|| card(Path::new(NETWORK))).or_else(|| found(&PC_SERIALS));
        Hardware(known.unwrap_or_default())
    }

    /// A board by another name.
    #[cfg(test)]
    pub(crate) fn called(known: &str) -> Hardware {
        Hardware(known.into())
    }

    /// For the row of a member that listens for peers on `port`: on one machine there may be many. Not to be turned back.
    /// Empty: nothing tells this board from others.
    pub fn mark(&self, port: u16) -> Bytes {
        if self.0.is_empty() {
            return Bytes::default();
        }
        let mut hasher = Sha256::new();
        hasher.update(b"solder board\0");
        hasher.update(self.0.as_bytes());
        hasher.update(port.to_be_bytes());
        hasher.finalize()[..16].to_vec().into()
    }

    /// Four digits that go behind a name which another board has, too.
    pub fn digits(&self) -> String {
        let digits: String = self.0.chars().filter(char::is_ascii_hexdigit).collect();
        match digits.len() {
            0..4 => format!("{:04x}", fastrand::u16(..)),
            length => digits[length - 4..].to_ascii_lowercase(),
        }
    }
}

fn serial(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim_end_matches('\0').trim().to_owned();
    // What makers write who did not write anything.
    let is_blank = text.chars().all(|c| c == '0' || !c.is_ascii_alphanumeric());
    let is_serial = !is_blank && text.len() >= 4 && !text.contains(' ');
    is_serial.then_some(text)
}

/// Does a network of this name lead to this machine only?
pub(super) fn is_virtual(network: &str) -> bool {
    VIRTUAL.iter().any(|kind| network.starts_with(kind))
}

/// The smallest address of a card: the same at every boot, in whichever order they are found.
fn card(network: &Path) -> Option<String> {
    let is_real = |card: &fs::DirEntry| {
        let kind = fs::read_to_string(card.path().join("addr_assign_type"));
        let is_drawn = kind.is_ok_and(|kind| kind.trim() == DRAWN);
        !is_drawn && !is_virtual(&card.file_name().to_string_lossy())
    };
    let cards = fs::read_dir(network).ok()?.filter_map(Result::ok).filter(is_real);
    let address = |path: &Path| {
        let text = fs::read_to_string(path.join("address")).ok()?;
        let text = text.trim().to_owned();
        // Bit 1 of the first byte: made up, which bridges and tunnels have; better than nothing.
        let is_made_up = u8::from_str_radix(text.get(..2)?, 16).ok()? & 2 != 0;
        text.bytes().any(|byte| !b"0:".contains(&byte)).then_some((is_made_up, text))
    };
    cards.filter_map(|card| address(&card.path())).min().map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_known_by_its_card() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let put = |name: &str, address: &str| {
            fs::create_dir_all(dir.path().join(name)).expect("room");
            fs::write(dir.path().join(name).join("address"), address).expect("room");
        };
        assert_eq!(card(dir.path()), None);
        put("lo", "00:00:00:00:00:00\n");
        assert_eq!(card(dir.path()), None);
        put("docker0", "02:42:00:00:00:01\n");
        assert_eq!(card(dir.path()), None);
        put("usb0", "00:11:22:33:44:55\n");
        fs::write(dir.path().join("usb0/addr_assign_type"), "1\n").expect("room");
        assert_eq!(card(dir.path()), None, "drawn at each boot");
        put("eth1", "02:00:00:00:00:01\n");
        fs::write(dir.path().join("eth1/addr_assign_type"), "3\n").expect("room");
        assert_eq!(card(dir.path()).as_deref(), Some("02:00:00:00:00:01"));
        put("wlan0", "dc:a6:32:01:02:04\n");
        put("eth0", "dc:a6:32:01:02:03\n");
        assert_eq!(card(dir.path()).as_deref(), Some("dc:a6:32:01:02:03"));
    }

    #[test]
    fn a_serial_number_is_one() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let path = dir.path().join("serial");
        for (text, expected) in [
            ("10000000abcdef01\0", Some("10000000abcdef01")),
            ("0000000000000000\0", None),
            ("To be filled by O.E.M.\n", None),
            ("\0", None),
            ("12\n", None),
        ] {
            fs::write(&path, text).expect("room");
            assert_eq!(serial(&path).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn marks_and_digits() {
        let board = Hardware("dc:a6:32:01:02:0F".into());
        assert_eq!(board.digits(), "020f");
        assert_eq!(board.mark(2380), board.mark(2380));
        assert_ne!(board.mark(2380), board.mark(2381));
        assert_eq!(board.mark(1).len(), 16);
        let unknown = Hardware(String::new());
        assert!(unknown.mark(1).is_empty());
        assert_eq!(unknown.digits().len(), 4);
    }
}
