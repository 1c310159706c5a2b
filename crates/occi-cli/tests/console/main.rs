//! `occi log` and `occi console`, through pipes and at a terminal.
//!
//! This program is `occid` itself when it is called by that name, so that there is nothing to find or to build first.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the report")]

#[expect(dead_code, reason = "shared with the tests of apply")]
#[path = "../apply/world.rs"]
mod world;

use libtest_mimic::{Arguments, Trial};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use world::{World, said};

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    if Path::new(&called).file_name().is_some_and(|name| name == "occid") {
        return occi_server::cli::main();
    }
    let trials = [
        ("what_a_machine_said_is_printed_as_it_is", log as fn()),
        ("a_console_is_for_scripts", scripts),
        ("a_console_is_a_terminal_whose_keys_all_go_through_but_one", terminal),
        ("a_terminal_is_itself_again_however_the_end_comes", ends),
        ("what_cannot_be_is_said", refusals),
        ("another_server_says_where_its_console_is", elsewhere),
        ("a_proxy_in_front_hides_nothing", behind_a_proxy),
    ];
    let trials = trials.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn world() -> World {
    let world = World::new();
    world.good("create compute web1 --wait -q");
    world
}

fn log() {
    let world = world();
    assert_eq!(world.good("log web1"), "booted\r\n");
    let following = world.command("log web1 -f").spawn().unwrap();
    world.good("suspend web1 --wait -q");
    world.good("start web1 --wait -q");
    world.good("stop web1 --wait -q");
    let followed = said(following);
    let all = "booted\r\nsuspended\r\ncontinued\r\nswitched off\r\n";
    assert_eq!((followed.code, followed.out.as_str()), (Some(0), all), "{followed:?}");
    assert_eq!(world.good("logs compute/web1 --tail 1"), "switched off\r\n");
    // Of a machine that goes on the time is the end, or Ctrl-C.
    world.good("start web1 --wait -q");
    assert_eq!(world.good("log web1 -f -n 1 --for 2s --timeout 1s"), "booted\r\n");
    let mut following = world.command("log web1 --follow").spawn().unwrap();
    let mut out = following.stdout.take().unwrap();
    let mut first = [0; 6];
    out.read_exact(&mut first).unwrap();
    kill_process(Pid::from_child(&following), Signal::INT).unwrap();
    assert_eq!(following.wait().unwrap().code(), Some(0));
}

fn scripts() {
    let world = world();
    let typed = world.reading("uname -a\n", "console web1");
    assert_eq!((typed.code, typed.out.as_str()), (Some(0), "uname -a\r\n"), "{typed:?}");
    // Without a terminal no key has a meaning.
    let typed = world.reading("a\u{1d}b", "console web1 --linger 500ms");
    assert_eq!(typed.out, "a\u{1d}b");
    assert_eq!(world.good("console web1 --linger 0s"), "");
    // It may be silent for longer than any answer may take.
    assert_eq!(world.good("console web1 --linger 2s --timeout 1s"), "");
    let log = world.good("log web1");
    assert!(log.contains("uname -a") && log.contains("a\u{1d}b"), "{log:?}");
    // What a guest could do to a terminal, it does not; a pipe gets it as it is.
    world.reading("\u{1b}]0;title\u{7}seen", "console web1");
    assert!(world.good("log web1").contains("\u{1b}]0;title\u{7}seen"));
    let mut terminal = Terminal::new();
    let mut shown = terminal.run(&world, "log web1");
    assert!(shown.wait().unwrap().success());
    terminal.shows("seen");
    assert!(!terminal.screen().contains("title"), "{:?}", terminal.screen());
    assert!(!terminal.screen().contains('\u{fffd}'), "{:?}", terminal.screen());
    // Unless that is asked for.
    let mut raw = terminal.run(&world, "log web1 --raw");
    assert!(raw.wait().unwrap().success());
    terminal.shows("\u{1b}]0;title\u{7}seen");
}

