//! A mail as a value: whom it is from and to, and what it says.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// The most characters that a [`MessageId`] may have, so that it also fits a file's name.
const MESSAGE_ID_LIMIT: usize = 200;

/// What names a mail for good: fixed when the mail is enqueued and the same in every attempt to
/// send it, so that a receiver can tell a second delivery from a second mail.
///
/// It is the `id@domain` of RFC 5322, section 3.6.4, without the angle brackets, and made of
/// letters, digits, `.`, `_`, `-` and one `@` only, so that it is safe as a file's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(String);

/// The text is not a [`MessageId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a message id of the form id@domain")]
pub struct InvalidMessageId;

impl MessageId {
    /// The message id of `id` in the domain of `sender`.
    #[must_use]
    pub fn new(id: Uuid, sender: &Mailbox) -> Self {
        let domain: String = sender
            .address
            .rsplit('@')
            .next()
            .unwrap_or_default()
            .trim_matches(|c: char| !c.is_ascii_alphanumeric())
            .chars()
            .map(|c| if is_atom(c) { c } else { '-' })
            .take(MESSAGE_ID_LIMIT / 2)
            .collect();
        let domain = if domain.is_empty() {
            "localhost"
        } else {
            &domain
        };
        Self(format!("{id}@{domain}"))
    }

    /// Reads a message id, with or without its angle brackets.
    ///
    /// # Errors
    ///
    /// [`InvalidMessageId`] for anything but `id@domain` of the characters that the type allows.
    pub fn parse(text: &str) -> Result<Self, InvalidMessageId> {
        let text = text
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix('>'))
            .unwrap_or(text);
        let (id, domain) = text.split_once('@').ok_or(InvalidMessageId)?;
        let sound = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(is_atom)
        };
        if sound(id) && sound(domain) && text.len() <= MESSAGE_ID_LIMIT {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidMessageId)
        }
    }

    /// `id@domain`, without angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_atom(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for MessageId {
    type Error = InvalidMessageId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> Self {
        id.0
    }
}

/// One end of a mail: an address, and the name that a mail program shows for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The name to show, if any.
    pub name: Option<String>,
    /// The address, as in `anna@example.com`.
    pub address: String,
}

/// Tells nothing: addresses do not belong in logs.
impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox(..)")
    }
}

/// A mail, ready to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Names the mail; see [`MessageId`].
    pub message_id: MessageId,
    /// The sender.
    pub from: Mailbox,
    /// The recipient.
    pub to: Mailbox,
    /// The subject: one line.
    pub subject: String,
    /// The body as plain text.
    pub text: String,
    /// The body as an HTML document.
    pub html: String,
}

/// Tells the id only: addresses and bodies, with the tokens in their links, do not belong in logs.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_carries_the_senders_domain_and_is_read_back() {
        for (address, domain) in [
            ("no-reply@example.com", "example.com"),
            ("root@[127.0.0.1]", "127.0.0.1"),
            ("a@bücher.example", "b-cher.example"),
            ("nonsense@", "localhost"),
        ] {
            let sender = Mailbox {
                name: None,
                address: address.to_owned(),
            };
            let id = MessageId::new(Uuid::nil(), &sender);
            assert_eq!(
                id.as_str(),
                format!("00000000-0000-0000-0000-000000000000@{domain}")
            );
            assert_eq!(MessageId::parse(&format!("<{id}>")), Ok(id));
        }
    }

    #[test]
    fn a_message_id_that_could_leave_a_header_or_a_folder_is_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "../a@b",
            "a/b@c",
            "a@..",
            ".a@b",
            "a\r\nBcc: x@y",
            "a b@c",
            "a\\b@c",
            "a@b\0",
            "é@b",
        ] {
            assert_eq!(MessageId::parse(text), Err(InvalidMessageId), "{text:?}");
        }
        assert!(MessageId::parse(&format!("a@{}", "b".repeat(300))).is_err());
    }

    #[test]
    fn debug_output_tells_no_address_and_no_body() {
        let mailbox = Mailbox {
            name: Some("Anna".into()),
            address: "anna@example.com".into(),
        };
        let message = Message {
            message_id: MessageId::new(Uuid::nil(), &mailbox),
            from: mailbox.clone(),
            to: mailbox,
            subject: "Hello".into(),
            text: "token".into(),
            html: "token".into(),
        };
        let debug = format!("{message:?} {:?}", message.to);
        assert!(!debug.contains("anna") && !debug.contains("Anna") && !debug.contains("token"));
    }
}
