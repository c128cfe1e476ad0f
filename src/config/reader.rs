//! Reads settings one by one and remembers what it read: the values, what is wrong with them, and
//! what each is for.

use std::{collections::BTreeMap, fmt::Display, mem, str::FromStr};

/// The names and values that settings come from.
pub type Source = BTreeMap<String, String>;

/// A setting as `.env.sample` and the README show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The part of the service that it is about.
    pub section: &'static str,
    /// The variable.
    pub name: &'static str,
    /// Its value when it isn't set; empty: none.
    pub default: &'static str,
    /// What it is for, in a sentence or two.
    pub help: &'static str,
    /// Whether nobody is to see what it was set to.
    pub is_secret: bool,
}

/// A setting as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingValue {
    /// The setting.
    pub setting: Setting,
    /// Whether it was set; else its default counts.
    pub is_set: bool,
    /// What counts, as far as it may be seen: none for a secret, and where there is no value.
    pub shown: Option<String>,
}

/// Reads settings from a [`Source`].
#[derive(Debug)]
pub struct Reader<'a> {
    source: &'a Source,
    section: &'static str,
    next_is_secret: bool,
    /// What is shown of a setting in place of what was set.
    shown: BTreeMap<&'static str, String>,
    /// Every setting asked for, in order.
    pub settings: Vec<Setting>,
    /// What is wrong, each with the name of its setting.
    pub problems: Vec<String>,
    /// What works but should be known.
    pub warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A reader of `source`.
    #[must_use]
    pub fn new(source: &'a Source) -> Self {
        Self {
            source,
            section: "",
            next_is_secret: false,
            shown: BTreeMap::new(),
            settings: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Begins a section: the settings that follow belong to it.
    pub fn section(&mut self, title: &'static str) {
        self.section = title;
    }

    /// Nobody is to see what the setting that is read next was set to.
    pub fn secret(&mut self) -> &mut Self {
        self.next_is_secret = true;
        self
    }

    /// Shows `value` as that of a setting: the default that was worked out, or what of a secret may be
    /// seen.
    pub fn show(&mut self, name: &'static str, value: impl Display) {
        self.shown.insert(name, value.to_string());
    }

    /// Every setting asked for, as it is now, in the order of its section.
    #[must_use]
    pub fn values(&self) -> Vec<SettingValue> {
        let value = |setting: &Setting| {
            let given = self.given(setting.name);
            let told = self.shown.get(setting.name).map(String::as_str);
            let default = Some(setting.default).filter(|default| !default.is_empty());
            let shown = match given {
                Some(_) if setting.is_secret => told,
                Some(given) => Some(given),
                None => told.or(default),
            };
            SettingValue {
                setting: setting.clone(),
                is_set: given.is_some(),
                shown: shown.map(str::to_owned),
            }
        };
        let mut values: Vec<_> = self.settings.iter().map(value).collect();
        let sections: Vec<_> = self.settings.iter().map(|it| it.section).collect();
        values.sort_by_key(|value| {
            sections
                .iter()
                .position(|section| *section == value.setting.section)
        });
        values
    }

    /// What a setting was set to.
    fn given(&self, name: &str) -> Option<&'a str> {
        // An empty variable is what Compose and .env files have for one that isn't set.
        self.source
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    fn text(
        &mut self,
        name: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> Option<&'a str> {
        self.settings.push(Setting {
            section: self.section,
            name,
            default,
            help,
            is_secret: mem::take(&mut self.next_is_secret),
        });
        self.given(name)
    }

    /// A setting that may be missing. A value that can't be read is noted, and counts as missing.
    pub fn optional<T>(&mut self, name: &'static str, help: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let value = self.text(name, "", help)?;
        self.parse(name, value)
    }

    /// A setting with a default, which is also the answer when the value can't be read.
    ///
    /// # Panics
    ///
    /// When the default itself can't be read: a fault of ours, found by the first test.
    pub fn with_default<T>(
        &mut self,
        name: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> T
    where
        T: FromStr,
        T::Err: Display,
    {
        let given = self
            .text(name, default, help)
            .and_then(|value| self.parse(name, value));
        given.unwrap_or_else(|| match default.parse() {
            Ok(value) => value,
            Err(error) => panic!("default of {name}: {error}"),
        })
    }

    /// A switch that may be missing: `true false on off yes no 1 0`.
    pub fn switch(
        &mut self,
        name: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> Option<bool> {
        let value = self.text(name, default, help)?;
        match value.to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Some(true),
            "false" | "off" | "no" | "0" => Some(false),
            _ => {
                self.problem(name, "must be true or false");
                None
            }
        }
    }

    /// A list, its items separated by commas; empty when it isn't set.
    pub fn list<T>(&mut self, name: &'static str, help: &'static str) -> Vec<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let value = self.text(name, "", help).unwrap_or_default();
        value
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .filter_map(|item| self.parse(name, item))
            .collect()
    }

    fn parse<T>(&mut self, name: &'static str, value: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        match value.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                // The error's text, not the value: the value may be a secret.
                self.problem(name, &error.to_string());
                None
            }
        }
    }

    /// Notes what is wrong with a setting.
    pub fn problem(&mut self, name: &str, what: &str) {
        self.problems.push(format!("{name}: {what}"));
    }

    /// Notes what should be known about a setting.
    pub fn warning(&mut self, name: &str, what: &str) {
        self.warnings.push(format!("{name}: {what}"));
    }
}
