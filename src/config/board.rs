//! Board profiles: defaults for a kind of board.
//!
//! A profile is a file of settings, of those that fit a kind of board and no member in particular, with two keys more:
//! `description`, and `models`, how the device tree's names of such boards begin. Those in `boards/` are part of the binary.

use std::path::PathBuf;

use super::{
    Surroundings,
    file::{self, Entry},
    keys::{KEYS, Key},
    nearest::suggestion,
};

#[derive(Clone, Debug)]
pub struct Profile {
    pub name: String,
    pub description: String,
    models: Vec<String>,
    pub(super) entries: Vec<(&'static Key, Entry)>,
}

const BUILT_IN: [(&str, &str); 8] = [
    ("rpi-zero-w", include_str!("../../boards/rpi-zero-w.toml")),
    ("rpi-zero-2w", include_str!("../../boards/rpi-zero-2w.toml")),
    ("rpi-3b", include_str!("../../boards/rpi-3b.toml")),
    ("rpi-4b", include_str!("../../boards/rpi-4b.toml")),
    ("rpi-5", include_str!("../../boards/rpi-5.toml")),
    ("generic-armv7", include_str!("../../boards/generic-armv7.toml")),
    ("generic-arm64", include_str!("../../boards/generic-arm64.toml")),
    ("x86", include_str!("../../boards/x86.toml")),
];

/// What a board of unknown make with less memory than this gets.
const SMALL: (u64, &str) = (700 << 20, "rpi-zero-2w");

impl Profile {
    /// The names of those in the binary.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// One of those in the binary.
    pub fn named(name: &str) -> Option<Profile> {
        let (name, file) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name)?;
        let profile = Profile::parse(name, file);
        Some(profile.unwrap_or_else(|error| panic!("the profile {name} of this binary: {error}")))
    }

    /// What `--board` names: `None` for `none`.
    pub(super) fn find(wanted: &str, surroundings: &Surroundings) -> Result<Option<Profile>, String> {
        match wanted {
            "none" => Ok(None),
            "auto" => Ok(Profile::detect(surroundings)),
            path if path.contains('/') || path.ends_with(".toml") => {
                Profile::read(&surroundings.directory.join(path)).map(Some)
            }
            name => Profile::named(name).map(Some).ok_or_else(|| {
                let suggestion = suggestion(name, Profile::names().chain(["auto", "none"]));
                let names: Vec<&str> = Profile::names().collect();
                format!(
                    "there is no board {name:?}{suggestion} (known: {}, auto, none, or the path of a file)",
                    names.join(", ")
                )
            }),
        }
    }

    /// A user's own.
    fn read(path: &PathBuf) -> Result<Profile, String> {
        let file = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read the profile {}: {error}", path.display()))?;
        let name = path.display().to_string();
        Profile::parse(&name, &file).map_err(|error| format!("{name}: {error}"))
    }

    fn parse(name: &str, file: &str) -> Result<Profile, String> {
        let mut profile = Profile {
            name: name.into(),
            description: String::new(),
            models: Vec::new(),
            entries: Vec::new(),
        };
        for entry in file::entries(file)? {
            match entry.key.as_str() {
                "description" => profile.description = entry.text,
                "models" => profile.models = entry.text.split(',').map(str::to_string).collect(),
                _ => profile.entries.push((settable(&entry)?, entry)),
            }
        }
        Ok(profile)
    }

    /// By the model that the device tree names, by memory, by the kind of processor; in this order.
    fn detect(surroundings: &Surroundings) -> Option<Profile> {
        by_model(surroundings.model.as_deref().unwrap_or_default()).or_else(|| {
            let generic = match surroundings.arch.as_str() {
                "aarch64" => "generic-arm64",
                "arm" => "generic-armv7",
                "x86" | "x86_64" => "x86",
                _ => return None,
            };
            let small = surroundings.memory_bytes.is_some_and(|bytes| bytes < SMALL.0);
            Profile::named(if small { SMALL.1 } else { generic })
        })
    }
}

