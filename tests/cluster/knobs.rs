//! Settings that make a cluster meet what would else come rarely: flushes, full segments, pauses for want of room.

/// Of all members of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Knobs {
    pub(crate) args: Vec<String>,
    /// Between members.
    pub(crate) tls: bool,
}

impl Knobs {
    pub(crate) fn plain(args: &[&str]) -> Knobs {
        Knobs { args: args.iter().map(|arg| (*arg).to_owned()).collect(), tls: false }
    }

    pub(crate) fn draw(args: &[&str], rng: &mut fastrand::Rng) -> Knobs {
        let mut knobs = Knobs { tls: rng.bool(), ..Knobs::plain(args) };
        let flags: [(&str, &[&str]); 4] = [
            ("flush-interval", &["50ms", "1s", "5m"]),
            ("flush-pages-max", &["64", "1024"]),
            ("pending-bytes-max", &["262144", "4194304"]),
            ("wal-segment-bytes", &["2097152", "4194304"]),
        ];
        for (flag, values) in flags {
            knobs.args.push(format!("--{flag}={}", values[rng.usize(..values.len())]));
        }
        knobs
    }
}
