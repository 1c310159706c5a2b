//! What the suite is told.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Checks an OCCI server from outside. Everything that a case makes it also deletes.
#[derive(Clone, Debug, Parser)]
#[command(name = "occi-conformance", version)]
pub struct Options {
    /// The root of the service: `/-/` is below it.
    #[arg(long)]
    pub url: String,
    /// Who asks (Basic). Without it: nobody in particular.
    #[arg(long, requires = "password_file")]
    pub user: Option<String>,
    /// The first line of this file is the password.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The project of everything that is made, if the server has several (header X-OCCI-Project).
    #[arg(long)]
    pub project: Option<String>,
    /// Only cases with this in their name.
    #[arg(long, value_name = "WORD")]
    pub only: Option<String>,
    /// Only one group: the requirements, or what one client does.
    #[arg(long, value_enum)]
    pub profile: Option<Profile>,
    /// Cases at the same time.
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub threads: usize,
    /// How long a state may take to be reached, in seconds.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub patience: u64,
    /// Also run the cases that only show something where machines are real.
    #[arg(long)]
    pub real: bool,
    /// Nobody else uses the login's project and nothing in it is of value: also run, one by one, the cases that delete
    /// everything.
    #[arg(long)]
    pub alone: bool,
    /// The binary of the occid that is checked, if it runs on this host: lets the suite make users of its own.
    #[arg(long, value_name = "PATH", requires = "data_dir")]
    pub occid: Option<PathBuf>,
    /// The data directory of that occid.
    #[arg(long, value_name = "DIR", requires = "occid")]
    pub data_dir: Option<PathBuf>,
    /// Certificates to believe, for https (PEM).
    #[arg(long, value_name = "FILE", default_value = "/etc/ssl/certs/ca-certificates.crt")]
    pub ca_file: PathBuf,
    /// Name the cases, and run none.
    #[arg(long)]
    pub list: bool,
}

/// A group of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// The requirements of the documents and of this project.
    Checklist,
    /// The working group's own test of OCCI 1.1.
    Ogf11,
    /// pOCCI, the compliance tool of the EGI.
    Pocci,
    /// rOCCI-cli and rOCCI-api 4.
    Rocci,
    /// jOCCI-api.
    Jocci,
    /// The clients of ooi, OpenStack's OCCI.
    Ooi,
    /// Infrastructure Manager.
    Im,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Checklist => "checklist",
            Self::Ogf11 => "ogf11",
            Self::Pocci => "pocci",
            Self::Rocci => "rocci",
            Self::Jocci => "jocci",
            Self::Ooi => "ooi",
            Self::Im => "im",
        }
    }
}
