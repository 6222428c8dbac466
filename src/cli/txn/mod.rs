//! `txn`: conditions, what to do if all hold, what to do else; each part ends with an empty line.

mod compare;
mod operation;
pub(in crate::cli) mod words;

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
};

use clap::Args;

use super::{
    failure::{Failure, Status},
    go,
    output::Output,
    print::Answer,
    session::Session,
};
use crate::rpc::TxnRequest;

#[derive(Args)]
pub(super) struct Arguments {
    /// Read it from that file rather than from standard input.
    file: Option<PathBuf>,
    /// Prompt for each part.
    #[arg(short, long)]
    interactive: bool,
}

pub(super) async fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let mut input: Box<dyn BufRead> = match &arguments.file {
        None => Box::new(std::io::stdin().lock()),
        Some(file) => Box::new(BufReader::new(File::open(file).map_err(|error| {
            Failure::new(
                Status::InvalidInput,
                format_args!("cannot read {}: {}", file.display(), go::reason(&error)),
            )
        })?)),
    };
    let request = read(&mut *input, &mut |prompt| {
        if arguments.interactive {
            Output::new().line(prompt);
        }
    })?;
    let response = session.client.txn(&request).await?;
    session.print(&Answer::Txn(&response))
}

/// The transaction that `text` is, or why it is none. Nothing is asked of anybody.
pub fn parse(text: &[u8]) -> Result<TxnRequest, String> {
    read(&mut &text[..], &mut |_| ()).map_err(|failure| failure.line.unwrap_or_default())
}

fn read(input: &mut dyn BufRead, prompt: &mut dyn FnMut(&str)) -> Result<TxnRequest, Failure> {
    prompt("compares:");
    let compare = part(input, compare::parse)?;
    prompt("success requests (get, put, del):");
    let success = part(input, operation::parse)?;
    prompt("failure requests (get, put, del):");
    let failure = part(input, operation::parse)?;
    Ok(TxnRequest { compare, success, failure })
}

/// Lines up to an empty one.
fn part<T>(input: &mut dyn BufRead, parse: impl Fn(&[u8]) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    let mut items = Vec::new();
    loop {
        let mut line = Vec::new();
        let read = input.read_until(b'\n', &mut line);
        read.map_err(|error| {
            Failure::new(Status::InvalidInput, format_args!("cannot read the input: {error}"))
        })?;
        if !line.ends_with(b"\n") {
            // Half a transaction must not be taken for a whole one.
            let text = "EOF: an empty line has to end each of the three parts";
            return Err(Failure::new(Status::InvalidInput, text));
        }
        match line.trim_ascii() {
            b"" => return Ok(items),
            line => items.push(parse(line)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::{Compare, CompareOperand, CompareResult, CompareTarget, PutRequest, RequestOp};

    fn parsed(text: &str) -> Result<TxnRequest, (Status, String)> {
        read(&mut text.as_bytes(), &mut |_| ())
            .map_err(|failure| (failure.status, failure.line.expect("a reason").replacen("Error: ", "", 1)))
    }

    #[test]
    fn three_parts() {
        let txn =
            parsed("mod(\"k1\") > \"7\"\n\nput k1 \"over \\\"x\\\"\\n\" --prev-kv\n\n\n").expect("a txn");
        let compare = Compare {
            result: CompareResult::Greater,
            target: CompareTarget::Mod,
            key: b"k1".into(),
            operand: CompareOperand::ModRevision(7),
            ..Compare::default()
        };
        let put = PutRequest {
            key: b"k1".into(),
            value: b"over \"x\"\n".into(),
            prev_kv: true,
            ..PutRequest::default()
        };
        assert_eq!(
            txn,
            TxnRequest { compare: vec![compare], success: vec![RequestOp::Put(put)], failure: vec![] }
        );
    }

    #[test]
    fn parts_that_do_not_end() {
        for text in ["", "\n", "\n\n", "\nput a b", "\nput a b\n\n", "\n\nget a\n"] {
            let (status, line) = parsed(text).expect_err(text);
            assert!(status == Status::InvalidInput && line.starts_with("EOF"), "{text:?}: {line}");
        }
        assert_eq!(parsed("\n\n\n"), Ok(TxnRequest::default()));
    }

    #[test]
    fn what_etcdctl_refuses() {
        let cases = [
            ("foo", "malformed comparison: foo"),
            ("foo(\"k\") = \"1\"", "malformed comparison: foo(\"k\") = \"1\" (unknown target foo)"),
            ("mod(\"k\") = \"x\"", "invalid txn compare request: mod(\"k\") = \"x\""),
            ("mod(k) = \"1\"", "malformed comparison: mod(k) = \"1\"; got mod(\"\")  \"\""),
            ("mod(\"k\")=\"1\"", "malformed comparison: mod(\"k\")=\"1\"; got mod(\"k\")  \"\""),
            ("mod(\"k\") = 1", "malformed comparison: mod(\"k\") = 1; got mod(\"k\") = \"\""),
            ("mod (\"k\") = \"1\"", "malformed comparison: mod (\"k\") = \"1\" (unknown target mod )"),
            ("mod(\"k\") ? \"1\"", "malformed comparison: mod(\"k\") ? \"1\" (unknown operator ?)"),
            ("\nbogus x", "invalid txn request: bogus x"),
            ("\nput", "invalid txn compare request: put"),
            ("\nput a b --bogus", "invalid txn request: put a b --bogus"),
            ("\nget k -w json", "invalid txn request: get k -w json"),
            ("\nput a b c", "invalid txn request: put a b c"),
            ("\nput a \"\\q\"", "invalid syntax"),
        ];
        for (text, complaint) in cases {
            let found = parsed(&format!("{text}\n\n\n\n"));
            assert_eq!(found, Err((Status::InvalidInput, complaint.to_string())), "{text:?}");
        }
        let (status, _) = parsed("\nput a\n\n\n").expect_err("a put without a value");
        assert_eq!(status, Status::BadArguments);
    }
}
