//! How well a row matches words.

use super::filter::{
    EMAIL, EMAIL_IN_ORDER, FIRST_NAME, FIRST_NAME_IN_ORDER, LAST_LETTER, LAST_NAME,
    LAST_NAME_IN_ORDER, MIDDLE_NAME, MIDDLE_NAME_IN_ORDER, NICKNAME, PHONE_NUMBER, Sql, TEXT,
    is_text_only, like, push_like,
};
use crate::domain::{
    user_order::Tier,
    user_search::{UserFilter, finds_parts},
};

/// A word that is looked for.
#[derive(Debug, Clone)]
pub struct Word {
    /// The word, in search form.
    pub word: String,
    /// Where it is looked for.
    pub scope: Scope,
    /// What the vocabulary has of it, once it was looked up.
    pub known: Option<Known>,
}

/// Whole words that somebody is called by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Those that differ by one letter.
    pub similar: Vec<String>,
    /// All that contain the word; none where it isn't of letters, is too short, or where there are too many.
    pub containing: Option<Vec<String>>,
}

/// Where a word is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In whatever a user is called, and in his phone number.
    Names,
    /// In his nickname.
    Nickname,
}

impl Scope {
    fn of<'a>(self, fields: &'a [&'static str; 6]) -> &'a [&'static str] {
        match self {
            Self::Names => fields,
            Self::Nickname => &fields[..1],
        }
    }
}

/// A field that may begin with a word.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    /// The field, as an index has it that is in its order.
    pub(super) field: &'static str,
    /// What its index has besides: a condition, with `and` behind it.
    present: &'static str,
    /// Its value, as values of several fields are compared.
    pub(super) value: &'static str,
    /// Least and greatest value of the field that begins with the word.
    pub(super) range: (String, String),
    /// What the field has before its value.
    pub(super) lead: &'static str,
}

impl Word {
    /// A word that was not looked up.
    #[must_use]
    pub fn new(word: &str, scope: Scope) -> Self {
        Self {
            word: word.to_owned(),
            scope,
            known: None,
        }
    }

    pub(super) fn similar(&self) -> &[String] {
        self.known.as_ref().map_or(&[], |known| &known.similar)
    }

    fn containing(&self) -> Option<&Vec<String>> {
        self.known
            .as_ref()
            .and_then(|known| known.containing.as_ref())
    }

    /// The fields that may begin with the word.
    pub(super) fn begun(&self) -> Vec<Begun> {
        let range = |from: String| {
            let to = format!("{from}{LAST_LETTER}");
            (from, to)
        };
        let begun = |field| Begun {
            field,
            present: match field {
                MIDDLE_NAME_IN_ORDER => "middle_name is not null and ",
                _ => "",
            },
            value: field,
            range: range(self.word.clone()),
            lead: "",
        };
        let fields = [
            NICKNAME,
            EMAIL_IN_ORDER,
            FIRST_NAME_IN_ORDER,
            MIDDLE_NAME_IN_ORDER,
            LAST_NAME_IN_ORDER,
        ];
        let known = match self.scope {
            Scope::Names => &fields[..],
            Scope::Nickname => &fields[..1],
        };
        let mut all: Vec<Begun> = known.iter().copied().map(begun).collect();
        if self.is_number(self.word.strip_prefix('+').unwrap_or(&self.word)) {
            // As it was typed: with the plus, or of numbers that have none.
            all.push(begun(PHONE_NUMBER));
        }
        if self.is_number(&self.word) {
            all.push(Begun {
                value: "substr(phone_number, 2)",
                range: range(format!("+{}", self.word)),
                lead: "+",
                ..begun(PHONE_NUMBER)
            });
        }
        all
    }

    fn is_number(&self, digits: &str) -> bool {
        self.scope == Scope::Names && digits.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Whether it may be one of a user's `search_words`.
    fn is_of_letters(&self) -> bool {
        self.scope == Scope::Names && self.word.chars().all(char::is_alphabetic)
    }
}

/// Writes the least value of a field that begins with the word, or null.
pub(super) fn push_match(sql: &mut Sql, word: &Word) {
    // So little is asked of the many that don't.
    sql.push("case when ");
    push_text(sql, word, false, false);
    sql.push(" then least(");
    for (number, begun) in word.begun().into_iter().enumerate() {
        if number > 0 {
            sql.push(", ");
        }
        sql.push("case when ");
        push_range(sql, &begun);
        sql.push(" then ").push(begun.value).push(" end");
    }
    sql.push(") collate \"C\" end");
}

/// Writes that a field begins with the word.
pub(super) fn push_range(sql: &mut Sql, begun: &Begun) {
    let (from, to) = begun.range.clone();
    sql.push(begun.present);
    sql.push(begun.field).push(" >= ").push_bind(from);
    sql.push(" and ").push(begun.field).push(" <= ");
    sql.push_bind(to);
}

/// By what it is found out whether a row matches words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// By whole words that contain them, of which there is a small index; those of which there are too many are
    /// asked of the rows' one text.
    Words,
    /// By the fields, each of which has indexes.
    Fields,
    /// By the one text of a row that is looked at anyway: no index is for it, but it is asked in a moment.
    Text,
}

