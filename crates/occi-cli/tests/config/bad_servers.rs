//! Servers that are not there, or are slow, or lie: the user is told what is wrong in a sentence and what to do, and the
//! script by the exit code; what is on stdout is whole or nothing; and nobody sees a credential.

use crate::certificates::Authority;
use crate::person::Person;
use crate::stub::{query_interface, raw};
use libtest_mimic::Trial;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What a server does with a connection.
enum Server {
    /// There is none.
    Nobody,
    /// It takes connections and says nothing.
    Silent,
    /// It ends them as soon as it has heard the question.
    HangsUp,
    /// It says this, and ends the connection.
    Says(String),
    /// It says this, and then nothing.
    Stops(String),
    /// It says the first, and then the second for ever.
    Endless(&'static str, &'static str),
    /// It shows what it offers, and answers everything else with this.
    Offers(String),
    /// It has a certificate of this name, which may be expired, and may want one of ours; and somebody whom we may know has
    /// signed it.
    Encrypted {
        name: &'static str,
        is_expired: bool,
        wants_certificate: bool,
        is_known: bool,
    },
    /// It says one byte after the other, each in time.
    Drips,
    /// It shows what it offers, and says everything else so.
    DripsMembers,
    /// It shows what it offers, and lists the same machine for ever.
    RepeatsMembers,
    /// It makes a volume, and is no more as soon as it has heard that there shall be a machine.
    Dies,
    /// It answers with what it was asked.
    Echo(u16),
}
use Server::*;

struct Case {
    name: &'static str,
    server: Server,
    /// What `occi` is asked to do.
    line: &'static str,
    exit: i32,
    /// What it has to say.
    words: &'static [&'static str],
}

fn case(name: &'static str, server: Server, line: &'static str, exit: i32, words: &'static [&'static str]) -> Case {
    Case {
        name,
        server,
        line,
        exit,
        words,
    }
}

