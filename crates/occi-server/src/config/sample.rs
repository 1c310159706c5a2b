//! The sample file, generated from the structures.

use super::load::Config;
use crate::backends;
use std::fmt::Write;

/// A file that holds every key with its documentation and default, each commented out: as it is, it changes nothing.
pub fn sample() -> String {
    let mut text = String::from(
        "# occid.toml: every key with its default. Each can also be set by the environment variable named beside it.\n",
    );
    let mut write = |part: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = text.write_fmt(part);
    };
    for (section, about, keys) in Config::sections() {
        write(format_args!("\n"));
        for line in about {
            write(format_args!("#{line}\n"));
        }
        write(format_args!("[{section}]\n"));
        for key in keys {
            write(format_args!("\n"));
            for line in key.doc {
                write(format_args!("#{line}\n"));
            }
            let unset = if key.default.is_none() {
                " Unset by default."
            } else {
                ""
            };
            write(format_args!("# {}{unset}\n", key.variable()));
            write(format_args!(
                "#{} = {}\n",
                key.name,
                key.default.as_ref().unwrap_or(&key.example)
            ));
        }
    }
    write(format_args!(
        "\n# One section per engine named in server.backends: its keys are its own.\n"
    ));
    for (engine, keys) in backends::sample_keys() {
        // A section of an engine that is not used is an error.
        write(format_args!("#[backend.{engine}]\n"));
        for (name, doc, example) in keys {
            write(format_args!("\n"));
            for line in doc {
                write(format_args!("#{line}\n"));
            }
            let variable = format!("occid_backend_{engine}_{name}").to_ascii_uppercase();
            write(format_args!("# {variable}\n#{name} = {example}\n"));
        }
    }
    text
}
