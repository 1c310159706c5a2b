//! A connection that breaks at the worst moment: the server has done what it was asked, and nobody is told.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A way to a server on which the answers to the first so many requests of a kind are lost.
pub(crate) struct Cut {
    pub(crate) url: String,
    lost: Arc<AtomicUsize>,
}

impl Cut {
    /// Requests that begin so.
    pub(crate) fn new(server: &str, begin: &'static str, number: usize) -> Self {
        let to = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let lost = Arc::new(AtomicUsize::new(0));
        let counted = lost.clone();
        // Both threads of a connection end with it; this one with the test.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&to) else { break };
                let counted = counted.clone();
                thread::spawn(move || carry(client, server, begin, number, &counted));
            }
        });
        Self { url, lost }
    }

    /// How many answers have been lost.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

fn carry(mut client: TcpStream, mut server: TcpStream, begin: &str, number: usize, lost: &AtomicUsize) {
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
        if piece[..read].starts_with(begin.as_bytes()) && lost.load(Ordering::SeqCst) < number {
            lost.fetch_add(1, Ordering::SeqCst);
            is_cut.store(1, Ordering::SeqCst);
        }
        if server.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = back.join();
}
