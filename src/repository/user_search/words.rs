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
    /// The same, but those of which there are too many by the fields, where these have all of them.
    WordsAndFields,
    /// The same, but where the word at this place, of which there are too many, is the first that the fields don't
    /// have: by the words that are like it.
    WordsBut(usize),
    /// By the fields, each of which has indexes.
    Fields,
    /// By the one text of a row that is looked at anyway: no index is for it, but it is asked in a moment.
    Text,
}

/// Among so few users PostgreSQL reads the whole table rather than an index.
const FEW_USERS: u64 = 20_000;

impl By {
    /// What is best to gather all rows that pass, each way those that the others don't: whole words among many
    /// users where nothing else is asked, so that it is their index that finds them.
    pub(super) fn to_gather(filter: &UserFilter, words: &[Word], everybody: u64) -> Vec<Self> {
        let is_open = |at: &usize| words[*at].containing().is_none();
        let open: Vec<usize> = (0..words.len()).filter(is_open).collect();
        let is_by_words = open.len() < words.len() || words.len() > 1;
        if everybody <= FEW_USERS || !is_text_only(filter) || !is_by_words {
            return vec![Self::Fields];
        }
        if open.is_empty() {
            return vec![Self::Words];
        }
        // Two indexes together find what neither finds alone, but one that is asked for either of two things goes
        // together with no other.
        let but = open.into_iter().map(Self::WordsBut);
        [Self::WordsAndFields].into_iter().chain(but).collect()
    }

    fn is_by_words(self) -> bool {
        matches!(self, Self::Words | Self::WordsAndFields | Self::WordsBut(_))
    }
}

/// Writes that the words aren't matched so well, with `and` before it.
pub(super) fn push_better(sql: &mut Sql, words: &[Word], tier: Tier) {
    // A name that is absent makes it neither true nor false.
    sql.push(" and (true");
    push_tier(sql, words, tier, By::Text);
    sql.push(") is not true");
}

/// Writes an expression for how well a row matches that matches at all: a number.
pub(super) fn push_tier_of(sql: &mut Sql, words: &[Word]) {
    // Most rows that are gathered are like the words, or have them somewhere: so that is asked first.
    sql.push("case when (true");
    push_tier(sql, words, Tier::Contains, By::Text);
    sql.push(format!(") is not true then {}", Tier::Similar as i32));
    for tier in [Tier::Equal, Tier::Prefix] {
        sql.push(" when true");
        push_tier(sql, words, tier, By::Text);
        sql.push(format!(" then {}", tier as i32));
    }
    sql.push(format!(" else {} end", Tier::Contains as i32));
}

/// Writes that each word is matched so well or better, each with `and` before it.
pub(super) fn push_tier(sql: &mut Sql, words: &[Word], tier: Tier, by: By) {
    for (number, word) in words.iter().enumerate() {
        let is_one_of_many = words.len() > 1 && word.is_of_letters();
        if is_one_of_many && tier == Tier::Equal {
            // Whoever has a field that is the word has the word.
            sql.push(" and search_words @> ")
                .push_bind(vec![word.word.clone()]);
            if by == By::WordsBut(number) {
                // The first way has all of them.
                sql.push(" and false");
            }
            continue;
        }
        if let (Some(containing), true) = (word.containing(), by.is_by_words()) {
            let mut known = containing.clone();
            if tier == Tier::Similar {
                known.extend_from_slice(word.similar());
            }
            push_any(sql, &known);
            if tier >= Tier::Contains {
                continue;
            }
        }
        let looks_for_parts = tier >= Tier::Contains && finds_parts(&word.word);
        let whole = match tier {
            Tier::Similar if !word.similar().is_empty() => Some(word.similar().to_vec()),
            _ if is_one_of_many && !looks_for_parts => Some(vec![word.word.clone()]),
            _ => None,
        };
        let is_whole = tier == Tier::Equal;
        let is_open = word.containing().is_none();
        match (by, whole) {
            (By::WordsBut(place), Some(whole)) if place == number => {
                sql.push(" and search_words && ").push_bind(whole);
                sql.push(" and (");
                push_text(sql, word, looks_for_parts, is_whole);
                sql.push(") is not true");
            }
            (By::WordsBut(place), None) if place == number => {
                sql.push(" and false");
            }
            (By::WordsBut(place), _) if is_open && number < place => {
                sql.push(" and (");
                push_text(sql, word, looks_for_parts, is_whole);
                sql.push(")");
            }
            (By::WordsAndFields, _) if is_open => {
                sql.push(" and (");
                push_text(sql, word, looks_for_parts, is_whole);
                sql.push(") and (");
                push_fields(sql, word, looks_for_parts, is_whole);
                sql.push(")");
            }
            (_, whole) => {
                sql.push(" and (");
                if by == By::Fields && !is_found_by_another(word, words) {
                    push_fields(sql, word, looks_for_parts, is_whole);
                } else {
                    push_text(sql, word, looks_for_parts, is_whole);
                }
                if let Some(whole) = whole {
                    sql.push(" or search_words && ").push_bind(whole);
                }
                sql.push(")");
            }
        }
    }
}

/// Writes that a row has one of these words, with `and` before it.
fn push_any(sql: &mut Sql, words: &[String]) {
    /// For each row that an index has for one of them it looks at all that are asked for together.
    const TOGETHER: usize = 50;
    sql.push(" and (");
    for (number, some) in words.chunks(TOGETHER).enumerate() {
        if number > 0 {
            sql.push(" or ");
        }
        sql.push("search_words && ").push_bind(some.to_vec());
    }
    if words.is_empty() {
        sql.push("false");
    }
    sql.push(")");
}

fn push_fields(sql: &mut Sql, word: &Word, anywhere: bool, is_whole: bool) {
    if anywhere {
        push_parts(sql, word);
    } else {
        push_begun(sql, word, is_whole);
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
