//! The sections, one per concern. Units and meanings stand at the keys; they are also what the sample file says.

use super::key::section;
use super::value::{Address, Network, Size, Span};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

section! {
    /// Where the service is and what it stands on. These keys are also flags, and their variables go without a section
    /// (`OCCID_LISTEN`).
    Server = "server"
    /// Where clients reach the service: ADDR:PORT (port 0 takes a free one) or unix:PATH. Any address but a loopback
    /// one is served with TLS.
    listen: Address = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8787)));
    /// Where /healthz, /readyz, /metrics and the commands (occid user, project, ...) reach it: unix:PATH, a loopback
    /// ADDR:PORT (health and metrics only), or off. Unset: unix:<data_dir>/admin.sock.
    admin_listen: Option<Address> = None, like Address::Unix("/run/occid/admin.sock".into());
    /// Where root and the user of the service come in without a password: unix:PATH, or off. Unset:
    /// unix:<data_dir>/occid.sock.
    local_listen: Option<Address> = None, like Address::Unix("/run/occid/occid.sock".into());
    /// Where everything is kept. Unset: $XDG_STATE_HOME/occid, or /var/lib/occid for root.
    data_dir: Option<PathBuf> = None, like PathBuf::from("/var/lib/occid");
    /// The engines behind the service, by name; each may have a section [backend.NAME].
    backends: Vec<String> = vec!["qemu".to_owned()];
}

section! {
    /// The HTTP protocol.
    Http = "http"
    /// The path below which the service lives; empty is the root, which suits most clients best.
    base_path: String = String::new();
    /// Scheme and authority as clients see them, if a proxy in front changes them. Unset: what the request says.
    public_url: Option<String> = None, like "https://cloud.example.org".to_owned();
    /// The addresses and networks of the proxies in front: who comes through one of them is known by the X-Forwarded-For
    /// that it sends. Each has to append to that field the address of who connects to it, or to write it anew.
    trusted_proxies: Vec<Network> = Vec::new(), like vec![Network(IpAddr::from([10, 0, 0, 5]).into())];
    /// The certificate chain (PEM); with it, loopback addresses are served with TLS too. Unset: one is made where TLS
    /// is needed, and kept in the data directory. Read again on SIGHUP.
    tls_certificate: Option<PathBuf> = None, like PathBuf::from("/etc/occid/tls.crt");
    /// The private key of the certificate (PEM).
    tls_key: Option<PathBuf> = None, like PathBuf::from("/etc/occid/tls.key");
    /// More names and addresses that a certificate of our own is for, when it is made. It always is for this host's
    /// name, its addresses that the service listens on, and the host of `public_url`.
    tls_names: Vec<String> = Vec::new();
    /// The longest header field of a request; longer ones are answered 431, and a longer URL 414.
    header_field_limit: Size = Size(16 << 10);
    /// All header fields of a request together; more is answered 431.
    header_limit: Size = Size(64 << 10);
    /// The number of header fields of a request; more is answered 431.
    header_count: usize = 512;
    /// The largest body of a request; a larger one is answered 413.
    body_limit: Size = Size(4 << 20);
    /// The memory for what bodies of requests have beyond 64 KiB each, until they are answered; half of it for one
    /// principal at most, and never less than twice `body_limit`. What finds none is answered 503, or 429 where the
    /// principal has its half.
    body_memory: Size = Size(128 << 20);
    /// The largest image that can be uploaded; a larger one is answered 413.
    image_limit: Size = Size(64 << 30);
    /// The longest header field of a text/occi answer; a longer one is answered 406.
    answer_field_limit: Size = Size(60 << 10);
    /// All header fields of a text/occi answer together; more is answered 406.
    answer_header_limit: Size = Size(96 << 10);
    /// How long a client may take to send the headers of a request, and how long a connection may be idle.
    header_timeout: Span = Span::seconds(30);
    /// How long a client may be silent in the middle of a body, or take nothing of an answer. A whole body may take
    /// ten times that.
    body_timeout: Span = Span::seconds(30);
    /// How many connections are open at the same time; further ones wait.
    connections: usize = 4096;
    /// How many requests are worked on at the same time; further ones are answered 503.
    requests: usize = 1024;
    /// How long requests that are being answered may take when the service stops.
    shutdown_grace: Span = Span::seconds(10);
}

section! {
    /// Who may come in.
    Auth = "auth"
    /// The realm of the Basic challenge.
    realm: String = "occid".to_owned();
    /// Answer 401 with `Keystone uri='...'` instead of the Basic challenge, for clients that look for it.
    keystone_uri: Option<String> = None, like "https://keystone.example.org:5000/".to_owned();
    /// How long an accepted password is remembered before the account is looked at again.
    remember: Span = Span::seconds(300);
    /// How many wrong passwords of one user from one address are answered at once before each further one has to wait.
    wrong_passwords: u32 = 10;
}

section! {
    /// How fast a principal may ask.
    Rate = "rate"
    /// Requests per second, in the long run; more are answered 429. 0 means no limit.
    per_second: u32 = 5000;
    /// Requests at once.
    burst: u32 = 10_000;
}

section! {
    /// What is written to stderr.
    Log = "log"
    /// Levels, `warn,occi_engine=debug` (the syntax of the tracing crate).
    filter: String = "info".to_owned();
    /// text or json.
    format: String = "text".to_owned();
    /// A line for every request, not only for those that failed.
    access: bool = false;
}

section! {
    /// The meaning of OCCI here.
    Engine = "engine"
    /// The base of the schemes of what this service defines itself (templates of its engines).
    site: String = "http://occid.local".to_owned();
    /// The name of this machine among several; unset: the host's name.
    node: Option<String> = None, like "node-1".to_owned();
    /// Whether a compute boots, a storage goes online and a network comes up by itself after it was created.
    autostart: bool = true;
    /// Whether users may add mixins of their own.
    user_mixins: bool = true;
    /// How many mixins the users of a project may add, all together; more are refused (403).
    user_mixin_limit: u32 = 1000;
    /// Whether states outside of OCCI 1.2 (waiting, ...) are shown.
    states_extended: bool = false;
    /// Whether a size that contradicts the resource template is refused (409) instead of ignored.
    strict_templates: bool = false;
    /// An operation that has not come further for so long is given up, and one that fails for the moment is tried again for so
    /// long. What comes further may take any time.
    operation_deadline: Span = Span::seconds(600);
    /// How often the engines are asked for what is there.
    refresh_interval: Span = Span::seconds(30);
    /// The most on a page; a larger number is answered 413, and cut where events are asked for.
    page_limit: u32 = 1000;
    /// The memory for answers that are ready to be sent, and for what must be known to send them.
    answer_cache: Size = Size(64 << 20);
}

impl Engine {
    /// The engine's part of `answer_cache`, in bytes: what it knows of an entity is about a quarter of all.
    pub fn cache_of_entities(&self) -> usize {
        self.answer_cache.0 / 4
    }

    /// The part of `answer_cache` that holds the answers themselves, in bytes.
    pub fn cache_of_answers(&self) -> usize {
        self.answer_cache.0 - self.cache_of_entities()
    }
}

section! {
    /// How long things are remembered.
    Retention = "retention"
    /// Events.
    events: Span = Span::seconds(7 * 24 * 3600);
    /// Events, by number.
    event_count: i64 = 1_000_000;
    /// Operations that have ended.
    operations: Span = Span::seconds(7 * 24 * 3600);
    /// Audit records.
    audit: Span = Span::seconds(90 * 24 * 3600);
    /// Idempotency keys.
    idempotency: Span = Span::seconds(24 * 3600);
}
