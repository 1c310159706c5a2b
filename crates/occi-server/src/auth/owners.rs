//! Who needs no password: the owners of the service, at a unix socket that asks.
//!
//! An owner is root, or the user as whom the service runs. The kernel says who connects; the mode of the socket's file
//! decides nothing. Two that come as an owner are none:
//!
//! - A program that has given up new privileges. Without root the machines' emulators, networks and image tools run as
//!   our own user, and Landlock keeps nobody from a socket by its path; what a guest has taken over must not find its
//!   host's cloud open. All of them have given up new privileges, for ever, and the kernel says that too.
//! - A request that is somebody else's. A proxy of our user passes on what comes from anywhere, and a browser sends what
//!   a page tells it to; both say so in their headers.

use http::{HeaderMap, header};
use rustix::process::geteuid;
use tokio::net::unix::UCred;

/// The user at the other end, if it is an owner.
pub fn owner(peer: &UCred) -> Option<u32> {
    is_owner(geteuid().as_raw(), peer.uid(), || has_new_privileges(peer.pid()?)).then(|| peer.uid())
}

/// Whether a process of `user` is an owner's, of a service that runs as `own`.
fn is_owner(own: u32, user: u32, has_new_privileges: impl FnOnce() -> Option<bool>) -> bool {
    user == 0 || user == own && has_new_privileges() == Some(true)
}

/// Whether a process may still become more than it is; `None` if nobody can tell.
fn has_new_privileges(pid: i32) -> Option<bool> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let given_up = status.lines().find_map(|line| line.strip_prefix("NoNewPrivs:"))?;
    Some(given_up.trim() == "0")
}

/// Whether a request says that the process at the other end passes it on for another.
pub fn is_passed_on(headers: &HeaderMap) -> bool {
    headers.contains_key(header::FORWARDED)
        || headers.contains_key(header::VIA)
        || headers.contains_key(header::ORIGIN)
        || headers.keys().any(|name| {
            let name = name.as_str();
            name.starts_with("x-forwarded-") || name.starts_with("sec-fetch-") || name == "x-real-ip"
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_an_owner_and_so_is_the_user_of_the_service_who_may_still_gain_privileges() {
        let unasked = || panic!("root is root");
        assert!(is_owner(0, 0, unasked));
        assert!(is_owner(1000, 0, unasked));
        assert!(is_owner(1000, 1000, || Some(true)));
        assert!(!is_owner(1000, 1000, || Some(false)), "what a guest has taken over");
        assert!(!is_owner(1000, 1000, || None), "of another world");
        assert!(!is_owner(1000, 1001, || Some(true)));
        assert!(!is_owner(0, 1000, || Some(true)));
    }

    #[test]
    fn what_the_kernel_knows_of_a_process_is_read() {
        // A thread's children inherit what it has given up.
        let confined = std::thread::spawn(|| {
            rustix::thread::set_no_new_privs(true).unwrap();
            let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
            let may = has_new_privileges(i32::try_from(child.id()).unwrap());
            child.kill().unwrap();
            child.wait().unwrap();
            may
        });
        assert_eq!(confined.join().unwrap(), Some(false));
        assert_eq!(has_new_privileges(i32::MAX), None);
    }
}
