//! Nicknames for those who choose none: adjective, noun and number.

use std::sync::Arc;

use crate::{domain::nickname::Nickname, infra::random::Random};

mod words;

use words::{ADJECTIVES, NOUNS};

/// How many numbers there are: 0 to 999.
const NUMBERS: u32 = 1000;

/// Makes nicknames such as `clever_panda_417`.
///
/// It doesn't ask whether a nickname is free: the database does, when it is stored.
pub struct Nicknames {
    random: Arc<dyn Random>,
}

impl Nicknames {
    /// A generator.
    pub fn new(random: Arc<dyn Random>) -> Self {
        Self { random }
    }

    /// A nickname, each as likely as any other.
    #[must_use]
    pub fn generate(&self) -> Nickname {
        let pick = |words: &[&'static str]| {
            let count = u32::try_from(words.len()).unwrap_or(u32::MAX);
            words[self.random.below(count) as usize]
        };
        let number = self.random.below(NUMBERS);
        Nickname::from_trusted(format!("{}_{}_{number}", pick(ADJECTIVES), pick(NOUNS)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::infra::random::SeededRandom;

    #[test]
    fn the_lists_make_tens_of_millions_of_valid_nicknames() {
        for words in [ADJECTIVES, NOUNS] {
            let distinct: BTreeSet<_> = words.iter().collect();
            assert_eq!(distinct.len(), words.len());
            assert!(
                words
                    .iter()
                    .all(|word| word.bytes().all(|b| b.is_ascii_lowercase()))
            );
        }
        assert!(ADJECTIVES.len() * NOUNS.len() * NUMBERS as usize >= 40_000_000);
        let longest = |words: &[&str]| words.iter().map(|word| word.len()).max().unwrap();
        assert!(longest(ADJECTIVES) + longest(NOUNS) + 5 <= 50);
    }

    #[test]
    fn generated_nicknames_are_ones_that_a_user_could_choose() {
        let nicknames = Nicknames::new(Arc::new(SeededRandom::new(7)));
        let made: BTreeSet<_> = (0..1000)
            .map(|_| nicknames.generate().as_str().to_owned())
            .collect();
        assert!(made.len() > 990);
        assert!(
            made.iter()
                .all(|nickname| Nickname::parse(nickname).is_ok())
        );
    }
}
