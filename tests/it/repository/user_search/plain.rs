//! The same searches by a plain filter and a plain sort.

use std::{cmp::Ordering, collections::BTreeSet};

use chrono::{DateTime, Utc};
use user_management::domain::{
    email::Email,
    profile::PersonName,
    role::Role,
    search_form::search_form,
    user::User,
    user_order::{SortField, SortKey, Tier, UserOrder},
    user_search::{Status, TextMatch, TimeRange, UserFilter},
};

fn names(user: &User) -> Vec<String> {
    let profile = &user.profile;
    let names = [
        &profile.first_name,
        &profile.middle_name,
        &profile.last_name,
    ];
    let mut all: Vec<String> = names
        .into_iter()
        .flatten()
        .map(|name| search_form(name.as_str()))
        .collect();
    all.push(user.nickname.as_str().to_lowercase());
    all.extend(user.email.as_ref().map(|email| search_form(email.as_str())));
    all
}

fn deletions(word: &str) -> BTreeSet<String> {
    let chars: Vec<char> = word.chars().collect();
    let less = (0..chars.len()).map(|at| {
        let kept = chars.iter().enumerate().filter(|(number, _)| *number != at);
        kept.map(|(_, c)| c).collect()
    });
    less.chain([word.to_owned()]).collect()
}

/// The words in what a user is called.
fn words_of(user: &User) -> BTreeSet<String> {
    let names = names(user);
    let runs = names
        .iter()
        .flat_map(|name| name.split(|c: char| c.is_ascii() && !c.is_ascii_alphabetic()));
    runs.map(str::to_owned).collect()
}

/// What differs by a letter from a word of four letters or more, among the words of all names.
fn similar(word: &str, users: &[User]) -> BTreeSet<String> {
    if word.chars().count() < 4 || !word.chars().all(char::is_alphabetic) {
        return BTreeSet::new();
    }
    let own = deletions(word);
    let known = users.iter().flat_map(words_of);
    known
        .filter(|known| known.chars().count() >= 4 && !known.contains(word))
        .filter(|known| !deletions(known).is_disjoint(&own))
        .collect()
}

fn tier(user: &User, words: &[(String, BTreeSet<String>)]) -> Option<Tier> {
    let mut names = names(user);
    let number = user
        .phone_number
        .as_ref()
        .map(|number| number.as_str().to_owned());
    names.extend(number.clone());
    let mut worst = Tier::Equal;
    for (word, similar) in words {
        let plus = format!("+{word}");
        let has_parts = word.chars().count() >= 3;
        let is_one_of_many = words.len() > 1
            && word.chars().all(char::is_alphabetic)
            && words_of(user).contains(word);
        let is = |test: &dyn Fn(&String) -> bool| names.iter().any(test);
        let found = if is(&|name| name == word) || number.as_ref() == Some(&plus) || is_one_of_many
        {
            Tier::Equal
        } else if is(&|name| name.starts_with(word.as_str()))
            || number
                .as_ref()
                .is_some_and(|number| number.starts_with(&plus))
        {
            Tier::Prefix
        } else if has_parts && is(&|name| name.contains(word.as_str())) {
            Tier::Contains
        } else if !similar.is_disjoint(&words_of(user)) {
            Tier::Similar
        } else {
            return None;
        };
        worst = worst.max(found);
    }
    Some(worst)
}

/// The least value that begins with the one word.
fn matched(user: &User, words: &[(String, BTreeSet<String>)]) -> String {
    let [(word, _)] = words else {
        return String::new();
    };
    let number = user.phone_number.as_ref();
    let number = number.map(|number| number.as_str().to_owned());
    let digits = number
        .as_ref()
        .map(|number| number.trim_start_matches('+').to_owned());
    let values = names(user).into_iter().chain(number).chain(digits);
    let begun = values.filter(|value| value.starts_with(word.as_str()));
    begun.min().unwrap_or_default()
}

fn is_like(pattern: &Option<TextMatch>, value: Option<&str>) -> bool {
    let value = value.map(search_form);
    match (pattern, value) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(TextMatch::Exact(text)), Some(value)) => value == *text,
        (Some(TextMatch::Prefix(text)), Some(value)) => value.starts_with(text.as_str()),
        (Some(TextMatch::Contains(text)), Some(value)) => value.contains(text.as_str()),
    }
}