/// Among so few users PostgreSQL reads the whole table rather than an index.
const FEW_USERS: u64 = 20_000;

impl By {
    /// What is best to gather all rows that pass: whole words among many users where nothing else is asked, so
    /// that it is their index that finds them.
    pub(super) fn to_gather(filter: &UserFilter, words: &[Word], everybody: u64) -> Self {
        let are_known = words.iter().any(|word| word.containing().is_some());
        if everybody > FEW_USERS && is_text_only(filter) && are_known {
            Self::Words
        } else {
            Self::Fields
        }
    }
}

/// Writes that the words aren't matched so well, with `and` before it.
pub(super) fn push_better(sql: &mut Sql, words: &[Word], tier: Tier) {
    // A name that is absent makes it neither true nor false.
    sql.push(" and (true");
    push_tier(sql, words, tier, By::Text);
    sql.push(") is not true");
}

/// Writes an expression for how well the row matches: a number, or null if it doesn't.
pub(super) fn push_tier_of(sql: &mut Sql, words: &[Word]) {
    sql.push("case");
    for tier in Tier::ALL {
        sql.push(" when true");
        push_tier(sql, words, tier, By::Text);
        sql.push(format!(" then {}", tier as i32));
    }
    sql.push(" end");
}

/// Writes that each word is matched so well or better, each with `and` before it.
pub(super) fn push_tier(sql: &mut Sql, words: &[Word], tier: Tier, by: By) {
    for word in words {
        if let (Some(containing), By::Words, Tier::Contains | Tier::Similar) =
            (word.containing(), by, tier)
        {
            let mut known = containing.clone();
            if tier == Tier::Similar {
                known.extend_from_slice(word.similar());
            }
            sql.push(" and search_words && ").push_bind(known);
            continue;
        }
        let is_one_of_many = words.len() > 1 && word.is_of_letters();
        if is_one_of_many && tier == Tier::Equal {
            // Whoever has a field that is the word has the word.
            sql.push(" and search_words @> ")
                .push_bind(vec![word.word.clone()]);
            continue;
        }
        let looks_for_parts = tier >= Tier::Contains && finds_parts(&word.word);
        sql.push(" and (");
        let is_by_index = by == By::Fields && !is_found_by_another(word, words);
        match (is_by_index, looks_for_parts) {
            (false, anywhere) => push_text(sql, word, anywhere, tier == Tier::Equal),
            (true, true) => push_parts(sql, word),
            (true, false) => push_begun(sql, word, tier == Tier::Equal),
        }
        if is_one_of_many && !looks_for_parts {
            sql.push(" or search_words @> ")
                .push_bind(vec![word.word.clone()]);
        }
        if tier == Tier::Similar && !word.similar().is_empty() {
            sql.push(" or search_words && ")
                .push_bind(word.similar().to_vec());
        }
        sql.push(")");
    }
}

/// Whether a word is so short that an index has more of it than there is to be asked of whoever has a longer one.
fn is_found_by_another(word: &Word, words: &[Word]) -> bool {
    const SHORT: usize = 3;
    let is_short = |word: &Word| word.word.chars().count() <= SHORT;
    is_short(word) && !words.iter().all(is_short)
}

/// A field is the word, or begins with it.
fn push_begun(sql: &mut Sql, word: &Word, is_whole: bool) {
    for (number, begun) in word.begun().into_iter().enumerate() {
        if number > 0 {
            sql.push(" or ");
        }
        if is_whole {
            sql.push(begun.present);
            sql.push(begun.field).push(" = ").push_bind(begun.range.0);
        } else {
            push_range(sql, &begun);
        }
    }
}

/// A field contains the word.
fn push_parts(sql: &mut Sql, word: &Word) {
    let pattern = format!("%{}%", like(&word.word));
    let fields = [
        NICKNAME,
        EMAIL,
        FIRST_NAME,
        MIDDLE_NAME,
        LAST_NAME,
        PHONE_NUMBER,
    ];
    for (number, field) in word.scope.of(&fields).iter().enumerate() {
        if number > 0 {
            sql.push(" or ");
        }
        push_like(sql, field, pattern.clone());
    }
}

/// The same, or that a field contains the word, asked of the one text.
fn push_text(sql: &mut Sql, word: &Word, anywhere: bool, is_whole: bool) {
    let text = like(&word.word);
    if word.scope == Scope::Nickname {
        let begin = if anywhere { "%" } else { "" };
        let end = if is_whole { "" } else { "%" };
        push_like(sql, NICKNAME, format!("{begin}{text}{end}"));
        return;
    }
    let end = if is_whole { "\n" } else { "" };
    let begins = match word.is_number(&word.word) {
        _ if anywhere => &[""][..],
        true => &["\n", "\n+"],
        false => &["\n"],
    };
    for (number, begin) in begins.iter().enumerate() {
        if number > 0 {
            sql.push(" or ");
        }
        push_like(sql, TEXT, format!("%{begin}{text}{end}%"));
    }
}
