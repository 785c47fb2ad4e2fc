//! Values of TOML as the texts that flags have, where their form is the key's.

use std::{ffi::OsString, ops::Range};

use toml::{Spanned, de::DeValue};

use super::{
    document::{entries, wrong_form},
    fault::Fault,
    key::{Form, Key},
};

/// The texts of a key's value, each with its place.
///
/// # Errors
///
/// The faults of a value, or of the values of a list, that have another form.
pub(super) fn texts(
    key: &Key,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<(OsString, Range<usize>)>, Vec<Fault>> {
    if let Form::Tree = key.form {
        let (mut texts, mut faults) = (Vec::new(), Vec::new());
        branch(key, "", (value, value.span()), &mut texts, &mut faults);
        return if faults.is_empty() { Ok(texts) } else { Err(faults) };
    }
    let values = match (key.list, value.get_ref()) {
        (true, DeValue::Array(values)) => values.iter().collect(),
        (true, _) => {
            let remedy = format!("a list is written in brackets, like [{}]", key.example);
            return Err(vec![wrong_form(key, value.span(), &remedy)]);
        }
        (false, _) => vec![value],
    };
    let (mut texts, mut faults) = (Vec::new(), Vec::new());
    for value in values {
        match text(key.form, value.get_ref()) {
            Some(text) => texts.push((text.into(), value.span())),
            None => faults.push(wrong_form(key, value.span(), &remedy(key, value.get_ref()))),
        }
    }
    if faults.is_empty() { Ok(texts) } else { Err(faults) }
}

/// Adds the texts of a table below `path`, each with the place of its key and value.
fn branch(
    key: &Key,
    path: &str,
    (value, span): (&Spanned<DeValue<'_>>, Range<usize>),
    texts: &mut Vec<(OsString, Range<usize>)>,
    faults: &mut Vec<Fault>,
) {
    match value.get_ref() {
        DeValue::Table(table) => {
            let dot = if path.is_empty() { "" } else { "." };
            for (name, value) in entries(table) {
                let start = if path.is_empty() { name.span().start } else { span.start };
                let span = start..value.span().end.max(name.span().end);
                branch(key, &format!("{path}{dot}{}", name.get_ref()), (value, span), texts, faults);
            }
        }
        DeValue::String(text) if !path.is_empty() => texts.push((format!("{path}={text}").into(), span)),
        other => faults.push(wrong_form(key, span, &remedy(key, other))),
    }
}

/// The text of a value that has the form.
fn text(form: Form, value: &DeValue<'_>) -> Option<String> {
    match (form, value) {
        (Form::Count | Form::Size | Form::Number, DeValue::Integer(integer)) => {
            let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok()?;
            Some(number.to_string())
        }
        (Form::Switch, DeValue::Boolean(on)) => Some(on.to_string()),
        (Form::Number | Form::Switch, _) => None,
        (_, DeValue::String(text)) => Some(text.to_string()),
        _ => None,
    }
}

fn remedy(key: &Key, value: &DeValue<'_>) -> String {
    let wanted = match key.form {
        Form::Text | Form::Path | Form::Choice(_) => "a string",
        Form::Duration => "a string with units",
        Form::Count | Form::Size => "an integer, or a string with a suffix",
        Form::Number => "an integer without quotes",
        Form::Switch => "true or false without quotes",
        Form::Tree => "a table of strings",
    };
    format!("the value is {wanted}, not {}: write it like {}", named(value), key.example)
}

/// The type of a value in words.
fn named(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