fn terminal() {
    let world = world();
    let mut terminal = Terminal::new();
    let mut console = terminal.run(&world, "console web1");
    terminal.shows("at the console of web1; Ctrl-] leaves");
    // Ctrl-C and the end of a file are the machine's.
    terminal.types("date\r");
    terminal.shows("date");
    assert!(!terminal.is_itself());
    terminal.types("\u{3}\u{4}still here");
    terminal.shows("still here");
    // Another one has to wait, or to insist.
    let other = world.occi("console web1");
    assert_eq!(other.code, Some(5), "{other:?}");
    assert!(
        other.err.contains("somebody else") && other.err.contains("--force"),
        "{other:?}"
    );
    terminal.types("\u{1d}");
    assert!(console.wait().unwrap().success());
    terminal.shows("left; the machine goes on");
    assert!(terminal.is_itself());
    world.good("console web1 --linger 0s");
}

fn ends() {
    let world = world();
    type End<'a> = (&'a str, &'a dyn Fn(&Child), i32);
    let ends: [End<'_>; 4] = [
        ("a signal", &|console| signal(console, Signal::TERM), 130),
        ("Ctrl-C from outside", &|console| signal(console, Signal::INT), 130),
        (
            "somebody else",
            &|_| drop(world.good("console web1 --force --linger 0s")),
            0,
        ),
        ("the machine", &|_| drop(world.good("stop web1 -q")), 0),
    ];
    for (what, end, code) in ends {
        let mut terminal = Terminal::new();
        let mut console = terminal.run(&world, "console web1");
        terminal.shows("Ctrl-] leaves");
        terminal.types("x");
        terminal.shows("x");
        assert!(!terminal.is_itself());
        end(&console);
        assert_eq!(
            console.wait().unwrap().code(),
            Some(code),
            "{what}: {:?}",
            terminal.screen()
        );
        assert!(terminal.is_itself(), "{what}");
    }
    // A secret that is being asked for in the old form.
    let mut terminal = Terminal::new();
    let mut asking = terminal.run_old(&format!("-e {} -n basic -u ann -a list -r compute", world.url));
    terminal.shows("Enter a password: ");
    assert!(!terminal.is_itself());
    terminal.types("\u{3}");
    // As it ends: by who asks, or by who waits for such keys, whoever is first.
    let code = asking.wait().unwrap().code();
    assert!(matches!(code, Some(1 | 130)), "{code:?}: {:?}", terminal.screen());
    assert!(terminal.is_itself());
}

fn signal(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).unwrap();
}

fn refusals() {
    let world = world();
    world.good("stop web1 --wait -q");
    for (line, code, words) in [
        ("console web1", 5, "start it"),
        ("console nothing", 3, "no compute called"),
        ("log nothing", 3, "no compute called"),
        ("log web1 --tail few", 2, "--tail"),
    ] {
        let said = world.occi(line);
        assert_eq!(said.code, Some(code), "{line}: {said:?}");
        assert!(said.err.contains(words), "{line}: {said:?}");
    }
    let cloud = World::with(&["--backend", "memory"], "[backend.memory]\npersonality = \"remote\"\n");
    cloud.good("create compute web1 --wait -q");
    for line in ["console web1", "log web1"] {
        let said = cloud.occi(line);
        assert_eq!(said.code, Some(1), "{line}: {said:?}");
        assert!(said.err.contains("\"memory\" does not"), "{line}: {said:?}");
    }
}

/// A server of OpenStack's, as far as one machine goes.
fn elsewhere() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut asked = String::new();
            stream.read_line(&mut asked).unwrap();
            let mut line = String::new();
            while stream.read_line(&mut line).unwrap_or(0) > 2 {
                line.clear();
            }
            let compute = "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"";
            let body = match asked.split(' ').nth(1).unwrap() {
                "/-/" => format!("{compute}; location=\"/compute/\"\n"),
                "/compute/1" => format!(
                    "{compute}\nX-OCCI-Attribute: occi.core.id=\"1\"\n\
                     X-OCCI-Attribute: org.openstack.compute.console.vnc=\"https://nova.example.org/vnc?token=t\"\n"
                ),
                _ => format!("{compute}\nX-OCCI-Attribute: occi.core.id=\"2\"\n"),
            };
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
            let length = body.len();
            let _ = write!(stream.get_mut(), "{head}Content-Length: {length}\r\n\r\n{body}");
        }
    });
    let at = |line: &str| said(world.command(line).env("OCCI_ENDPOINT", &server).spawn().unwrap());
    let console = at("console /compute/1");
    assert_eq!(
        (console.code, console.out.as_str()),
        (Some(0), "https://nova.example.org/vnc?token=t\n"),
        "{console:?}"
    );
    for line in ["console /compute/2", "log /compute/1"] {
        let none = at(line);
        assert_eq!(none.code, Some(1), "{line}: {none:?}");
        assert!(none.err.contains("offers no consoles"), "{line}: {none:?}");
    }
}

