//! The sample file, generated from the structures.

use super::load::Config;
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
    text.push_str(
        "\n# One section per engine named in server.backends: its keys are its own. The variable of images is\n\
         # OCCID_BACKEND_QEMU_IMAGES.\n[backend]\n",
    );
    text
}
