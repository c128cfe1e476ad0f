//! What a failure means: whether the server was asked in vain for now or for good.

use lettre::transport::smtp::Error;

use super::super::SendError;

/// The most characters of a server's answer that we repeat.
const ANSWER_LIMIT: usize = 300;

/// A step of handing over a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    StartTls,
    LogIn,
    Sender,
    Recipient,
    Data,
    Content,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::StartTls => "STARTTLS",
            Self::LogIn => "AUTH",
            Self::Sender => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Data => "DATA",
            Self::Content => "content",
        }
    }
}

/// Why a mail was not handed over.
#[derive(Debug)]
pub(super) struct Failure {
    error: SendError,
    answered: bool,
}

impl Failure {
    pub(super) fn new(step: Step, error: &Error) -> Self {
        let code = error.status().map(u16::from);
        let text = format!(
            "SMTP {}: {}",
            step.name(),
            without_addresses(&error.to_string())
        );
        Self {
            error: if code.is_some_and(|code| is_final(step, code)) {
                SendError::Permanent(text)
            } else {
                SendError::Transient(text)
            },
            // 421 says that the server closes the connection.
            answered: code.is_some_and(|code| code != 421),
        }
    }

    pub(super) fn timed_out(step: Step) -> Self {
        Self::transient(step, "no answer in time")
    }

    pub(super) fn unexpected(step: Step) -> Self {
        Self::transient(step, "an answer out of order")
    }

    /// The server takes no addresses that are not ASCII, and will not tomorrow.
    pub(super) fn address_not_supported() -> Self {
        Self {
            error: SendError::Permanent(
                "the SMTP server takes no international addresses (SMTPUTF8)".to_owned(),
            ),
            answered: true,
        }
    }

    /// Whether the connection can carry another mail after this.
    pub(super) const fn leaves_connection_usable(&self) -> bool {
        self.answered
    }

    fn transient(step: Step, reason: &str) -> Self {
        Self {
            error: SendError::Transient(format!("SMTP {}: {reason}", step.name())),
            answered: false,
        }
    }
}

impl From<Failure> for SendError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// Whether `code`, in answer to `step`, says that the mail will never be taken.
///
/// Before the recipient is named an answer cannot be about this mail. Afterwards 5xx is, but for
/// 502 to 504, which are about the command, and the codes of RFC 4954 that ask us to log in.
const fn is_final(step: Step, code: u16) -> bool {
    matches!(step, Step::Recipient | Step::Data | Step::Content)
        && code >= 500
        && !matches!(code, 502..=504 | 530 | 534 | 535 | 538)
}

/// `text` on one line, cut short, with whatever could be an e-mail address taken out: servers
/// like to repeat it, also in the encodings of bounce addresses and links.
fn without_addresses(text: &str) -> String {
    let text = super::super::values::one_line(text);
    let mut clean = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| c == ' ' || "<>()[]\"',;".contains(c)) {
        let bare = word.trim_end_matches(|c: char| c == ' ' || "<>()[]\"',;".contains(c));
        let lower = bare.to_ascii_lowercase();
        if ["@", "\u{ff20}", "%40", "=40", "&#64;"]
            .iter()
            .any(|at| lower.contains(at))
        {
            clean.push_str("[address]");
            clean.push_str(word.strip_prefix(bare).unwrap_or_default());
        } else {
            clean.push_str(word);
        }
    }
    clean.chars().take(ANSWER_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_out_of_a_servers_answer() {
        for (answer, clean) in [
            (
                "5.1.1 <anna@example.org>: unknown",
                "5.1.1 <[address]>: unknown",
            ),
            ("anna@example.org unknown", "[address] unknown"),
            ("user anna@example.org.", "user [address]"),
            ("to=anna@example.org, later", "[address], later"),
            (
                "see https://x.example/?to=anna%40example.org now",
                "see [address] now",
            ),
            ("bounces+anna=40example.org failed", "[address] failed"),
            ("\"anna\"@example.org failed", "\"anna\"[address] failed"),
            ("line\r\nbreak\0", "line break"),
            ("no address here", "no address here"),
        ] {
            assert_eq!(without_addresses(answer), clean);
        }
        assert_eq!(without_addresses(&"x".repeat(9999)).len(), ANSWER_LIMIT);
    }

    #[test]
    fn only_an_answer_about_recipient_or_mail_is_final() {
        for step in [Step::Connect, Step::StartTls, Step::LogIn, Step::Sender] {
            for code in [421, 454, 500, 530, 535, 550, 554] {
                assert!(!is_final(step, code), "{step:?} {code}");
            }
        }
        for step in [Step::Recipient, Step::Data, Step::Content] {
            for (code, last) in [
                (421, false),
                (450, false),
                (451, false),
                (452, false),
                (502, false),
                (503, false),
                (530, false),
                (535, false),
                (501, true),
                (550, true),
                (551, true),
                (552, true),
                (553, true),
                (554, true),
                (556, true),
            ] {
                assert_eq!(is_final(step, code), last, "{step:?} {code}");
            }
        }
    }
}
