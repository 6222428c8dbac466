//! `ls [PREFIX]`: keys as a tree with `/` between the parts, as etcd's v2 tools showed them.

use std::ffi::OsString;

use clap::Args;

use super::{
    failure::{Failure, Status},
    output::Output,
    print::Format,
    session::{Session, bytes},
};
use crate::{
    rpc::RangeRequest,
    types::{Bytes, KeyRange},
};

#[derive(Args)]
pub(super) struct Arguments {
    /// The directory; without it, the top.
    prefix: Option<OsString>,
    /// All that is below, not only the children.
    #[arg(short, long)]
    recursive: bool,
}

/// Keys asked for at once.
const PAGE: i64 = 500;

pub(super) async fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    if session.style.format != Format::Simple {
        let name = session.style.format.name();
        return Err(Failure::new(Status::BadFeature, format_args!("{name} not supported as output format")));
    }
    let mut directory = arguments.prefix.as_ref().map(bytes).unwrap_or_default().to_vec();
    if directory.last().is_some_and(|byte| *byte != b'/') {
        directory.push(b'/');
    }
    let mut output = Output::new();
    let mut range = KeyRange::prefix(&directory);
    let mut revision = 0;
    loop {
        let request = RangeRequest {
            key: range.key.clone(),
            range_end: range.range_end.clone(),
            limit: PAGE,
            revision,
            keys_only: true,
            ..RangeRequest::default()
        };
        let page = session.client.range(&request).await?;
        if revision == 0 {
            revision = page.header.map_or(0, |header| header.revision);
        }
        let mut next: Option<Bytes> = None;
        for kv in &page.kvs {
            if next.as_ref().is_some_and(|next| kv.key < *next) {
                continue;
            }
            let shown = match arguments.recursive {
                true => &kv.key[..],
                false => child(&kv.key, directory.len()),
            };
            output.bytes(&session.text(shown));
            next = Some(behind(shown, &kv.key));
        }
        match next {
            Some(next) if page.more => range.key = next,
            _ => return Ok(()),
        }
    }
}

/// The part of a key up to the first `/` below the directory. At the top a `/` that begins a key belongs to the name.
fn child(key: &[u8], directory: usize) -> &[u8] {
    let from = directory + usize::from(directory == 0 && key.first() == Some(&b'/'));
    match key[from..].iter().position(|byte| *byte == b'/') {
        Some(slash) => &key[..from + slash + 1],
        None => key,
    }
}

/// The first key that is neither `shown` nor in it.
fn behind(shown: &[u8], key: &[u8]) -> Bytes {
    match shown.len() < key.len() || shown.ends_with(b"/") && shown == key {
        true => KeyRange::prefix(shown).range_end,
        false => [key, b"\0"].concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children() {
        assert_eq!(child(b"/a/b/c", 3), b"/a/b/");
        assert_eq!(child(b"/a/b", 3), b"/a/b");
        assert_eq!(child(b"/a/b", 0), b"/a/");
        assert_eq!(child(b"a/b", 0), b"a/");
        assert_eq!(child(b"/", 0), b"/");
        assert_eq!(behind(b"/a/b/", b"/a/b/c")[..], *b"/a/b0");
        assert_eq!(behind(b"/a/b", b"/a/b")[..], *b"/a/b\0");
    }
}
