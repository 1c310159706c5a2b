//! A connection on which something happens at the worst moment: the server has done what it was asked, and nobody is told;
//! somebody else was a moment faster.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Called before a request goes on; says whether its answer is lost.
type Hook = Arc<dyn Fn() -> bool + Send + Sync>;

/// A way to a server on which the answers to the first so many requests of a kind are lost.
pub(crate) struct Cut {
    pub(crate) url: String,
    lost: Arc<AtomicUsize>,
}

impl Cut {
    /// Requests that begin so.
    pub(crate) fn new(server: &str, begin: &'static str, number: usize) -> Self {
        let lost = Arc::new(AtomicUsize::new(0));
        let counted = lost.clone();
        let hook = move || {
            let count = |lost| (lost < number).then_some(lost + 1);
            counted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count).is_ok()
        };
        let url = way(server, begin, Arc::new(hook));
        Self { url, lost }
    }

    /// How many answers have been lost.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

/// A way to a server on which something is done before the first request that begins so.
pub(crate) fn before(server: &str, begin: &'static str, does: impl Fn() + Send + Sync + 'static) -> String {
    let is_done = AtomicBool::new(false);
    let hook = move || {
        if !is_done.swap(true, Ordering::SeqCst) {
            does();
        }
        false
    };
    way(server, begin, Arc::new(hook))
}

fn way(server: &str, begin: &'static str, hook: Hook) -> String {
    let to = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // Both threads of a connection end with it; this one with the test.
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&to) else { break };
            let hook = hook.clone();
            thread::spawn(move || carry(client, server, begin, &hook));
        }
    });
    url
}

fn carry(mut client: TcpStream, mut server: TcpStream, begin: &str, hook: &Hook) {
    let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let is_cut = Arc::new(AtomicUsize::new(0));
    let cuts = is_cut.clone();
    let back = thread::spawn(move || {
        let mut piece = [0; 1 << 16];
        while let Ok(read @ 1..) = from_server.read(&mut piece) {
            if cuts.load(Ordering::SeqCst) > 0 || to_client.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
    let mut piece = [0; 1 << 16];
    while let Ok(read @ 1..) = client.read(&mut piece) {
        if piece[..read].starts_with(begin.as_bytes()) && hook() {
            is_cut.store(1, Ordering::SeqCst);
        }
        if server.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = back.join();
}
