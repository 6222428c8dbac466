//! What `solder check-config` prints: a configuration file that, with `--config-file`, gives these very settings.

use std::fmt::Write as _;

use super::{
    Settings,
    keys::{KEYS, Key},
    reading::Report,
};

pub(super) fn text(settings: &Settings, report: &Report) -> String {
    let mut text = String::new();
    for warning in &settings.warnings {
        let _ = writeln!(text, "# warning: {warning}");
    }
    let mut group = "";
    for (key, used) in KEYS.iter().filter_map(|key: &Key| Some((key, key.used()?))) {
        let Some((value, source)) = report.get(key.name) else { continue };
        if group != used.group {
            group = used.group;
            let _ = writeln!(text, "\n# {group}");
        }
        let _ = writeln!(text, "{:<60} # {source}", format!("{} = {value}", key.name));
    }
    text.trim_start().to_string()
}
