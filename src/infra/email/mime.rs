//! A message as it goes over the wire.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use lettre::{
    Address,
    message::{
        self as lettre_message, MultiPart, MultiPartKind, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};

use super::{SendError, values::one_line};
use crate::domain::message::{Mailbox, Message};

/// Builds the mail of RFC 5322 from `message`: plain text and HTML as alternatives, marked as
/// sent by a program (RFC 3834), everything in ASCII but for addresses that are not.
///
/// The same message and date give the same bytes.
///
/// # Errors
///
/// [`SendError::Permanent`] if an address is none.
pub fn to_mime(message: &Message, date: DateTime<Utc>) -> Result<lettre::Message, SendError> {
    let body = MultiPart::builder()
        .kind(MultiPartKind::Alternative)
        .boundary(boundary(message.message_id.as_str()))
        .singlepart(SinglePart::plain(message.text.clone()))
        .singlepart(SinglePart::html(message.html.clone()));
    lettre::Message::builder()
        .message_id(Some(format!("<{}>", message.message_id)))
        .date(SystemTime::from(date))
        .from(mailbox(&message.from, "sender")?)
        .to(mailbox(&message.to, "recipient")?)
        .subject(one_line(&message.subject))
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .multipart(body)
        .map_err(|_| SendError::Permanent("the mail cannot be built".to_owned()))
}

/// What separates the parts: it must not occur in them, and the id is no part of them.
fn boundary(message_id: &str) -> String {
    let id: String = message_id
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(60)
        .collect();
    format!("=_{id}")
}

fn mailbox(mailbox: &Mailbox, role: &str) -> Result<lettre_message::Mailbox, SendError> {
    let address: Address = mailbox
        .address
        .parse()
        .map_err(|_| SendError::Permanent(format!("the {role}'s address is not valid")))?;
    let name = mailbox.name.as_deref().map(one_line);
    Ok(lettre_message::Mailbox::new(
        name.filter(|name| !name.is_empty()),
        address,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::MessageId;

    fn message() -> Message {
        Message {
            message_id: MessageId::parse("0198b2c4@example.com").unwrap(),
            from: Mailbox {
                name: Some("Bücher & \"Co.\"".into()),
                address: "no-reply@example.com".into(),
            },
            to: Mailbox {
                name: Some("李小龙".into()),
                address: "anna@example.org".into(),
            },
            subject: "Grüße: Ihre Bestätigung".into(),
            text: "Hallo,\n\nGrüße\n.\nEnde\n".into(),
            html: "<p>Grüße</p>\n".into(),
        }
    }

    fn date() -> DateTime<Utc> {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn wire(message: &Message) -> String {
        String::from_utf8(to_mime(message, date()).unwrap().formatted()).unwrap()
    }

    #[test]
    fn a_message_is_written_as_ascii_alternatives() {
        let wire = wire(&message());
        assert!(wire.is_ascii());
        insta::assert_snapshot!(wire.replace('\r', ""));
    }

    #[test]
    fn what_was_written_is_read_back() {
        let wire = wire(&message());
        let parsed = mail_parser::MessageParser::default()
            .parse(wire.as_bytes())
            .unwrap();
        assert_eq!(parsed.message_id(), Some("0198b2c4@example.com"));
        assert_eq!(parsed.subject(), Some("Grüße: Ihre Bestätigung"));
        let from = parsed.from().unwrap().first().unwrap();
        assert_eq!(from.name(), Some("Bücher & \"Co.\""));
        assert_eq!(from.address(), Some("no-reply@example.com"));
        let to = parsed.to().unwrap().first().unwrap();
        assert_eq!(
            (to.name(), to.address()),
            (Some("李小龙"), Some("anna@example.org"))
        );
        assert_eq!(parsed.date().unwrap().to_rfc3339(), "2026-11-21T10:00:00Z");
        let text = parsed.body_text(0).unwrap().replace("\r\n", "\n");
        assert_eq!(text.trim_end(), "Hallo,\n\nGrüße\n.\nEnde");
        assert_eq!(parsed.body_html(0).unwrap().trim_end(), "<p>Grüße</p>");
    }

    #[test]
    fn no_line_is_longer_than_the_limit_of_rfc_5322() {
        let mut message = message();
        message.subject = "word ".repeat(400);
        message.text = "x".repeat(5000);
        message.html = format!("<p>{}</p>", "y ".repeat(5000));
        let wire = wire(&message);
        assert!(wire.split("\r\n").all(|line| line.len() <= 998));
        assert!(wire.replace("\r\n", "").find(['\r', '\n']).is_none());
    }

    #[test]
    fn names_and_subjects_cannot_add_headers() {
        for text in [
            "x\r\nBcc: evil@example.com",
            "x\nBcc: evil@example.com",
            "x\rBcc: evil@example.com",
            "x\u{85}Bcc: evil@example.com",
            "ü\r\n\r\nBcc: evil@example.com",
            "\"\r\nBcc: evil@example.com",
        ] {
            let mut message = message();
            message.subject = text.into();
            message.to.name = Some(text.into());
            message.from.name = Some(text.into());
            let wire = wire(&message);
            let (headers, _) = wire.split_once("\r\n\r\n").unwrap();
            assert!(
                !headers
                    .lines()
                    .any(|line| line.to_lowercase().starts_with("bcc")),
                "{headers}"
            );
            assert_eq!(headers.replace("\r\n", "").find(['\r', '\n']), None);
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_for_good() {
        for address in [
            "",
            "anna",
            "a b@example.com",
            "a@b\r\nRCPT TO:<x@y>",
            "a@b>,<c@d",
        ] {
            let mut message = message();
            message.to.address = address.into();
            assert_eq!(
                to_mime(&message, date()).unwrap_err(),
                SendError::Permanent("the recipient's address is not valid".into()),
                "{address:?}"
            );
        }
    }
}
