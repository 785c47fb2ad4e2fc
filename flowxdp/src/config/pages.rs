//! Pages that follow from the table of keys: the example file and the manual's page.

use super::{
    key::{CHECK, Form, Key, REPLAY, RUN, Table},
    keys::KEYS,
    print,
};

/// Columns of a comment in the example file.
const COLUMNS: usize = 100;

/// Lines of the example file that are no comments, as the service needs them: the key and its value.
const SET: [(&str, &str); 5] = [
    ("monitor.interface", "[\"eth0\"]"),
    ("monitor.pin", "\"/run/flowxdp/pins/table\""),
    ("monitor.keep", "true"),
    ("exporter.collector", "\"udp://192.0.2.10:4739\""),
    ("spool.directory", "\"/var/lib/flowxdp/spool\""),
];

/// `package/flowxdp.toml`: every key with its default.
pub fn example() -> String {
    let mut page = comment(
        "The settings of flowxdp: every key, with its default behind a # where it has one and an example where it has \
         none. `flowxdp check --config FILE` judges a file.",
    );
    for table in Table::ALL.into_iter().filter(|table| keys(*table).next().is_some()) {
        line(&mut page, "");
        page.push_str(&comment(table.sentence()));
        line(&mut page, &table.header());
        for key in keys(table) {
            line(&mut page, "");
            page.push_str(&comment(&explained(key)));
            line(&mut page, &setting(key));
        }
    }
    page
}

fn keys(table: Table) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.table == table)
}

/// The line of a key: set, or its default or an example behind a `#`.
fn setting(key: &Key) -> String {
    match SET.iter().find(|(path, _)| *path == key.path()) {
        Some((_, value)) => format!("{} = {value}", key.name),
        None if key.default.is_empty() && key.list && !matches!(key.form, Form::Tree) => {
            format!("#{} = [{}]", key.name, key.example)
        }
        None if key.default.is_empty() => format!("#{} = {}", key.name, key.example),
        None => format!("#{}", print::line(key, &key.defaults())),
    }
}

/// The sentence, the names of a choice, and whether there is a default.
fn explained(key: &Key) -> String {
    let names = key.names().map(|names| format!("; one of {names}")).unwrap_or_default();
    let default = if key.default.is_empty() { " No default." } else { "" };
    format!("{}{names}.{default}", key.sentence)
}

/// Prose as comments.
fn comment(text: &str) -> String {
    let (mut page, mut column) = (String::new(), COLUMNS);
    for word in text.split_whitespace() {
        if column + 1 + word.len() > COLUMNS {
            page.push_str(if page.is_empty() { "#" } else { "\n#" });
            column = 1;
        }
        page.push(' ');
        page.push_str(word);
        column += 1 + word.len();
    }
    page + "\n"
}

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

/// `manual/configuration.md`.
pub fn manual() -> String {
    let mut page = String::from(INTRODUCTION);
    for table in Table::ALL.into_iter().filter(|table| keys(*table).next().is_some()) {
        line(&mut page, &format!("\n## `{}`\n\n{}\n", table.header(), table.sentence()));
        line(&mut page, "| key | flag | default | |\n|---|---|---|---|");
        for key in keys(table) {
            let flag = key.flag().map(|flag| format!("`--{flag}`")).unwrap_or_default();
            line(&mut page, &format!("| `{}` | {flag} | {} | {} |", key.name, key.default, described(key)));
        }
    }
    page.push_str(CHECKING);
    page
}

/// The sentence for a cell, with the names of a choice and the one command that takes the flag.
fn described(key: &Key) -> String {
    let names = key.names().map(|names| format!("; one of {names}")).unwrap_or_default();
    let command = match key.commands & !CHECK {
        RUN => " (`run`)",
        REPLAY => " (`replay`)",
        _ => "",
    };
    format!("{}{names}{command}", key.sentence).replace('|', "\\|")
}

const INTRODUCTION: &str = "\
# The configuration file

`run`, `replay` and `check` take their settings from flags, from a file, or from both:

    flowxdp run --config /etc/flowxdp/flowxdp.toml
    flowxdp run --config /etc/flowxdp/flowxdp.toml --idle-timeout 5s

The file is TOML. Every setting that is a flag is a key too. A flag wins over the file, and a list of flags replaces
the file's list. A key that has no effect in a command is ignored by it, so that one file serves all commands.
[An example with every key](../package/flowxdp.toml) stands beside the service's unit.

    [monitor]
    interface = [\"eth*\", \"wg0\"]
    idle-timeout = \"15s\"

    [[exporter]]
    collector = \"tls://collector.example\"
    ca = \"/etc/flowxdp/ca.pem\"

    [[exporter]]
    collector = \"udp://192.0.2.10\"
    protocol = \"v9\"

Durations are strings with a unit: `500ms`, `15s`, `1m`, `2h`. Counts are integers or strings like `64K` (64,000) and
`1M` (10^6), sizes integers or strings like `64KiB` and `1GiB`. Lists are arrays.
A table of a table, as `timeouts = { tcp = { idle = \"30s\" } }`, is `--timeouts tcp.idle=30s` as a flag.

A table `[[exporter]]` has every parameter of a collector's URL as a key, and both forms give the same exporter. Its name
in the books and in the log is the URL with the parameters in the order of the keys: `udp://192.0.2.10?protocol=v9`. In
`--collector` a comma begins another URL only in front of `udp://`, `tcp://`, `tls://` or `dtls://`; every other comma
belongs to the parameter. A `+` stands for itself, and `%26` for an `&`.
";

const CHECKING: &str = "
## `flowxdp check`

    flowxdp check --config /etc/flowxdp/flowxdp.toml

judges a configuration without root, opens no socket and loads no program. It takes every flag beside the file, and
judges for `run`: an interface and a collector must be there.

- All faults are found, not only the first. Each has one line; a fault of the file has its path, line and column below it,
  and the line with a caret. A key that is unknown is named with the nearest known one. The exit status is 2.
- Without a fault, standard output is the effective configuration, as a file that makes the same configuration again.
  Comments behind it list each exporter's templates and options templates with the octets of each field, the octets of a
  record and the records of a message; the parts that only the start of the agent can verify (names, interfaces, the path MTU, the kernel); and
  warnings of settings without effect. The exit status is 0.
- `--print` prints the file alone. That also turns flags into a file:

      flowxdp check $FLOWXDP_ARGUMENTS --print > flowxdp.toml

A file of more than 256 KiB, a folder, a pipe or a file that is not UTF-8 is refused with one line.
";
