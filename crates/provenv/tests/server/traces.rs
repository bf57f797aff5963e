//! Traces, as a collector of OpenTelemetry gets them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, status};
use prost::Message as _;
use provenv_testing::pypi::{Index, Wheel};

use super::team::{DEFAULT, Team};
use super::workers::Worker;
use crate::support::{Done, definition, eventually, serve};

/// What a collector may ask for.
const PASS: &str = "Bearer of-the-collector";

/// A span and the service that sent it.
#[derive(Clone, Debug)]
struct Sent {
    service: String,
    span: Span,
}

impl Sent {
    fn attribute(&self, name: &str) -> Option<String> {
        attribute(&self.span.attributes, name)
    }
}

fn attribute(all: &[KeyValue], name: &str) -> Option<String> {
    let one = all.iter().find(|one| one.key == name)?;
    match &one.value {
        Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }) => Some(text.clone()),
        Some(AnyValue { value: Some(any_value::Value::IntValue(number)) }) => Some(number.to_string()),
        _ => None,
    }
}

/// A collector that takes spans by OTLP over HTTP.
struct Collector {
    url: String,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sent = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&sent);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve_connection(connection, &shared));
            }
        });
        Self { url, sent }
    }

    /// The variables by which a process sends here.
    fn variables(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20of-the-collector"),
            // However slow this machine is.
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "60000"),
            // Not to wait for five seconds each time.
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ]
    }

    fn all(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// The spans of a trace.
    fn trace(&self, id: &str) -> Vec<Sent> {
        self.all().into_iter().filter(|one| hex(&one.span.trace_id) == id).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Answers each request of a connection.
fn serve_connection(connection: TcpStream, sent: &Mutex<Vec<Sent>>) -> Option<()> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    let mut writer = connection;
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let header = |name: &str| {
            let mut headers = head.iter().skip(1).filter_map(|line| line.split_once(':'));
            headers.find(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        };
        let mut body = vec![0; header("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let is_fit = head[0].starts_with("POST /v1/traces ")
            && header("content-type").as_deref() == Some("application/x-protobuf")
            && header("authorization").as_deref() == Some(PASS);
        let status = match ExportTraceServiceRequest::decode(body.as_slice()) {
            Ok(request) if is_fit => {
                sent.lock().unwrap().extend(spans(request));
                "200 OK"
            }
            _ => "400 Bad Request",
        };
        write!(writer, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").ok()?;
    }
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Sent> {
    let mut sent = Vec::new();
    for resource in request.resource_spans {
        let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
        let service = attribute(&attributes, "service.name").unwrap_or_default();
        for scope in resource.scope_spans {
            sent.extend(scope.spans.into_iter().map(|span| Sent { service: service.clone(), span }));
        }
    }
    sent
}

fn run(command: &mut Command) -> Done {
    command.output().unwrap().into()
}

#[test]
fn a_registration_and_its_build_are_one_trace() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    team.signal(Signal::SIGTERM);
    assert_eq!(team.wait().0, Some(0));
    let collector = Collector::start();
    let variables = collector.variables();
    let mut team = Team::start_with(&team.root, &["--workers", "0"], &token, &variables);
    let mut worker = Worker::start(&team.root, &[], &variables);

    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    fs_err::write(folder.path().join("tea.yml"), definition(&index, "tea", &["tea"])).unwrap();
    let (trace, caller) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let parent = format!("00-{trace}-{caller}-01");
    let told = variables.iter().copied().chain([("TRACEPARENT", parent.as_str())]);
    let mut command = team.command(folder.path(), &token);
    run(command.envs(told.clone()).args(["env", "register", "tea.yml"])).ok();
    let mut command = team.command(folder.path(), &token);
    run(command.envs(told).args(["build", "tea"])).ok();
    eventually("it is built", || {
        let jobs = team.owner.get(&format!("{DEFAULT}/jobs")).is(200).json();
        jobs["jobs"][0]["status"] == "succeeded"
    });
    // What is left is sent at the end.
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.wait(), Some(0));
    team.signal(Signal::SIGTERM);
    let (code, said) = team.wait();
    assert_eq!((code, said.contains("traces")), (Some(0), false), "{said}");

    let sent = collector.trace(trace);
    let names: Vec<_> = sent.iter().map(|one| (one.service.as_str(), one.span.name.as_str())).collect();
    let find = |service: &str, name: &str| {
        let found = sent.iter().find(|one| one.service == service && one.span.name == name);
        found.unwrap_or_else(|| panic!("no {name} of {service}: {names:#?}"))
    };
    let parent_of = |one: &Sent| {
        let found = sent.iter().find(|other| other.span.span_id == one.span.parent_span_id);
        found.unwrap_or_else(|| panic!("{} has no parent: {names:#?}", one.span.name))
    };
    // The command, its request, and what the server did for it.
    let create = find("provenv", "provenv env register");
    assert_eq!(hex(&create.span.parent_span_id), caller);
    let registers = find("provenv-server", "POST /api/v1/workspaces/{workspace}/environments");
    assert_eq!(parent_of(registers).span.span_id, create.span.span_id);
    assert_eq!(registers.span.kind, SpanKind::Server as i32);
    assert_eq!(registers.attribute("http.response.status_code").as_deref(), Some("201"));
    assert_eq!(registers.attribute("provenv.caller").as_deref(), Some("token"));
    let resolve = find("provenv-server", "resolve");
    assert_eq!(parent_of(resolve).span.span_id, registers.span.span_id);
    // The other command, its request, the job that it began, and what was done in the process that builds.
    let job = find("provenv-worker", "build job");
    let asks = parent_of(job);
    assert!(asks.span.name.starts_with("POST /") && asks.span.name.ends_with("/build"), "{names:#?}");
    assert_eq!(parent_of(asks).span.name, "provenv build");
    assert_eq!(job.attribute("provenv.job.status").as_deref(), Some("succeeded"));
    let process = find("provenv-worker", "build process");
    assert_eq!(parent_of(process).span.span_id, job.span.span_id);
    let assemble = sent
        .iter()
        .find(|one| one.span.name == "assemble" && parent_of(one).span.span_id == process.span.span_id);
    assert!(assemble.is_some(), "{names:#?}");
    // Nothing hangs in the air, and nobody is named.
    for one in &sent {
        assert!(hex(&one.span.parent_span_id) == caller || parent_of(one).span.trace_id == one.span.trace_id);
        let text = format!("{:?}", one.span);
        assert!(!text.contains("owner") && !text.contains(&token), "{text}");
    }
}

#[test]
fn what_fails_is_seen_to_fail() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    let team = Team::start(folder.path());
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    let mut command = team.command(folder.path(), &token);
    let done = run(command.envs(collector.variables()).args(["env", "show", "nothing"]));
    assert_eq!(done.code, 1);
    // The command has sent all when it has ended; its server sends nothing.
    let sent = collector.all();
    assert_eq!(sent.len(), 1, "{sent:#?}");
    assert_eq!(sent[0].span.name, "provenv env show");
    let status = sent[0].span.status.as_ref().unwrap();
    assert_eq!(status.code(), status::StatusCode::Error, "{sent:#?}");
}

#[test]
fn the_settings_may_name_the_collector_and_variables_put_it_aside() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    let settings = folder.path().join("config.toml");
    let text = format!("[telemetry]\nendpoint = \"{}\"\nservice_name = \"laptop\"\n", collector.url);
    fs_err::write(&settings, text).unwrap();
    let list = |variables: &[(&str, &str)]| {
        let mut command = crate::support::command(&folder.path().join("workspace"));
        command.env("PROVENV_CONFIG", &settings).envs(collector.variables().into_iter().skip(1));
        run(command.envs(variables.iter().copied()).args(["env", "list"])).ok()
    };
    list(&[]);
    let sent = collector.all();
    assert_eq!((sent.len(), sent[0].service.as_str()), (1, "laptop"), "{sent:#?}");
    list(&[("OTEL_SERVICE_NAME", "other")]);
    assert_eq!(collector.all()[1].service, "other");
    list(&[("OTEL_SDK_DISABLED", "true")]);
    list(&[("OTEL_TRACES_EXPORTER", "none")]);
    list(&[("OTEL_TRACES_SAMPLER", "always_off")]);
    assert_eq!(collector.all().len(), 2);
    let refused = list(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    assert!(
        refused.stderr.contains("no traces are sent: OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`"),
        "{}",
        refused.stderr
    );
    let refused = list(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://ann:secret@collector")]);
    assert!(refused.stderr.contains("is no URL of a collector"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
    assert_eq!(collector.all().len(), 2);
}

#[test]
fn a_collector_that_does_not_answer_is_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    // It takes connections and ends them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let tries = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&tries);
    thread::spawn(move || listener.incoming().for_each(|_| *counted.lock().unwrap() += 1));
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "20")];
    let mut team = Team::start(folder.path());
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    team.kill();
    let mut team = Team::start_with(&team.root, &[], &token, &variables);
    eventually("it was tried several times", || {
        team.owner.get("/api/v1/whoami").is(200);
        *tries.lock().unwrap() > 5
    });
    team.signal(Signal::SIGTERM);
    let (code, said) = team.wait();
    assert_eq!((code, said.matches("traces are lost").count()), (Some(0), 1), "{said}");
}
