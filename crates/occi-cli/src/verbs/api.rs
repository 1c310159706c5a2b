//! `occi api`.

use super::values::text_or_file;
use crate::failure::{Exit, Failure, Result};
use crate::mask::masked_answer;
use crate::read;
use crate::session::Session;
use crate::trace::is_known_secret;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use occi_client::ErrorKind;

/// Send a request as it is written, and print the answer
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi api GET /-/
  occi api GET /compute/ -H 'Accept: application/occi+json'
  occi api POST \"$(occi show web1 -o name)?action=stop\"
  occi api POST /compute/ -H 'Content-Type: text/plain' --data @compute.txt
  occi api HEAD / --include")]
pub(crate) struct Api {
    /// GET, POST, PUT, DELETE, ...
    #[arg(value_name = "METHOD")]
    method: String,
    /// On the server, with its query
    #[arg(value_name = "PATH")]
    path: String,
    /// A header
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The body, or @FILE, or @- for stdin
    #[arg(short, long, value_name = "TEXT|@FILE")]
    data: Option<String>,
    /// Print status and headers too
    #[arg(short, long)]
    include: bool,
    /// Say what would be sent, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Api {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let method: Method = self
            .method
            .to_ascii_uppercase()
            .parse()
            .map_err(|_| Failure::usage("this is no method"))?;
        let mut headers = HeaderMap::new();
        for header in &self.headers {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| Failure::usage("a header is NAME: VALUE"))?;
            let name: HeaderName = name
                .trim()
                .parse()
                .map_err(|_| Failure::usage(format!("{name:?} names no header")))?;
            let mut value = HeaderValue::from_str(value.trim())
                .map_err(|_| Failure::usage(format!("this cannot be the value of {name}")))?;
            value.set_sensitive(is_known_secret(&name));
            headers.append(name, value);
        }
        let data = self.data.as_deref().map(|data| text_or_file(data, read::BODY));
        let body = data.transpose()?.unwrap_or_default();
        if self.dry_run {
            let mut text = format!("would send {method} {}\n", self.path);
            for (name, value) in &headers {
                let value = match value.is_sensitive() {
                    true => "***".into(),
                    false => String::from_utf8_lossy(value.as_bytes()),
                };
                text.push_str(&format!("{name}: {value}\n"));
            }
            return session
                .output
                .text(&format!("{text}\n{}\n", String::from_utf8_lossy(&body)));
        }
        let answer = session.client.raw(method, &self.path, headers, body.into()).await?;
        if self.include {
            let mut text = format!("HTTP/1.1 {}\n", answer.status);
            for (name, value) in &answer.headers {
                text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
            }
            let text = masked_answer(format!("{text}\n").as_bytes());
            session.output.text(&String::from_utf8_lossy(&text))?;
        }
        session.output.said(&masked_answer(&answer.body))?;
        if answer.status.is_client_error() || answer.status.is_server_error() {
            let exit = Exit::of(ErrorKind::of_status(answer.status.as_u16()), true);
            return Err(Failure::new(exit, format!("the server answered {}", answer.status)));
        }
        Ok(())
    }
}