fn is_within(range: TimeRange, time: Option<DateTime<Utc>>) -> bool {
    match time {
        None => range == TimeRange::default(),
        Some(time) => {
            range.from.is_none_or(|from| time >= from) && range.to.is_none_or(|to| time <= to)
        }
    }
}

fn passes(filter: &UserFilter, user: &User) -> bool {
    let has = |status: &Status| match status {
        Status::Verified => user.email_verified_at.is_some(),
        Status::Unverified => user.email_verified_at.is_none(),
        Status::Locked => user.locked_at.is_some(),
        Status::Deleted => user.deletion_due_at.is_some(),
    };
    let profile = &user.profile;
    let is_public =
        user.role != Role::Anonymous && user.locked_at.is_none() && user.deletion_due_at.is_none();
    is_like(&filter.nickname, Some(user.nickname.as_str()))
        && is_like(&filter.email, user.email.as_ref().map(Email::as_str))
        && is_like(
            &filter.first_name,
            profile.first_name.as_ref().map(PersonName::as_str),
        )
        && is_like(
            &filter.last_name,
            profile.last_name.as_ref().map(PersonName::as_str),
        )
        && (filter.roles.is_empty() || filter.roles.contains(&user.role))
        && (filter.statuses.is_empty() || filter.statuses.iter().any(has))
        && filter
            .is_professional
            .is_none_or(|is| user.is_professional == is)
        && is_within(filter.created, Some(user.created_at))
        && is_within(filter.last_login, user.last_login_at)
        && filter.inactive_since.is_none_or(|since| {
            user.created_at <= since && user.last_login_at.is_none_or(|at| at <= since)
        })
        && (filter.locales.is_empty()
            || profile
                .locale
                .as_ref()
                .is_some_and(|locale| filter.locales.contains(locale)))
        && (!filter.is_public || is_public)
}

fn compare(keys: &[SortKey], one: &User, other: &User) -> Ordering {
    let name = |name: &Option<PersonName>| name.as_ref().map(|name| search_form(name.as_str()));
    let email = |user: &User| user.email.as_ref().map(|email| search_form(email.as_str()));
    let nickname = |user: &User| user.nickname.as_str().to_lowercase();
    let by = |field| match field {
        SortField::Nickname => nickname(one).cmp(&nickname(other)),
        SortField::Email => email(one).cmp(&email(other)),
        SortField::FirstName => name(&one.profile.first_name).cmp(&name(&other.profile.first_name)),
        SortField::LastName => name(&one.profile.last_name).cmp(&name(&other.profile.last_name)),
        SortField::Role => one.role.cmp(&other.role),
        SortField::IsProfessional => one.is_professional.cmp(&other.is_professional),
        SortField::CreatedAt => one.created_at.cmp(&other.created_at),
        SortField::LastLoginAt => one.last_login_at.cmp(&other.last_login_at),
    };
    let directed = |order: Ordering, descending| if descending { order.reverse() } else { order };
    let keyed = keys
        .iter()
        .map(|key| directed(by(key.field), key.descending));
    let last = keys.last().is_some_and(|key| key.descending);
    keyed
        .chain([directed(one.id.cmp(&other.id), last)])
        .fold(Ordering::Equal, Ordering::then)
}

/// Who passes a filter, in an order.
pub(super) fn expected(users: &[User], filter: &UserFilter, order: &UserOrder) -> Vec<User> {
    let words: Vec<_> = filter
        .text
        .iter()
        .flat_map(|text| text.words())
        .map(|word| (word.clone(), similar(word, users)))
        .collect();
    let tiered = users.iter().map(|user| (tier(user, &words), user));
    let mut found: Vec<_> = tiered
        .filter(|(tier, user)| tier.is_some() && passes(filter, user))
        .collect();
    match order {
        UserOrder::BestMatch => {
            found.sort_by_key(|(tier, user)| (*tier, matched(user, &words), user.id));
        }
        UserOrder::By(keys) => found.sort_by(|(_, one), (_, other)| compare(keys, one, other)),
    }
    found.into_iter().map(|(_, user)| user.clone()).collect()
}
