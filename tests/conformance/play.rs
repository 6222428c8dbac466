//! The steps of a case: calls, streams that are open meanwhile, calls that wait.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpStream},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    compare::{Compare, at, short, strip_error},
    is_left_out,
    support::{
        client::{b64, prefix_end, revision},
        http::{Answer, Connection, Request, Stream, cut},
        server::Server,
    },
    values::Values,
};

#[derive(Default)]
pub(crate) struct Report {
    pub(crate) passed: usize,
    pub(crate) failures: Vec<String>,
}

pub(crate) fn case(server: &Server, name: &str, steps: &[Value]) -> Report {
    let mut play = Play {
        address: server.address(),
        values: Values::new(&mut fastrand::Rng::new(), start_revision(server)),
        streams: BTreeMap::new(),
        calls: BTreeMap::new(),
    };
    let mut report = Report::default();
    for (number, step) in steps.iter().enumerate() {
        if is_left_out(step) {
            println!("LEFT OUT: {name} step {}: {}", number + 1, step["path"]);
            continue;
        }
        let differences = match play.step(step) {
            Ok(differences) => differences,
            Err(error) => vec![error.to_string()],
        };
        if differences.is_empty() {
            report.passed += 1;
            continue;
        }
        let label = ["note", "path", "do"]
            .iter()
            .find_map(|field| step[*field].as_str())
            .unwrap_or_default()
            .to_owned();
        report.failures.push(format!(
            "{name} step {} {label}:\n    {}",
            number + 1,
            differences.join("\n    ")
        ));
    }
    play.clean_up();
    report
}

fn start_revision(server: &Server) -> i64 {
    let answer = server.client().call("/v3/kv/range", &json!({"key": "AQ==", "count_only": true}));
    revision(&answer.expect("a range")).expect("a revision")
}

struct Play {
    address: SocketAddr,
    values: Values,
    streams: BTreeMap<String, Open>,
    calls: BTreeMap<String, Receiver<io::Result<Answer>>>,
}

/// A request as it goes out.
struct Outgoing {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Outgoing {
    fn request(&self) -> Request<'_> {
        Request { method: &self.method, path: &self.path, headers: &self.headers, body: self.body.as_deref() }
    }

    fn call(&self, address: SocketAddr) -> io::Result<Answer> {
        Connection::open(address)?.call(&self.request())
    }
}

impl Play {
    /// What differs; nothing: as it must be.
    fn step(&mut self, step: &Value) -> io::Result<Vec<String>> {
        match step["do"].as_str().unwrap_or("call") {
            "call" => self.call(step),
            "sleep" => {
                thread::sleep(millis(step, "ms", 0));
                Ok(Vec::new())
            }
            "open" => {
                let open = Open::new(self.address, self.outgoing(step))?;
                self.streams.insert(text(step, "stream"), open);
                Ok(Vec::new())
            }
            "close" => {
                self.stream(step).close();
                Ok(Vec::new())
            }
            "recv" => Ok(self.receive(step)),
            "quiet" => Ok(self.stream(step).quiet(millis(step, "ms", 300))),
            "ended" => Ok(self.stream(step).has_ended(millis(step, "timeout_ms", 5000))),
            "start" => {
                self.start(step);
                Ok(Vec::new())
            }
            "pending" => {
                let waited = self.calls[&text(step, "call")].recv_timeout(millis(step, "ms", 300));
                Ok(waited.map_or(Vec::new(), |answer| vec![format!("the call returned: {answer:?}")]))
            }
            "join" => {
                let waited = self.calls[&text(step, "call")].recv_timeout(millis(step, "timeout_ms", 8000));
                match waited {
                    Ok(answer) => Ok(self.check(step, &answer?)),
                    Err(_) => Ok(vec!["the call did not return in time".to_owned()]),
                }
            }
            other => panic!("no step is called {other}"),
        }
    }

    fn stream(&mut self, step: &Value) -> &mut Open {
        self.streams.get_mut(&text(step, "stream")).expect("it was opened")
    }

    fn outgoing(&mut self, step: &Value) -> Outgoing {
        let headers = step["headers"].as_object().into_iter().flatten();
        Outgoing {
            method: step["method"].as_str().unwrap_or("POST").to_owned(),
            path: self.values.text(step["path"].as_str().unwrap_or_default()),
            headers: headers
                .map(|(name, value)| (name.clone(), self.values.text(value.as_str().expect("a text"))))
                .collect(),
            body: self.body(step),
        }
    }

    fn body(&mut self, step: &Value) -> Option<Vec<u8>> {
        if let Some(raw) = step["raw"].as_str() {
            return Some(self.values.text(raw).into_bytes());
        }
        if let Some(bodies) = step["bodies"].as_array() {
            let lines: Vec<String> =
                bodies.iter().map(|body| self.values.resolve(body).to_string()).collect();
            return Some(lines.join("\n").into_bytes());
        }
        step.get("body").map(|body| self.values.resolve(body).to_string().into_bytes())
    }

