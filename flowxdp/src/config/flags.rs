//! Flags that follow from the table of keys: clap's arguments, and the texts of a command line.

use std::{
    ffi::{OsStr, OsString},
    ops::Deref,
    path::{Path, PathBuf},
};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, parser::ValueSource, value_parser,
};

use super::{
    Config,
    contradictions::{self, Places},
    document,
    fault::{Fault, Faults, Place},
    file,
    key::{Commands, Form, Key, Table},
    keys::KEYS,
};
use crate::collector_url::{CollectorUrl, split_list};

/// The one flag that is no key.
#[derive(clap::Args)]
struct File {
    /// File with the settings, in TOML; flags beside it win, and a list of flags replaces the file's list
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The flags of one command, as typed: `COMMAND` is a bit of [`Commands`].
#[derive(Clone, Debug)]
pub struct Flags<const COMMAND: Commands>(Source);

/// Where a configuration comes from: flags as typed, and the file. A reload reads it again.
#[derive(Clone, Debug)]
pub struct Source {
    command: Commands,
    file: Option<PathBuf>,
    typed: Vec<(&'static Key, Vec<OsString>)>,
}

/// A configuration as far as its texts have values, and all faults.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The values.
    pub config: Config,
    /// Where they come from.
    pub places: Places,
    /// None for a configuration that can be used.
    pub faults: Faults,
}

impl<const COMMAND: Commands> Deref for Flags<COMMAND> {
    type Target = Source;

    fn deref(&self) -> &Source {
        &self.0
    }
}

impl Source {
    /// The file, if one is named.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The configuration that the file and the flags make; flags win.
    ///
    /// # Errors
    ///
    /// All faults.
    pub fn config(&self) -> Result<Config, Faults> {
        let reading = self.read();
        if reading.faults.faults.is_empty() { Ok(reading.config) } else { Err(reading.faults) }
    }

    /// The configuration that this text of the file, which the loader has read, and the flags make.
    ///
    /// # Errors
    ///
    /// All faults.
    pub fn config_of(&self, text: &str) -> Result<Config, Faults> {
        let mut reading = Reading::default();
        if let Some(path) = &self.file {
            reading.text(path, text.to_owned());
        }
        let reading = self.flags(reading);
        if reading.faults.faults.is_empty() { Ok(reading.config) } else { Err(reading.faults) }
    }

    /// Reads file and flags.
    pub fn read(&self) -> Reading {
        let mut reading = Reading::default();
        if let Some(path) = &self.file {
            reading.file(path);
        }
        self.flags(reading)
    }

    fn flags(&self, mut reading: Reading) -> Reading {
        self.typed.iter().for_each(|(key, texts)| reading.flag(key, texts));
        let more = contradictions::faults(&reading.config, &reading.places, self.command);
        reading.faults.add(more);
        reading
    }
}

impl Reading {
    fn file(&mut self, path: &Path) {
        match file::text(path) {
            Ok(text) => self.text(path, text),
            Err(text) => {
                self.places.refuse_all();
                self.faults.faults.push(Fault::new(Place::Nowhere, text));
            }
        }
    }

    fn text(&mut self, path: &Path, text: String) {
        self.faults.faults = document::read(&text, &mut self.config, &mut self.places);
        self.faults.file = Some((path.to_owned(), text));
    }

    fn flag(&mut self, key: &'static Key, texts: &[OsString]) {
        self.places.set(key.path(), Place::Flag(key));
        if key.table == Table::Exporter {
            return self.collectors(key, texts);
        }
        // The empty list, where the default is another one.
        let is_none = key.list && !key.default.is_empty() && texts.iter().all(|text| text.is_empty());
        let texts = if is_none { &[] } else { texts };
        for (index, why) in key.set(&mut self.config, texts) {
            self.refuse(key, texts.get(index).map_or(OsStr::new(""), OsString::as_os_str), &why);
        }
    }

    /// The list of `--collector` replaces the file's.
    fn collectors(&mut self, key: &'static Key, texts: &[OsString]) {
        self.config.exporter.clear();
        self.places.forget_exporters();
        for text in texts {
            let Some(list) = text.to_str() else {
                self.refuse(key, text, "the URL is not UTF-8: write other octets as %XX");
                continue;
            };
            for url in split_list(list) {
                match url.parse::<CollectorUrl>() {
                    Ok(url) => {
                        self.config.exporter.push(url);
                        self.places.exporter(Place::Flag(key), Vec::new());
                    }
                    Err(error) => self.refuse(key, OsStr::new(url), &error.to_string()),
                }
            }
        }
    }

    fn refuse(&mut self, key: &'static Key, typed: &OsStr, why: &str) {
        self.places.refuse(key.path());
        self.faults.faults.push(Fault::value(Place::Flag(key), key, typed, why));
    }
}

/// The argument of a key with a flag.
fn argument(key: &'static Key, flag: String) -> Arg {
    let is_collector = key.table == Table::Exporter;
    let argument =
        Arg::new(flag.clone()).long(flag).value_name(key.value).value_parser(value_parser!(OsString));
    let argument = match key.form {
        Form::Switch => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ if key.default.is_empty() => argument,
        _ => argument.default_value(key.default),
    };
    let argument = match (key.list, is_collector) {
        (true, _) => argument.action(ArgAction::Append).value_delimiter(','),
        // The commas of a parameter are no separators.
        (false, true) => argument.action(ArgAction::Append),
        (false, false) => argument.action(ArgAction::Set),
    };
    described(argument, key)
}

/// The sentence, with the names of a choice behind it.
fn described(argument: Arg, key: &Key) -> Arg {
    let Form::Choice(all) = key.form else { return argument.help(key.sentence) };
    let names: Vec<&str> = all().iter().map(|(name, _)| *name).collect();
    let short = format!("{} [possible values: {}]", key.sentence, names.join(", "));
    if all().iter().all(|(_, sentence)| sentence.is_empty()) {
        return argument.help(short);
    }
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0) + 1;
    let line = |(name, sentence): &(&str, &str)| format!("- {:width$} {sentence}", format!("{name}:"));
    let lines: Vec<String> = all().iter().map(line).collect();
    argument.help(short).long_help(format!("{}\n\nPossible values:\n{}", key.sentence, lines.join("\n")))
}

impl<const COMMAND: Commands> Args for Flags<COMMAND> {
    fn augment_args(command: Command) -> Command {
        let keys = KEYS.iter().filter(|key| key.is_for(COMMAND));
        let flags = keys.filter_map(|key| Some(argument(key, key.flag()?)));
        File::augment_args(command).args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const COMMAND: Commands> FromArgMatches for Flags<COMMAND> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut typed = Vec::new();
        for key in KEYS.iter().filter(|key| key.is_for(COMMAND)) {
            let Some(flag) = key.flag() else { continue };
            if matches.value_source(&flag) == Some(ValueSource::CommandLine) {
                let texts = matches.get_many::<OsString>(&flag).unwrap_or_default();
                typed.push((key, texts.cloned().collect()));
            }
        }
        let file = File::from_arg_matches(matches)?.config;
        Ok(Self(Source { command: COMMAND, file, typed }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