/// The profile whose name for it is the longest: `Raspberry Pi Zero 2 W` is no `Raspberry Pi Zero`.
fn by_model(model: &str) -> Option<Profile> {
    let fit = |profile: &Profile| {
        let fitting =
            profile.models.iter().filter(|begin| !begin.is_empty() && model.starts_with(begin.as_str()));
        fitting.map(String::len).max()
    };
    let profiles = Profile::names().filter_map(Profile::named);
    profiles
        .filter_map(|profile| Some((fit(&profile)?, profile)))
        .max_by_key(|(length, _)| *length)
        .map(|(_, p)| p)
}

fn settable(entry: &Entry) -> Result<&'static Key, String> {
    let line = entry.line;
    match Key::find(&entry.key) {
        Some(key) if key.used().is_some_and(|used| used.profile) => Ok(key),
        Some(_) => Err(format!("line {line}: `{}` is not for a board profile", entry.key)),
        None => {
            let names = KEYS.iter().filter(|key| key.used().is_some_and(|used| used.profile));
            let suggestion = suggestion(&entry.key, names.map(|key| key.name));
            Err(format!("line {line}: unknown key `{}`{suggestion}", entry.key))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn detected(model: &str, arch: &str, mebibytes: u64) -> String {
        let surroundings = Surroundings {
            environment: Default::default(),
            directory: "/".into(),
            hostname: "board".into(),
            model: Some(model.into()).filter(|model: &String| !model.is_empty()),
            memory_bytes: Some(mebibytes << 20),
            arch: arch.into(),
            word_bits: 64,
            room: |_: &Path| None,
        };
        Profile::detect(&surroundings).map_or("none".into(), |profile| profile.name)
    }

    #[test]
    fn boards_by_their_models() {
        for (model, arch, mebibytes, expected) in [
            ("Raspberry Pi Zero W Rev 1.1", "arm", 427, "rpi-zero-w"),
            ("Raspberry Pi Model B Plus Rev 1.2", "arm", 427, "rpi-zero-w"),
            ("Raspberry Pi Zero 2 W Rev 1.0", "aarch64", 427, "rpi-zero-2w"),
            ("Raspberry Pi 3 Model B Plus Rev 1.3", "aarch64", 906, "rpi-3b"),
            ("Raspberry Pi 2 Model B Rev 1.1", "arm", 920, "rpi-3b"),
            ("Raspberry Pi 4 Model B Rev 1.4", "aarch64", 3794, "rpi-4b"),
            ("Raspberry Pi 400 Rev 1.0", "aarch64", 3794, "rpi-4b"),
            ("Raspberry Pi Compute Module 4 Rev 1.0", "aarch64", 3794, "rpi-4b"),
            ("Raspberry Pi 5 Model B Rev 1.0", "aarch64", 8000, "rpi-5"),
            ("Raspberry Pi Compute Module 5 Rev 1.0", "aarch64", 8000, "rpi-5"),
            ("Radxa ROCK 5B", "aarch64", 8000, "generic-arm64"),
            ("Orange Pi Zero", "arm", 1000, "generic-armv7"),
            ("Orange Pi Zero", "arm", 500, "rpi-zero-2w"),
            ("", "x86_64", 16_000, "x86"),
            ("", "x86_64", 480, "rpi-zero-2w"),
            ("", "riscv64", 16_000, "none"),
        ] {
            assert_eq!(detected(model, arch, mebibytes), expected, "{model} {arch} {mebibytes}");
        }
    }

    #[test]
    fn what_a_profile_may_not_say() {
        for (file, expected) in [
            ("name = 'x'", "line 1: `name` is not for a board profile"),
            ("snapshot-count = 1", "line 1: `snapshot-count` is not for a board profile"),
            ("\nflush-page-max = 1", "line 2: unknown key `flush-page-max`: did you mean `flush-pages-max`?"),
        ] {
            assert_eq!(Profile::parse("x", file).expect_err(file), expected);
        }
    }
}
