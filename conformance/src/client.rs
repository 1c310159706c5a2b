//! HTTP/1.1 as bytes: one request per connection, and the answer as it came.

use crate::answer::Answer;
use rustls::pki_types::ServerName;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long one read or write may take.
const SILENCE: Duration = Duration::from_secs(60);
/// More than any answer of the suite's own making.
const ANSWER_LIMIT: usize = 64 << 20;

/// Where the server is.
#[derive(Clone)]
pub(crate) struct Client {
    host: String,
    port: u16,
    tls: Option<Arc<rustls::ClientConfig>>,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Client {
    pub(crate) fn new(url: &Url, ca_file: &Path) -> Result<Self, String> {
        let host = url.host_str().ok_or_else(|| format!("{url} names no host"))?;
        let tls = match url.scheme() {
            "http" => None,
            "https" => Some(Arc::new(trusting(ca_file)?)),
            other => return Err(format!("{other} is neither http nor https")),
        };
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url
                .port_or_known_default()
                .ok_or_else(|| format!("{url} names no port"))?,
            tls,
        })
    }

    /// Sends `request`, whatever it is, and reads one answer. `is_head` tells that the answer has no body.
    pub(crate) fn exchange(&self, request: &[u8], is_head: bool) -> Result<Answer, String> {
        self.try_exchange(request, is_head)
            .map_err(|error| format!("{}:{}: {error}", self.host, self.port))
    }

    fn try_exchange(&self, request: &[u8], is_head: bool) -> std::io::Result<Answer> {
        let address = (self.host.as_str(), self.port)
            .to_socket_addrs()?
            .next()
            .ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        let tcp = TcpStream::connect_timeout(&address, SILENCE)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(SILENCE))?;
        tcp.set_write_timeout(Some(SILENCE))?;
        let closing = tcp.try_clone()?;
        let mut stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from(self.host.clone()).map_err(std::io::Error::other)?;
                let session = rustls::ClientConnection::new(config.clone(), name).map_err(std::io::Error::other)?;
                Box::new(rustls::StreamOwned::new(session, tcp))
            }
        };
        // A server that has seen enough of a request answers and closes: what it says counts, not the broken pipe.
        let sent = stream.write_all(request).and_then(|()| stream.flush());
        let answer = read_answer(&mut *stream, is_head);
        let _ = closing.shutdown(Shutdown::Both);
        match (answer, sent) {
            (Ok(answer), _) => Ok(answer),
            (Err(_), Err(error)) | (Err(error), Ok(())) => Err(error),
        }
    }
}

fn trusting(ca_file: &Path) -> Result<rustls::ClientConfig, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", ca_file.display());
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|error| failed(&error))? {
        roots
            .add(certificate.map_err(|error| failed(&error))?)
            .map_err(|error| failed(&error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn read_answer(stream: &mut dyn Stream, is_head: bool) -> std::io::Result<Answer> {
    let mut bytes = Vec::new();
    loop {
        let (mut answer, head) = loop {
            if let Some(parsed) = parse_head(&bytes)? {
                break parsed;
            }
            if !read_more(stream, &mut bytes)? {
                return Err(ended("in its headers"));
            }
        };
        bytes.drain(..head);
        // 100 Continue and its like come before the answer.
        if (100..200).contains(&answer.status) {
            continue;
        }
        let has_body = !is_head && !matches!(answer.status, 204 | 304);
        if has_body {
            answer.body = read_body(stream, bytes, &answer)?;
        }
        return Ok(answer);
    }
}

fn read_body(stream: &mut dyn Stream, mut bytes: Vec<u8>, answer: &Answer) -> std::io::Result<Vec<u8>> {
    if answer
        .header("transfer-encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    {
        return read_chunks(stream, bytes);
    }
    let length = answer
        .header("content-length")
        .map(|length| length.parse::<usize>().map_err(std::io::Error::other))
        .transpose()?;
    loop {
        match length {
            Some(length) if bytes.len() >= length => {
                bytes.truncate(length);
                return Ok(bytes);
            }
            _ => {
                if !read_more(stream, &mut bytes)? {
                    return match length {
                        None => Ok(bytes),
                        Some(_) => Err(ended("in its body")),
                    };
                }
            }
        }
    }
}

fn read_chunks(stream: &mut dyn Stream, mut bytes: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        match httparse::parse_chunk_size(&bytes).map_err(|_| std::io::Error::other("the answer has a broken chunk"))? {
            httparse::Status::Complete((_, 0)) => return Ok(body),
            httparse::Status::Complete((start, size)) => {
                let end = start + usize::try_from(size).map_err(std::io::Error::other)?;
                // The chunk and the line end behind it.
                if bytes.len() >= end + 2 {
                    body.extend(bytes.drain(..end + 2).take(end).skip(start));
                    continue;
                }
            }
            httparse::Status::Partial => {}
        }
        if !read_more(stream, &mut bytes)? {
            return Err(ended("between its chunks"));
        }
    }
}

fn read_more(stream: &mut dyn Stream, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    // A TLS peer that closes without saying so has ended, too.
    let read = match stream.read(&mut buffer) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
        read => read?,
    };
    bytes.extend(buffer.iter().take(read));
    if bytes.len() > ANSWER_LIMIT {
        return Err(std::io::Error::other("the answer does not end"));
    }
    Ok(read > 0)
}

fn parse_head(bytes: &[u8]) -> std::io::Result<Option<(Answer, usize)>> {
    let mut lines = vec![httparse::EMPTY_HEADER; 512];
    let mut head = httparse::Response::new(&mut lines);
    let status = head
        .parse(bytes)
        .map_err(|error| std::io::Error::other(format!("the answer is not HTTP: {error}")))?;
    let httparse::Status::Complete(length) = status else {
        return Ok(None);
    };
    let headers = head
        .headers
        .iter()
        .map(|line| (line.name.to_owned(), String::from_utf8_lossy(line.value).into_owned()))
        .collect();
    let answer = Answer {
        question: String::new(),
        version: head.version.unwrap_or_default(),
        status: head.code.unwrap_or_default(),
        reason: head.reason.unwrap_or_default().to_owned(),
        headers,
        body: Vec::new(),
    };
    Ok(Some((answer, length)))
}

fn ended(place: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::UnexpectedEof, format!("the answer ended {place}"))
}