/// An answer, with its length.
fn answer(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn with(status: &str, header: &str, body: &str) -> String {
    answer(status, "text/plain", body).replace("\r\nconnection", &format!("\r\n{header}\r\nconnection"))
}

/// What an encrypted server says to who does not speak as it does: a fatal alert.
const ALERT: &str = "\u{15}\u{3}\u{3}\0\u{2}\u{2}F";
/// As a program of Python prints where it was; what it is about comes at the end.
const TRACEBACK: &str = "Traceback (most recent call last):\n  File \"app.py\", line 1, in <module>\n    f()\n";
const LIST: &str = "list compute";
const JSON_LIST: &str = "list compute -o json";
const SHOW: &str = "show /compute/1";

fn cases() -> Vec<Case> {
    let json = |body: &str| answer("200 OK", "application/occi+json", body);
    let encrypted = |name, is_expired, wants_certificate, is_known| Encrypted {
        name,
        is_expired,
        wants_certificate,
        is_known,
    };
    vec![
        case("nobody is there", Nobody, LIST, 7, &["cannot be reached", "check the address"]),
        case("silence", Silent, LIST, 6, &["took too long"]),
        case("silence at a log-in", Silent, "login URL --name lab", 6, &["took too long"]),
        case("the connection ends at once", HangsUp, LIST, 1, &["broke off"]),
        case("no HTTP", Says("220 mail.example.org ESMTP\r\n".into()), LIST, 1, &["not HTTP"]),
        case("half a head", Says("HTTP/1.1 200 OK\r\ncontent-ty".into()), LIST, 1, &["broke off"]),
        case("an empty answer", Says(answer("200 OK", "text/plain", "")), LIST, 1, &["no kind", "OCCI service?"]),
        case("a web page", Says(answer("200 OK", "text/html", "<html>Welcome</html>")), LIST, 1, &["OCCI service?"]),
        case("the wrong type", Says(answer("200 OK", "image/png", "Category: x")), LIST, 1, &["it is image/png", "OCCI service?"]),
        case("broken JSON", Says(json("{\"kinds\": [{\"term\": ")), LIST, 1, &["cannot be understood"]),
        case("JSON of something else", Says(json("{\"kinds\": 7}")), LIST, 1, &["cannot be understood"]),
        case("JSON that is none", Says(json("Category: compute")), LIST, 1, &["cannot be understood"]),
        case(
            "less than it says",
            Says("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9999\r\n\r\nCategory: ".into()),
            LIST,
            1,
            &["broke off"],
        ),
        case(
            "a broken chunk",
            Says("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".into()),
            LIST,
            1,
            &["broke off"],
        ),
        case(
            "it stops in the middle",
            Stops("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9999\r\n\r\nCategory: ".into()),
            LIST,
            6,
            &["took too long"],
        ),
        case(
            "an endless body",
            Endless("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n", "Category: compute; scheme=\"x\"\n"),
            LIST,
            1,
            &["longer than"],
        ),
        case("an endless listing", RepeatsMembers, "delete compute --all --yes", 1, &["more than 1000000 members"]),
        case("endless headers", Endless("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n"), LIST, 1, &["not HTTP"]),
        case(
            "a redirection to elsewhere",
            Says(with("302 Found", "location: https://ann:s3cret-link@evil.example.org/-/", "")),
            LIST,
            1,
            &["redirects to \"https://evil.example.org/-/\"", "nothing was sent there"],
        ),
        case(
            "a redirection to nowhere",
            Says(with("301 Moved", "location: http://[", "")),
            LIST,
            1,
            &["redirects", "no address"],
        ),
        case("a redirection to itself", Says(with("302 Found", "location: /-/", "")), LIST, 1, &["again and again"]),
        case(
            "a Keystone in the clear",
            Says(with("401 Unauthorized", "www-authenticate: Keystone uri='ftp://x/'", "")),
            LIST,
            1,
            &["Keystone"],
        ),
        case("an unknown user", Says(answer("401 Unauthorized", "text/plain", "who?")), LIST, 4, &["who?", "occi login URL --user"]),
        case("a forbidden one", Says(answer("403 Forbidden", "text/plain", "not you")), LIST, 4, &["not you"]),
        case("no such service", Says(answer("404 Not Found", "text/plain", "Not Found")), LIST, 3, &["answers 404 for its model", "OCCI service?"]),
        case("a busy one", Says(answer("503 Service Unavailable", "text/plain", "later")), LIST, 7, &["http://127.0.0.1", "answered 503 Service Unavailable: later"]),
        case(
            "one that says too much",
            Says(answer("500 Internal Server Error", "text/plain", &format!("{}ValueError: boom\n", TRACEBACK.repeat(20)))),
            LIST,
            7,
            &["answered 500 Internal Server Error: ValueError: boom ...", "--debug"],
        ),
        case(
            "one that says too much in one line",
            Says(answer("500 Internal Server Error", "text/plain", &"blah ".repeat(300))),
            LIST,
            7,
            &["answered 500 Internal Server Error: blah", "--debug"],
        ),
        case(
            "a very busy one",
            Says(with("429 Too Many Requests", "retry-after: 99999", "slowly")),
            LIST,
            7,
            &["slowly"],
        ),
        case(
            "one that breaks down with a page",
            Says(answer("500 Internal Server Error", "text/html", "<html><h1>Traceback</h1></html>")),
            LIST,
            7,
            &["500"],
        ),
        case(
            "one that writes on the terminal",
            Says(answer("400 Bad Request", "text/plain", "\u{1b}[2J\u{1b}]0;owned\u{7}no\r\nerror: all is well")),
            LIST,
            1,
            &["no"],
        ),
        case("a plain one where TLS was meant", Says(String::new()), "--endpoint TLS list compute", 1, &["does not speak TLS", "http://"]),
        case("a TLS of the past", Says(ALERT.into()), "--endpoint TLS list compute", 1, &["speaks no TLS that is safe", "TLS 1.2 or 1.3"]),
        case("an encrypted one that was asked in the clear", Says(ALERT.into()), LIST, 1, &["try https://127.0.0.1"]),
        case(
            "an encrypted one that says so",
            Says(answer("400 Bad Request", "text/html", "<html>The plain HTTP request was sent to HTTPS port</html>")),
            LIST,
            1,
            &["answered 400", "try https://127.0.0.1"],
        ),
        case("a stranger's certificate", encrypted("127.0.0.1", false, false, false), LIST, 1, &["not trusted", "authority", "--ca-file"]),
        case("an expired certificate", encrypted("127.0.0.1", true, false, true), LIST, 1, &["not trusted", "it has expired", "clock"]),
        case(
            "a certificate of another",
            encrypted("cloud.example.org", false, false, true),
            LIST,
            1,
            &["not trusted", "cloud.example.org", "other names"],
        ),
        case("no certificate of ours", encrypted("127.0.0.1", false, true, true), LIST, 1, &["refused", "certificate"]),
        case(
            "a listing in another rendering",
            Offers("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 999\r\n\r\nX-OCCI-Location: /compute/1\n".into()),
            JSON_LIST,
            1,
            &["text/plain", "JSON"],
        ),
        case(
            "a plain one that answers so where TLS was meant",
            Says(answer("400 Bad Request", "text/plain", "")),
            "--endpoint TLS list compute",
            1,
            &["does not speak TLS", "http://"],
        ),
        case("a listing in JSON that ends early", Offers(json("{\"resources\": [{\"id\": \"1\"")), JSON_LIST, 1, &["ends in the middle"]),
        case(
            "a listing that breaks off after much",
            Offers({
                let one = "{\"kind\": \"http://schemas.ogf.org/occi/infrastructure#compute\", \"id\": \"1\", \"attributes\": {}},";
                let body = format!("{{\"resources\": [{}", one.repeat(5000));
                json(&body).replace("content-length: ", "content-length: 9")
            }),
            JSON_LIST,
            1,
            &["broke off"],
        ),
        case("a listing of no JSON", Offers(json("<html>")), JSON_LIST, 1, &["JSON"]),
        case("a thing that is none", Offers(answer("200 OK", "text/html", "<html>")), SHOW, 1, &["cannot be understood: it is text/html"]),
        case("a page instead of a listing", Offers(answer("200 OK", "text/html", "It works!")), LIST, 1, &["it is text/html"]),
        case("a page instead of a deletion", Offers(answer("200 OK", "text/html", "It works!")), "delete /compute/1 --yes", 1, &["it is text/html"]),
        case("one that is silent while it is watched", Silent, "watch compute --for 500ms", 6, &["has shown nothing"]),
        case("one that is silent about a log", Silent, "log web1 --for 500ms", 6, &["has not begun"]),
        case("one byte after the other", Drips, LIST, 6, &["goes on after 4 s"]),
        case("a listing one byte after the other", DripsMembers, LIST, 6, &["goes on after 4 s"]),
        case("a thing that is gone", Offers(answer("404 Not Found", "text/plain", "")), SHOW, 3, &["/compute/1"]),
        case("a state in which it cannot be", Offers(answer("409 Conflict", "text/plain", "not now")), SHOW, 5, &["not now"]),
        case(
            "a connection that is lost after the question",
            Dies,
            "create compute web1 --volume data:1G",
            1,
            &["broke off", "asked again", "cannot be reached", "may have happened", "look before", "data has been made for it: /storage/1"],
        ),
        case("an echo that refuses", Echo(401), LIST, 4, &[]),
        case("an echo that fails", Echo(400), LIST, 1, &[]),
        case("an echo that answers", Echo(200), LIST, 1, &[]),
    ]
}

pub(crate) fn trials() -> Vec<Trial> {
    let trials = cases()
        .into_iter()
        .map(|case| crate::trial(&format!("bad_servers::{}", case.name.replace(' ', "_")), || tried(case)));
    trials.collect()
}

async fn tried(case: Case) {
    let Case {
        name,
        server,
        line,
        exit,
        words,
    } = case;
    let person = Person::new();
    for who in ["--user ann --password-file ~/password", "--token-file ~/token --debug"] {
        let url = start(&server, &person).await;
        let line = line
            .replace("URL", &url)
            .replace("TLS", &url.replace("http:", "https:"));
        let endpoint = match line.contains("login") || line.contains("--endpoint") {
            true => String::new(),
            false => format!("--endpoint {url} "),
        };
        let ca_file = if person.path("ca.pem").exists() {
            "--ca-file ~/ca.pem "
        } else {
            ""
        };
        let line = format!("{endpoint}{ca_file}{who} --timeout 1 {line}");
        let said = tokio::time::timeout(Duration::from_secs(120), person.occi(&line))
            .await
            .unwrap();
        let error: Vec<_> = said
            .err
            .lines()
            .skip_while(|line| !line.starts_with("error: "))
            .collect();
        let [sentence, hints @ ..] = error.as_slice() else {
            panic!("{name}: no sentence in {said:?}");
        };
        assert_eq!(said.code, Some(exit), "{name}: {said:?}");
        for word in words {
            assert!(
                error.iter().any(|line| line.contains(word)),
                "{name}: no {word:?} in {said:?}"
            );
        }
        // One sentence, and what to do about it on lines of their own.
        assert!(
            sentence.len() < 600 && !sentence.contains(char::is_control),
            "{name}: {said:?}"
        );
        assert!(!sentence.contains("Traceback"), "{name}: {said:?}");
        let may_be = error.iter().any(|line| line.contains("may have happened"));
        assert_eq!(may_be, line.contains(" create "), "{name}: {said:?}");
        assert!(
            !may_be || !error.iter().any(|line| line.contains("occi delete")),
            "{name}: {said:?}"
        );
        assert!(hints.iter().all(|line| line.starts_with("  ")), "{name}: {said:?}");
        let is_whole = said.out.is_empty() || serde_json::from_str::<serde_json::Value>(&said.out).is_ok();
        assert!(is_whole, "{name}: {said:?}");
        assert!(person.read(".config/occi/config.toml").is_empty(), "{name}");
    }
}

/// Starts a server; returns its address.
async fn start(server: &Server, person: &Person) -> String {
    match server {
        Nobody => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            format!("http://{}/", listener.local_addr().unwrap())
        }
        Silent => raw(|_, stream| hold(stream)).await,
        HangsUp => raw(|_, stream| async { drop(stream) }).await,
        Says(text) => {
            let text = text.clone();
            raw(move |_, mut stream| {
                let text = text.clone();
                async move {
                    let _ = stream.write_all(text.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
            })
            .await
        }
        Stops(text) => {
            let text = text.clone();
            raw(move |_, mut stream| {
                let text = text.clone();
                async move {
                    let _ = stream.write_all(text.as_bytes()).await;
                    hold(stream).await;
                }
            })
            .await
        }
        &Endless(head, piece) => {
            raw(move |_, mut stream| async move {
                let _ = stream.write_all(head.as_bytes()).await;
                let pieces = piece.repeat(1000);
                while stream.write_all(pieces.as_bytes()).await.is_ok() {}
            })
            .await
        }
        Drips => raw(|_, stream| drip(stream, 100)).await,
        DripsMembers => {
            let offers = offers();
            raw(move |line, mut stream| {
                let offers = offers.clone();
                async move {
                    if !line.contains(" /-/ ") {
                        return drip(stream, 400).await;
                    }
                    let _ = stream.write_all(offers.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
            })
            .await
        }
        RepeatsMembers => {
            let offers = offers();
            raw(move |line, mut stream| {
                let offers = offers.clone();
                async move {
                    if line.contains(" /-/ ") {
                        let _ = stream.write_all(offers.as_bytes()).await;
                        return;
                    }
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/uri-list\r\n\r\n";
                    let _ = stream.write_all(head.as_bytes()).await;
                    let members = "/compute/1\n".repeat(10_000);
                    while stream.write_all(members.as_bytes()).await.is_ok() {}
                }
            })
            .await
        }
        Offers(text) => {
            let (text, offers) = (text.clone(), offers());
            raw(move |line, mut stream| {
                let text = if line.contains(" /-/ ") {
                    offers.clone()
                } else {
                    text.clone()
                };
                async move {
                    let _ = stream.write_all(text.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
            })
            .await
        }
        &Encrypted {
            name,
            is_expired,
            wants_certificate,
            is_known,
        } => {
            let authority = Authority::new();
            let known = if is_known {
                authority.pem()
            } else {
                Authority::new().pem()
            };
            person.write("ca.pem", &known);
            authority.server(name, is_expired, wants_certificate).await
        }
        Dies => dies().await,
        &Echo(status) => echo(status).await,
    }
}

/// What is offered, by a server that reads JSON.
fn offers() -> String {
    let json = "accept: application/occi+json";
    with("200 OK", json, std::str::from_utf8(&query_interface()).unwrap())
}

/// An `occid` up to the machine.
async fn dies() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let text = |status, header: &str, body| with(status, &format!("occid: 1\r\n{header}"), body);
    let offers = offers().replace("\r\nconnection", "\r\noccid: 1\r\nconnection");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            let line = String::from_utf8_lossy(&head);
            let answer = match line.split(' ').take(2).collect::<Vec<_>>().as_slice() {
                ["GET", "/-/"] => offers.clone(),
                ["POST", "/storage/"] => text("201 Created", "location: /storage/1", "OK"),
                ["GET", "/storage/1"] => text(
                    "200 OK",
                    "x-nothing: 1",
                    "Category: storage; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\nX-OCCI-Attribute: occi.core.id=\"1\"\nX-OCCI-Attribute: occi.storage.state=\"online\"\n",
                ),
                ["POST", _] => return,
                _ => text("200 OK", "x-nothing: 1", ""),
            };
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    url
}

/// Says one byte after the other for as long as anybody listens.
async fn drip(mut stream: tokio::net::TcpStream, pause_ms: u64) {
    let _ = stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/occi+json\r\n\r\n")
        .await;
    while stream.write_all(b" ").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

/// Says nothing for as long as anybody listens.
async fn hold(mut stream: tokio::net::TcpStream) {
    let mut piece = [0; 64];
    while stream.read(&mut piece).await.is_ok_and(|read| read > 0) {}
}

/// Answers with the whole question, credentials too, and the password in the clear.
async fn echo(status: u16) -> String {
    use crate::person::{PASSWORD, TOKEN};
    use crate::stub::{Stub, text};
    let stub = Stub::start(move |seen| {
        let shown = seen.header("authorization");
        let secret = if shown.starts_with("Basic") { PASSWORD } else { TOKEN };
        text(status, format!("you are {shown}, that is {secret}"))
    })
    .await;
    stub.url
}
