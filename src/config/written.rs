//! Settings as written: one text a key, the one that counts, and where it stands.

use std::{collections::BTreeMap, fmt, fs, path::PathBuf};

use super::{
    ConfigError, Flags, Profile, Surroundings,
    file::{self, Entry},
    keys::{KEYS, Key},
    nearest::{nearest, suggestion},
    role::Role,
};

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    Profile { name: String },
    File { path: PathBuf, line: usize },
    Variable { name: String },
    Flag { name: &'static str },
}

impl Source {
    /// As an error begins.
    pub(super) fn place(&self, key: &str) -> String {
        match self {
            Source::Default => format!("default of --{key}"),
            Source::Profile { name } => format!("board {name}: {key}"),
            Source::File { path, line } => format!("{}: line {line}: {key}", path.display()),
            Source::Variable { name } => name.clone(),
            Source::Flag { name } => format!("--{name}"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::Profile { name } => write!(f, "board {name}"),
            Source::File { path, line } => write!(f, "{} line {line}", path.display()),
            Source::Variable { name } => f.write_str(name),
            Source::Flag { name } => write!(f, "--{name}"),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) source: Source,
}

#[derive(Debug)]
pub(super) struct Written {
    /// Without those that stand nowhere.
    values: BTreeMap<&'static str, Value>,
    pub(super) role: Role,
    pub(super) profile: Option<Profile>,
    pub(super) warnings: Vec<String>,
}

impl Written {
    /// From all places, the lowest first, each covering those before it.
    pub(super) fn gather(flags: &Flags, surroundings: &Surroundings) -> Result<Written, ConfigError> {
        let given = Written::given(flags, surroundings);
        let mut written = Written {
            values: BTreeMap::new(),
            role: flags.role,
            profile: None,
            warnings: misspelt(surroundings),
        };
        if let Some(path) = config_file(&given, surroundings)? {
            written.add_file(path)?;
        }
        written.values.extend(given);
        written.add_profile(surroundings)?;
        Ok(written)
    }

    /// What is said for this run: by variables, and before them by flags.
    fn given(flags: &Flags, surroundings: &Surroundings) -> BTreeMap<&'static str, Value> {
        let mut given = BTreeMap::new();
        for key in KEYS {
            for name in key.names() {
                let variable = Key::variable(name);
                // As in etcd an empty variable is none.
                if let Some(text) = surroundings.environment.get(&variable).filter(|text| !text.is_empty()) {
                    let source = Source::Variable { name: variable };
                    given.insert(key.name, Value { text: text.clone(), source });
                }
            }
            for name in key.names() {
                if let Some(text) = flags.given.get(name) {
                    given.insert(key.name, Value { text: text.clone(), source: Source::Flag { name } });
                }
            }
        }
        given
    }

    fn add_file(&mut self, path: PathBuf) -> Result<(), ConfigError> {
        let error = |what: String| ConfigError(format!("{}: {what}", path.display()));
        let file = fs::read_to_string(&path)
            .map_err(|cause| error(format!("cannot read the configuration file: {cause}")))?;
        for Entry { key: name, text, line } in file::entries(&file).map_err(error)? {
            let known = || KEYS.iter().flat_map(Key::names);
            let unknown = || format!("line {line}: unknown key `{name}`{}", suggestion(&name, known()));
            let key = Key::find(&name).ok_or_else(|| error(unknown()))?;
            if key.name == "config-file" {
                return Err(error(format!("line {line}: a configuration file cannot name another one")));
            }
            let source = Source::File { path: path.clone(), line };
            self.values.insert(key.name, Value { text, source });
        }
        Ok(())
    }

    /// What nothing above it says.
    fn add_profile(&mut self, surroundings: &Surroundings) -> Result<(), ConfigError> {
        let Some(board) = self.values.get("board") else { return Ok(()) };
        let found = Profile::find(&board.text, surroundings);
        self.profile =
            found.map_err(|error| ConfigError(format!("{}: {error}", board.source.place("board"))))?;
        for (key, entry) in self.profile.iter().flat_map(|profile| &profile.entries) {
            let name = self.profile.as_ref().map(|profile| profile.name.clone()).unwrap_or_default();
            let value = Value { text: entry.text.clone(), source: Source::Profile { name } };
            self.values.entry(key.name).or_insert(value);
        }
        Ok(())
    }

    /// What stands for this key, or its default.
    pub(super) fn value(&self, name: &str) -> Value {
        let key = Key::find(name).unwrap_or_else(|| panic!("no key is called {name}"));
        let default = || self.role.default(key.name).or(key.used().map(|used| used.default));
        self.values
            .get(key.name)
            .cloned()
            .unwrap_or_else(|| Value { text: default().unwrap_or_default().into(), source: Source::Default })
    }

    /// All that stands somewhere.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static Key, &Value)> {
        KEYS.iter().filter_map(|key| Some((key, self.values.get(key.name)?)))
    }
}

/// What the flag or the variable says; else the one that systemd's ConfigurationDirectory holds, if there is one.
fn config_file(
    given: &BTreeMap<&'static str, Value>,
    surroundings: &Surroundings,
) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(Value { text, source }) = given.get("config-file") {
        return match text.is_empty() {
            true => Err(ConfigError(format!("{}: empty", source.place("config-file")))),
            false => Ok(Some(surroundings.directory.join(text))),
        };
    }
    let directory = surroundings.environment.get("CONFIGURATION_DIRECTORY");
    let directory = directory.and_then(|list| list.split(':').next()).filter(|first| !first.is_empty());
    Ok(directory.map(|first| PathBuf::from(first).join("solder.toml")).filter(|path| path.exists()))
}

/// Variables that look as if they were meant for us. Other commands have others, so it is only a warning.
fn misspelt(surroundings: &Surroundings) -> Vec<String> {
    let known: Vec<String> = KEYS.iter().flat_map(Key::names).map(Key::variable).collect();
    let bare = || known.iter().filter_map(|name| name.strip_prefix("SOLDER_"));
    let unknown = surroundings.environment.keys().filter(|name| !known.contains(name));
    let near = unknown.filter_map(|name| Some((name, nearest(name.strip_prefix("SOLDER_")?, bare())?)));
    near.map(|(name, best)| format!("{name} is unknown: did you mean SOLDER_{best}?")).collect()
}
