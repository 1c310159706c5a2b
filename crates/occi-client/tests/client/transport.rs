//! A transport of somebody else: what it says of a failure decides what is sent again.

use crate::common::{COMPUTE, id, query_interface};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use occi_client::transport::{Connector, Incoming, Transport};
use occi_client::{Client, EntityDraft, Error, ErrorKind, MediaType, Request, Retries, Write};
use occi_rendering::Base;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Failure = fn() -> Error;

/// Loses the first of each kind of request, but those for the query interface.
#[derive(Debug)]
struct Lossy {
    failure: Failure,
    sent: Mutex<Vec<String>>,
}

impl Transport for Lossy {
    fn send(&self, request: Request) -> BoxFuture<'_, occi_client::Result<Incoming>> {
        async move {
            let line = format!("{} {}", request.method(), request.uri().path());
            let mut body = Bytes::new();
            if request.uri().path() == "/-/" {
                let base = Base::new("http://cloud.example.org", "");
                body = query_interface(MediaType::TextPlain, &base).into();
            } else {
                let mut sent = self.sent.lock().unwrap();
                sent.push(line.clone());
                if sent.iter().filter(|one| **one == line).count() == 1 {
                    return Err((self.failure)());
                }
            }
            let response = http::Response::builder().header("content-type", "text/plain");
            let (head, ()) = response.body(()).unwrap().into_parts();
            let body = stream::iter([Ok(body)]).boxed();
            Ok(Incoming { head, body })
        }
        .boxed()
    }
}

#[tokio::test]
async fn what_a_transport_of_ones_own_says_of_a_failure_decides_what_is_sent_again() {
    let cases: [(Failure, usize, usize); 5] = [
        // Certain not to have been seen: a create without a key is sent again too.
        (|| Error::new(ErrorKind::Unavailable, "closed").not_sent(), 2, 2),
        (|| Error::new(ErrorKind::Protocol, "it broke").broken_off(), 2, 1),
        (|| Error::new(ErrorKind::Unavailable, "closed"), 2, 1),
        (|| Error::new(ErrorKind::Protocol, "nonsense"), 1, 1),
        (|| Error::new(ErrorKind::Tls, "nobody's").not_sent(), 1, 1),
    ];
    for (failure, gets, posts) in cases {
        let transport = Arc::new(Lossy {
            failure,
            sent: Mutex::default(),
        });
        let mut retries = Retries::default();
        retries.first = Duration::from_millis(1);
        let mut connector = Connector::default();
        connector.transport = Some(transport.clone());
        let client = Client::builder("http://cloud.example.org/".parse().unwrap())
            .connector(connector)
            .retries(retries)
            .build()
            .unwrap();
        let listed = client.list("compute", &Default::default()).await;
        let draft = EntityDraft {
            kind: Some(id(COMPUTE)),
            ..EntityDraft::default()
        };
        let created = client.create(&draft, &Write::default()).await;
        let failed = failure();
        let sent = transport.sent.lock().unwrap();
        let count = |method: &str| sent.iter().filter(|line| line.starts_with(method)).count();
        assert_eq!((count("GET"), count("POST")), (gets, posts), "{failed:?}");
        for (count, error) in [(gets, listed.err()), (posts, created.err())] {
            let error = error.map(|error| (error.kind(), error.is_not_sent(), error.is_broken_off()));
            let expected = (failed.kind(), failed.is_not_sent(), failed.is_broken_off());
            assert_eq!(error, (count == 1).then_some(expected), "{failed:?}");
        }
    }
}