/// A proxy as nginx is by default: it calls itself the server, asks for what it has behind it by another name, and keeps what
/// is about connections to itself, but for upgrades.
fn proxy(server: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
            let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || passed_on(from_client, to_server, &["host"], "Host: behind.internal"));
            std::thread::spawn(move || passed_on(server, client, &["server", "keep-alive"], "Server: nginx/1.26.3"));
        }
    });
    url
}

fn passed_on(from: TcpStream, mut to: TcpStream, without: &[&str], with: &str) {
    let mut from = BufReader::new(from);
    let mut head: Vec<_> = from
        .by_ref()
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let is_upgrade = head
        .iter()
        .any(|line| line.to_ascii_lowercase().starts_with("upgrade:"));
    head.retain(|line| {
        let name = line.split(':').next().unwrap().to_ascii_lowercase();
        !without.contains(&name.as_str()) && (name != "connection" || is_upgrade)
    });
    head.push(with.to_owned());
    head.extend((!is_upgrade).then(|| "Connection: close".to_owned()));
    let _ = to.write_all(format!("{}\r\n\r\n", head.join("\r\n")).as_bytes());
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn behind_a_proxy() {
    let world = World::new();
    let url = proxy(&world.url);
    let command = |line: &str| {
        let mut command = world.command(line);
        command.env("OCCI_ENDPOINT", &url);
        command
    };
    let good = |line: &str| {
        let said = said(command(line).spawn().unwrap());
        assert_eq!(said.code, Some(0), "{line}: {said:?}");
        said.out
    };
    let shown = good("create compute web1 --wait=30s -o json");
    assert!(shown.contains("\"active\""), "{shown}");
    assert_eq!(good("log web1"), "booted\r\n");
    let mut console = command("console web1").stdin(Stdio::piped()).spawn().unwrap();
    console.stdin.take().unwrap().write_all(b"date\n").unwrap();
    let typed = said(console);
    assert_eq!((typed.code, typed.out.as_str()), (Some(0), "date\r\n"), "{typed:?}");
    good("stop web1 --wait=30s -q");
    assert!(good("show web1 -o json").contains("\"inactive\""));
    let operations = good("list operation -o name");
    let operation = operations.lines().next().unwrap();
    good(&format!("wait {operation} --within 30s"));
}

/// A terminal, and what is on it.
struct Terminal {
    hands: File,
    end: File,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    fn new() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let name = std::ffi::OsStr::from_bytes(name.as_bytes());
        let end = File::options().read(true).write(true).open(name).unwrap();
        let hands = File::from(master);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut eyes, seen) = (hands.try_clone().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = eyes.read(&mut bytes) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { hands, end, screen }
    }

    /// Runs an `occi` at it.
    fn run(&mut self, world: &World, line: &str) -> Child {
        let end = || Stdio::from(self.end.try_clone().unwrap());
        let mut command = world.command(line);
        command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap()
    }

    /// Runs one of the old form, which asks at the terminal of its session.
    fn run_old(&mut self, line: &str) -> Child {
        let end = || Stdio::from(self.end.try_clone().unwrap());
        let mut command = Command::new("setsid");
        command.args(["-c", env!("CARGO_BIN_EXE_occi")]).args(line.split(' '));
        command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap()
    }

    fn types(&mut self, keys: &str) {
        self.hands.write_all(keys.as_bytes()).unwrap();
    }

    fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    #[track_caller]
    fn shows(&self, words: &str) {
        let begin = Instant::now();
        while !self.screen().contains(words) {
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "{words:?} is not in {:?}",
                self.screen()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it shows what is typed and waits for the end of a line.
    fn is_itself(&self) -> bool {
        let modes = tcgetattr(&self.end).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }
}
