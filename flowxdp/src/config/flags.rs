//! Flags that follow from the table of keys: clap's arguments, and the texts of a command line.

use std::ffi::{OsStr, OsString};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, parser::ValueSource, value_parser,
};

use super::{
    Config,
    contradictions::{self, Places},
    fault::{Fault, Faults, Place},
    key::{Commands, Form, Key, Table},
    keys::KEYS,
};
use crate::collector_url::{CollectorUrl, split_list};

/// The flags of one command, as typed: `COMMAND` is a bit of [`Commands`].
#[derive(Clone, Debug)]
pub struct Flags<const COMMAND: Commands> {
    typed: Vec<(&'static Key, Vec<OsString>)>,
}

impl<const COMMAND: Commands> Flags<COMMAND> {
    /// The configuration that the flags make.
    ///
    /// # Errors
    ///
    /// All faults.
    pub fn config(&self) -> Result<Config, Faults> {
        let (mut config, mut places, mut faults) = (Config::default(), Places::default(), Vec::new());
        for (key, texts) in &self.typed {
            let place = Place::Flag(key);
            places.set(key.path(), place.clone());
            if key.table == Table::Exporter {
                collectors(&mut config, &mut places, &mut faults, key, texts);
                continue;
            }
            for (index, why) in key.set(&mut config, texts) {
                let typed = texts.get(index).map_or(OsStr::new(""), OsString::as_os_str);
                faults.push(Fault::value(place.clone(), key, typed, &why));
            }
        }
        if faults.is_empty() {
            faults = contradictions::faults(&config, &places, COMMAND);
        }
        if faults.is_empty() { Ok(config) } else { Err(Faults::of_flags(faults)) }
    }
}

/// Takes the list of `--collector`.
fn collectors(
    config: &mut Config,
    places: &mut Places,
    faults: &mut Vec<Fault>,
    key: &'static Key,
    texts: &[OsString],
) {
    config.exporter.clear();
    places.exporters.clear();
    for text in texts {
        let Some(list) = text.to_str() else {
            faults.push(Fault::value(Place::Flag(key), key, text, "it is not UTF-8"));
            continue;
        };
        for url in split_list(list) {
            match url.parse::<CollectorUrl>() {
                Ok(url) => {
                    config.exporter.push(url);
                    places.exporters.push(Place::Flag(key));
                }
                Err(error) => {
                    faults.push(Fault::value(Place::Flag(key), key, OsStr::new(url), &error.to_string()));
                }
            }
        }
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
        command.args(keys.filter_map(|key| Some(argument(key, key.flag()?))))
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
        Ok(Self { typed })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
