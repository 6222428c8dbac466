//! What a process is to be, and what is another default for it.

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// A member of a cluster, or a store by itself.
    #[default]
    Member,
    /// A service of discovery and nothing else: it is there for strangers, has no peers, and needs no history.
    Discovery,
}

impl Role {
    /// Where it differs from the table's.
    pub(super) fn default(self, key: &str) -> Option<&'static str> {
        let defaults = [
            ("listen-client-urls", "http://[::]:2379"),
            ("listen-peer-urls", ""),
            ("auto-compaction-retention", "1h"),
            ("discovery-public", "true"),
        ];
        let found = defaults.iter().find(|(name, _)| self == Role::Discovery && *name == key);
        found.map(|(_, text)| *text)
    }

    pub(super) fn data_dir(self, name: &str) -> String {
        match self {
            Role::Member => format!("{name}.solder"),
            Role::Discovery => "solder-discovery".to_owned(),
        }
    }
}
