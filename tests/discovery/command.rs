//! `solder discovery new`.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Stdio,
    thread,
};

use crate::{
    get,
    service::Service,
    strangers::{everywhere, outward},
    support::{runner, server::Server},
};

/// Status, standard output, standard error.
fn run(arguments: &[&str], endpoint: &str) -> (i32, String, String) {
    let mut command = runner::command(env!("CARGO_BIN_EXE_solder"));
    command.args(["discovery", "new", "--endpoints", endpoint]).args(arguments).stdin(Stdio::null());
    let ended = command.output().expect("the command ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ended.status.code().expect("a status"), text(&ended.stdout), text(&ended.stderr))
}

/// The URL without its secret, and the secret.
fn parts(output: &str) -> (&str, &str) {
    let line = output.strip_suffix('\n').expect("a line");
    let (url, secret) = line.split_once('#').expect("a secret");
    assert!(secret.len() == 32 && secret.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{line}");
    (url, secret)
}

#[test]
fn a_url_that_others_can_use() {
    let (server, _home) = everywhere(&[]);
    let (status, output, errors) = run(&["--size", "5", "-w", "json"], &server.address().to_string());
    assert_eq!(status, 0, "{errors}");
    let (url, _) = parts(&output);
    if let Some(outside) = outward(server.address().port()) {
        let path =
            url.strip_prefix(&format!("http://{outside}")).unwrap_or_else(|| panic!("{url}: not {outside}"));
        let size = get(outside, &format!("{path}/_config/size")).text();
        assert!(size.contains("\"value\":\"5\""), "{size}");
        assert!(!errors.contains("warning"), "{errors}");
    } else {
        println!("SKIPPED: NO URL FOR OTHERS WAS MADE: this machine has no address but loopback");
    }
    assert!(errors.contains("on 5 boards, within 7 days"), "{errors}");
    let (_, again, _) = run(&[], &server.address().to_string());
    assert_ne!(parts(&again), parts(&output), "each has its own token and secret");
}

#[test]
fn a_service_that_no_board_can_reach() {
    let server = Server::fresh();
    let (status, output, errors) = run(&["--size=1"], &server.address().to_string());
    assert_eq!(status, 0, "{errors}");
    assert!(parts(&output).0.starts_with(&format!("http://{}/", server.address())), "{output}");
    assert!(errors.starts_with("warning: no other board can reach"), "{errors}");
    assert!(errors.contains("on 1 board, within 7 days"), "{errors}");
}

#[test]
fn what_cannot_be() {
    let service = Service::start();
    let endpoint = service.address().to_string();
    for size in ["0", "10", "x"] {
        let (status, output, errors) = run(&["--size", size], &endpoint);
        assert_eq!((status, &*output), (2, ""), "{errors}");
    }
    let (status, _, errors) = run(&[], "127.0.0.1:1");
    assert!(status != 0 && errors.contains("is a server running there?"), "{errors}");
}

/// What the service is told, and would have to be told for the secret to be its own.
#[test]
fn the_secret_is_never_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let heard = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("somebody comes");
        let mut bytes = vec![0; 4096];
        let count = socket.read(&mut bytes).expect("a request");
        let url = format!("http://board.example:2379/{}", "ab".repeat(16));
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{url}", url.len());
        socket.write_all(answer.as_bytes()).expect("it reads");
        // Whatever comes until the client ends.
        socket.read_to_end(&mut bytes).expect("an end");
        bytes.truncate(count.max(bytes.len()));
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let (status, output, errors) = run(&[], &address.to_string());
    assert_eq!(status, 0, "{errors}");
    let (url, secret) = parts(&output);
    assert_eq!(url, format!("http://board.example:2379/{}", "ab".repeat(16)));
    let heard = heard.join().expect("it has heard");
    assert!(heard.starts_with("POST /new?size=3 HTTP/1.1\r\n"), "{heard}");
    assert!(!heard.contains(secret), "{heard}");
}

/// The help says who has the secret.
#[test]
fn help() {
    let mut command = runner::command(env!("CARGO_BIN_EXE_solder"));
    let ended = command.args(["discovery", "new", "--help"]).output().expect("the command ends");
    let text = String::from_utf8_lossy(&ended.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("is drawn on this machine and never sent"), "{text}");
}
