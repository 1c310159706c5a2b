//! HTTP by hand, over sockets that block: what a test sends is what it wrote, and nothing is retried or hidden.

use crate::occid::PATIENCE;
use base64::Engine;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Sends requests, each on a connection of its own.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    headers: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            headers: Vec::new(),
        }
    }

    /// A header of every request; of a name that is set already, the new value.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn with_basic(self, name: &str, password: &str) -> Self {
        let value = basic(name, password);
        self.with("Authorization", &value)
    }

    /// The headers as they go over the wire.
    pub(crate) fn head(&self) -> String {
        let host = ("Host".to_owned(), self.address.to_string());
        let all = [host].into_iter().chain(self.headers.iter().cloned());
        all.map(|(name, value)| format!("{name}: {value}\r\n")).collect()
    }

    /// A connection for bytes, without the headers.
    pub(crate) fn raw(&self) -> Raw {
        Raw::connect(self.address)
    }

    pub(crate) fn send(&self, method: &str, target: &str, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let mut bytes = format!("{method} {target} HTTP/1.1\r\n{}{length}\r\n", self.head()).into_bytes();
        bytes.extend_from_slice(body);
        let mut raw = self.raw();
        raw.write(&bytes);
        raw.answer_to(method).expect("an answer")
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "")
    }

    /// A POST of text/plain.
    pub(crate) fn post(&self, target: &str, body: &str) -> Answer {
        self.clone()
            .with("Content-Type", "text/plain")
            .send("POST", target, body)
    }

    /// Makes what `body` says and waits until it is up; its path.
    #[track_caller]
    pub(crate) fn make(&self, target: &str, body: &str) -> String {
        let patient = self.clone().with("Prefer", "wait=20");
        patient.post(target, body).expect(201).location()
    }

    /// A PUT of text/plain.
    pub(crate) fn put(&self, target: &str, body: &str) -> Answer {
        self.clone()
            .with("Content-Type", "text/plain")
            .send("PUT", target, body)
    }

    pub(crate) fn delete(&self, target: &str) -> Answer {
        self.send("DELETE", target, "")
    }
}

/// The value of an `Authorization` header.
pub(crate) fn basic(name: &str, password: &str) -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
    format!("Basic {pair}")
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The first line, whole.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    /// As text.
    pub(crate) body: String,
    /// As it came.
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The path that `Location` names.
    #[track_caller]
    pub(crate) fn location(&self) -> String {
        let url = self
            .header("location")
            .unwrap_or_else(|| panic!("no Location: {self:?}"));
        let (_, rest) = url.split_once("://").unwrap();
        rest[rest.find('/').unwrap()..].to_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer itself, if it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }
}

/// A stream that can be closed from this side.
pub(crate) trait Wire: Read + Write + Send {
    fn end(&self) {}
    /// How long a reading waits.
    fn wait(&self, patience: Duration);
}
impl Wire for TcpStream {
    fn wait(&self, patience: Duration) {
        self.set_read_timeout(Some(patience)).unwrap();
    }
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}
impl Wire for UnixStream {
    fn wait(&self, patience: Duration) {
        self.set_read_timeout(Some(patience)).unwrap();
    }
}
impl Wire for rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    fn wait(&self, patience: Duration) {
        self.sock.wait(patience);
    }
}

/// A connection for bytes.
pub(crate) struct Raw(BufReader<Box<dyn Wire>>);

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::over(stream)
    }

    pub(crate) fn over(stream: impl Wire + 'static) -> Self {
        Self(BufReader::new(Box::new(stream)))
    }

    /// Writes what the other end still takes; one that has closed is found out by reading.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = self.0.get_mut();
        let _ = stream.write_all(bytes.as_ref()).and_then(|()| stream.flush());
    }

    /// Writes all of it, to one that reads.
    pub(crate) fn write_all(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Nothing comes for so long, and the connection stays.
    pub(crate) fn is_silent_for(&mut self, long: Duration) -> bool {
        self.0.get_ref().wait(long);
        let read = self.0.fill_buf().map(<[u8]>::len);
        self.0.get_ref().wait(PATIENCE);
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Nothing more will be written.
    pub(crate) fn end(&self) {
        self.0.get_ref().end();
    }

    /// The next answer; `None` if the connection ends before it begins.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET")
    }

    pub(crate) fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
        let mut answer = Answer {
            status,
            line,
            headers: Vec::new(),
            body: String::new(),
            bytes: Vec::new(),
        };
        loop {
            let line = self.line().expect("the head of the answer breaks off");
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
        if method == "HEAD" || matches!(status, 204 | 304) {
            return Some(answer);
        }
        let mut body = Vec::new();
        if let Some(length) = answer.header("content-length") {
            body.resize(length.parse().unwrap(), 0);
            self.0.read_exact(&mut body).expect("the body of the answer breaks off");
        } else if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line().expect("a chunk is missing"), 16).unwrap();
                let mut chunk = vec![0; size];
                self.0.read_exact(&mut chunk).expect("a chunk breaks off");
                body.extend(chunk);
                self.line();
                if size == 0 {
                    break;
                }
            }
        }
        answer.body = String::from_utf8_lossy(&body).into_owned();
        answer.bytes = body;
        Some(answer)
    }

    /// The next line, without its end; `None` at the end.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        // A connection that was reset has ended too.
        let read = self.0.read_until(b'\n', &mut line);
        if let Err(error) = &read {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "no answer in time");
        }
        line.ends_with(b"\n")
            .then(|| String::from_utf8(line).unwrap().trim_end().to_owned())
    }

    /// Writes, and reads one answer.
    pub(crate) fn exchange(&mut self, bytes: &str) -> Answer {
        self.write(bytes);
        self.answer().expect("an answer")
    }

    /// What comes, until these words have come; of a console, or of a body that does not end.
    #[track_caller]
    pub(crate) fn until(&mut self, words: &str) -> String {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(words) {
            let bytes = self.0.fill_buf().expect("more bytes");
            let count = bytes.len();
            assert_ne!(count, 0, "no {words:?} in {:?}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(bytes);
            self.0.consume(count);
        }
        String::from_utf8(seen).unwrap()
    }

    /// What comes until the other end closes.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("the rest");
        rest
    }

    /// Whether what comes next is an answer at all.
    pub(crate) fn is_http(&mut self) -> bool {
        self.0.fill_buf().is_ok_and(|bytes| bytes.starts_with(b"HTTP/"))
    }

    /// Whether the other end has closed, now or within the patience of a test.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.0.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}
