//! How header names are spelt on the wire.
//!
//! They are case-insensitive, but pOCCI matches `X-OCCI-Location:` to the letter. hyper capitalises words
//! (`Content-Type`, `X-Occi-Location`) and can repeat the spelling of a request; it offers no way to say a spelling. So a
//! request with the names that we want is read once, from memory, and what hyper noted about it is put on the answers
//! that hold such names.

use bytes::Bytes;
use http::Extensions;
use http_body_util::Empty;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncWriteExt;

const NAMES: &[u8] = b"GET / HTTP/1.1\r\nX-OCCI-Attribute: \r\nX-OCCI-Location: \r\nX-OCCI-Error: \r\n\
    X-OCCI-Operation: \r\nX-OCCI-Stale: \r\nWWW-Authenticate: \r\nETag: \r\nConnection: close\r\n\r\n";

/// The extensions of an answer whose header names shall be spelt as the standards do.
pub(super) async fn learn() -> Extensions {
    let noted = Arc::new(Mutex::new(Extensions::new()));
    let (mut client, server) = tokio::io::duplex(1024);
    let service = {
        let noted = noted.clone();
        service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let (head, _) = request.into_parts();
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = head.extensions;
            async { Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new())) }
        })
    };
    let mut http = http1::Builder::new();
    let connection = http
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(server), service);
    // Nothing is lost if this fails: names are spelt another way.
    let _ = tokio::join!(client.write_all(NAMES), connection);
    let noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
    noted.clone()
}