    fn call(&mut self, step: &Value) -> io::Result<Vec<String>> {
        let deadline = Instant::now() + millis(step, "retry_ms", 0);
        loop {
            let answer = self.outgoing(step).call(self.address)?;
            let differences = self.check(step, &answer);
            if differences.is_empty() || Instant::now() >= deadline {
                return Ok(differences);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn start(&mut self, step: &Value) {
        let (outgoing, address) = (self.outgoing(step), self.address);
        let (sender, receiver) = channel();
        // It ends with its answer, at the latest when the server ends.
        thread::spawn(move || sender.send(outgoing.call(address)));
        self.calls.insert(text(step, "call"), receiver);
    }

    fn check(&mut self, step: &Value, answer: &Answer) -> Vec<String> {
        let (kind, body) = match content(step, answer) {
            Ok(content) => content,
            Err(error) => return vec![format!("{error}: {}", short(&answer.text()))],
        };
        for (name, path) in step["capture"].as_object().into_iter().flatten() {
            self.values.capture(name, at(&body, path.as_str().expect("a path")).clone());
        }
        let expect = &step["expect"];
        let mut differences = Vec::new();
        if expect["status"] != answer.status {
            let body = short(&answer.text());
            return vec![format!("status: expected {}, got {}: {body}", expect["status"], answer.status)];
        }
        for (name, value) in expect["headers"].as_object().into_iter().flatten() {
            let got = answer.header(name).unwrap_or_default();
            if value != got {
                differences.push(format!("header {name}: expected {value}, got {got:?}"));
            }
        }
        for want in ["body", "messages", "text"] {
            let Some(value) = expect.get(want) else { continue };
            if want != kind {
                differences.push(format!("expected {want} {value}, got {kind} {}", short(&answer.text())));
                continue;
            }
            let mut compare = Compare::new(step);
            let value = self.values.resolve(value);
            match want == "body" && expect["status"].as_u64() >= Some(400) {
                true => compare.run(&strip_error(&value), &strip_error(&body)),
                false => compare.run(&value, &body),
            }
            differences.extend(compare.differences);
        }
        differences
    }

    fn receive(&mut self, step: &Value) -> Vec<String> {
        let expected = step["expect"].as_array().expect("a list of messages");
        let patience = millis(step, "timeout_ms", 5000);
        let strict = step["strict"] == Value::Bool(true);
        let (got, mut differences) = self.stream(step).take(expected.len(), patience, strict);
        for (name, path) in step["capture"].as_object().into_iter().flatten() {
            self.values.capture(name, at(&got, path.as_str().expect("a path")).clone());
        }
        let want = self.values.resolve(&step["expect"]);
        let (want, got) = (items(&want), items(&got));
        if got.len() < want.len() {
            differences.push(format!("expected {} messages, got {}", want.len(), got.len()));
        }
        let mut compare = Compare::new(step);
        let mut watches: Vec<String> = want.iter().map(watch_of).collect();
        watches.sort();
        watches.dedup();
        if watches.len() < 2 {
            compare.run(&Value::Array(want.to_vec()), &Value::Array(got.to_vec()));
        } else {
            // Order matters within one watch only.
            watches.extend(got.iter().map(watch_of));
            watches.sort();
            watches.dedup();
            for watch in watches {
                let of =
                    |list: &[Value]| list.iter().filter(|unit| watch_of(unit) == watch).cloned().collect();
                compare.run(&of(want), &of(got));
            }
        }
        differences.extend(compare.differences);
        differences
    }

    /// Leaves a store that the next case finds empty enough.
    fn clean_up(&mut self) {
        for stream in self.streams.values_mut() {
            stream.close();
        }
        let prefix = self.values.prefix().as_bytes();
        let keys = json!({"key": b64(prefix), "range_end": b64(&prefix_end(prefix))});
        let calls = self.values.leases().into_iter().map(|id| ("/v3/lease/revoke", json!({"ID": id})));
        let calls: Vec<(&str, Value)> = calls.chain([("/v3/kv/deleterange", keys)]).collect();
        for (path, body) in calls {
            // A lease may be gone, and with auth on nothing of this is allowed.
            let body = body.to_string();
            let request = Request::post(path, body.as_bytes());
            let _ = Connection::open(self.address).and_then(|mut connection| connection.call(&request));
        }
    }
}

fn content(step: &Value, answer: &Answer) -> serde_json::Result<(&'static str, Value)> {
    if step["ndjson"] == Value::Bool(true) {
        let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        return Ok(("messages", lines.map(serde_json::from_slice::<Value>).collect::<Result<_, _>>()?));
    }
    let json = answer.header("content-type").is_some_and(|value| value.contains("json"));
    if (json || answer.body.starts_with(b"{"))
        && let Ok(value) = serde_json::from_slice(&answer.body)
    {
        return Ok(("body", value));
    }
    Ok(("text", Value::String(answer.text())))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn watch_of(unit: &Value) -> String {
    let id = unit["watch_id"].as_str().or_else(|| unit["msg"]["result"]["watch_id"].as_str());
    id.unwrap_or("0").to_owned()
}

fn text(step: &Value, field: &str) -> String {
    step[field].as_str().unwrap_or_else(|| panic!("no {field} in {step}")).to_owned()
}

fn millis(step: &Value, field: &str, default: u64) -> Duration {
    Duration::from_millis(step[field].as_u64().unwrap_or(default))
}

/// A stream whose messages are read by a thread of its own, so that one can wait for them, but not for ever.
struct Open {
    socket: TcpStream,
    lines: Receiver<io::Result<Vec<u8>>>,
    ended: bool,
    /// Taken apart and not asked for yet.
    units: Vec<Value>,
    /// The last revision of every watch, to see that none is split over two messages.
    last: BTreeMap<String, i64>,
    fragment: bool,
}

impl Open {
    fn new(address: SocketAddr, outgoing: Outgoing) -> io::Result<Open> {
        let mut connection = Connection::open(address)?;
        connection.set_patience(Duration::from_secs(120))?;
        let socket = connection.socket().try_clone()?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut stream = match Stream::open(connection, &outgoing.request()) {
                Ok(stream) => stream,
                Err(error) => return drop(sender.send(Err(error))),
            };
            while let Some(line) = stream.message().transpose() {
                let failed = line.is_err();
                if sender.send(line).is_err() || failed {
                    return;
                }
            }
        });
        Ok(Open { socket, lines, ended: false, units: Vec::new(), last: BTreeMap::new(), fragment: false })
    }

    fn close(&mut self) {
        cut(&self.socket);
    }

    /// `None`: nothing came in time, or the stream has ended.
    fn next(&mut self, patience: Duration) -> Option<io::Result<Vec<u8>>> {
        if self.ended {
            return None;
        }
        match self.lines.recv_timeout(patience) {
            Ok(line) => {
                self.ended = line.is_err();
                Some(line)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                None
            }
        }
    }

    fn quiet(&mut self, patience: Duration) -> Vec<String> {
        if !self.units.is_empty() {
            return vec![format!("unexpected: {:?}", self.units)];
        }
        match self.next(patience) {
            Some(Ok(line)) => vec![format!("unexpected: {}", short(&String::from_utf8_lossy(&line)))],
            Some(Err(error)) => vec![format!("the stream ended: {error}")],
            None if self.ended => vec!["the stream ended".to_owned()],
            None => Vec::new(),
        }
    }

    fn has_ended(&mut self, patience: Duration) -> Vec<String> {
        match self.next(patience) {
            Some(Ok(line)) => vec![format!("unexpected: {}", short(&String::from_utf8_lossy(&line)))],
            _ if self.ended => Vec::new(),
            _ => vec!["the stream did not end".to_owned()],
        }
    }

    /// The next units, as a list, and what is wrong with them already.
    fn take(&mut self, count: usize, patience: Duration, strict: bool) -> (Value, Vec<String>) {
        let deadline = Instant::now() + patience;
        let mut wrong = Vec::new();
        while self.units.len() < count {
            match self.next(deadline.saturating_duration_since(Instant::now())) {
                Some(Ok(line)) => match serde_json::from_slice(&line) {
                    Ok(message) => wrong.extend(self.hear(message, strict)),
                    Err(error) => wrong.push(format!("{error}: {}", short(&String::from_utf8_lossy(&line)))),
                },
                Some(Err(error)) => wrong.push(format!("the stream ended: {error}")),
                None => break,
            }
        }
        let got = self.units.drain(..count.min(self.units.len())).collect();
        (got, wrong)
    }

    /// Takes a message apart, so that it does not matter how events were put together.
    fn hear(&mut self, message: Value, strict: bool) -> Option<String> {
        let result = &message["result"];
        let events = items(&result["events"]);
        if strict || events.is_empty() {
            self.units.push(json!({"msg": message}));
            return None;
        }
        let number = |value: &Value| value.as_str().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        let watch = result["watch_id"].as_str().unwrap_or("0").to_owned();
        let header = number(&result["header"]["revision"]);
        let revisions: Vec<i64> = events.iter().map(|event| number(&event["kv"]["mod_revision"])).collect();
        let newest = revisions.iter().copied().max().unwrap_or(0);
        let mut wrong = None;
        if header < newest {
            wrong = Some(format!("the header's revision {header} is below that of an event, {newest}"));
        }
        if self.last.get(&watch) == revisions.first() && !self.fragment {
            wrong = Some(format!("events of revision {} in two messages", revisions[0]));
        }
        self.last.extend(revisions.last().map(|last| (watch.clone(), *last)));
        self.fragment = result["fragment"] == Value::Bool(true);
        self.units.extend(events.iter().map(|event| json!({"watch_id": watch, "event": event})));
        wrong
    }
}
