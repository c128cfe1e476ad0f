//! Mail that is kept as files: for development, and for `SEND_REAL_MAIL=false`.

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use chrono::{DateTime, Utc};
use futures::future::{BoxFuture, FutureExt as _};
use mail_parser::MessageParser;

use super::{Mailer, SendError, mime::to_mime};
use crate::{
    domain::message::{Message, MessageId},
    infra::clock::Clock,
};

/// Files larger than this many bytes are no mail of ours.
const SIZE_LIMIT: u64 = 1 << 20;

/// Keeps each mail as `<directory>/<message id>.eml` in place of sending it, and reads it back.
///
/// The same message again replaces its file, so that sending is idempotent. A file appears whole
/// or not at all.
#[derive(Clone)]
pub struct DirectoryMailer {
    directory: Arc<Path>,
    clock: Arc<dyn Clock>,
    /// Makes the names of unfinished files differ.
    writes: Arc<AtomicU64>,
}

/// A mail that was kept, read back from its file.
#[derive(Clone, PartialEq, Eq)]
pub struct CaughtMail {
    /// The message's id.
    pub message_id: MessageId,
    /// The sender's address.
    pub from: String,
    /// The recipient's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// When it was sent, or the file's time if the mail does not tell.
    pub date: DateTime<Utc>,
    /// The plain text.
    pub text: String,
    /// The HTML document.
    pub html: String,
    /// The http and https links of text and HTML, each once, in order.
    pub links: Vec<String>,
}

/// Tells the id only: addresses and links do not belong in logs.
impl fmt::Debug for CaughtMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaughtMail")
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DirectoryMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryMailer")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl DirectoryMailer {
    /// A mailer that keeps mail in `directory`, which the first mail makes if need be.
    #[must_use]
    pub fn new(directory: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self {
            directory: directory.into(),
            clock,
            writes: Arc::default(),
        }
    }

    /// The newest mails, at most `limit`, newest first. Files that are no mail are passed over.
    ///
    /// # Errors
    ///
    /// An error if the directory exists but cannot be read.
    pub async fn list(&self, limit: usize) -> io::Result<Vec<CaughtMail>> {
        let directory = Arc::clone(&self.directory);
        run_blocking(move || list(&directory, limit)).await
    }

    /// The mail with that message id, if there is one and `message_id` is one at all.
    ///
    /// # Errors
    ///
    /// An error if the file exists but cannot be read.
    pub async fn get(&self, message_id: &str) -> io::Result<Option<CaughtMail>> {
        let Ok(message_id) = MessageId::parse(message_id) else {
            return Ok(None);
        };
        let directory = Arc::clone(&self.directory);
        run_blocking(move || read(&directory, message_id)).await
    }

    fn keep(&self, message: &Message) -> impl Future<Output = Result<(), SendError>> + use<> {
        let mime = to_mime(message, self.clock.now());
        let path = self.directory.join(file_name(&message.message_id));
        let unfinished = self.directory.join(format!(
            ".{}-{}.tmp",
            std::process::id(),
            self.writes.fetch_add(1, Ordering::Relaxed)
        ));
        async move {
            let bytes = mime?.formatted();
            run_blocking(move || write(&unfinished, &path, &bytes))
                .await
                .map_err(|error| SendError::Transient(format!("the mail cannot be kept: {error}")))
        }
    }
}

impl Mailer for DirectoryMailer {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>> {
        self.keep(message).boxed()
    }
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

/// A message id is made of characters that are safe in a file's name.
fn file_name(message_id: &MessageId) -> String {
    format!("{message_id}.eml")
}

fn write(unfinished: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        // The links in mails are secrets: nobody else on this machine may read them.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(unfinished)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(unfinished, path));
    if written.is_err() {
        // It is hidden and harmless; what counts is the first error.
        let _ = fs::remove_file(unfinished);
    }
    written
}

fn list(directory: &Path, limit: usize) -> io::Result<Vec<CaughtMail>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".eml"));
        let Some(Ok(id)) = id.map(MessageId::parse) else {
            continue;
        };
        // A file may be gone since the directory was read.
        if let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) {
            found.push((modified, id));
        }
    }
    // Ids that begin with a UUIDv7 order mails of the same moment.
    found.sort_unstable_by(|a, b| b.cmp(a));

    let mut mails = Vec::new();
    for (_, id) in found {
        if mails.len() == limit {
            break;
        }
        match read(directory, id) {
            Ok(mail) => mails.extend(mail),
            Err(error) => tracing::debug!(%error, "a file among the kept mails cannot be read"),
        }
    }
    Ok(mails)
}

/// Reads one mail. What is no plain file, or no mail, counts as not there.
fn read(directory: &Path, message_id: MessageId) -> io::Result<Option<CaughtMail>> {
    let path = directory.join(file_name(&message_id));
    let metadata = match fs::symlink_metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !metadata.is_file() || metadata.len() > SIZE_LIMIT {
        return Ok(None);
    }
    let bytes = fs::read(&path)?;
    Ok(parse(message_id, &bytes, metadata.modified()?))
}

fn parse(message_id: MessageId, bytes: &[u8], modified: SystemTime) -> Option<CaughtMail> {
    let mail = MessageParser::default().parse(bytes)?;
    let address = |field: Option<&mail_parser::Address<'_>>| {
        field
            .and_then(|field| field.first())
            .and_then(|mailbox| mailbox.address())
            .unwrap_or_default()
            .to_owned()
    };
    let from = address(mail.from());
    if from.is_empty() {
        return None;
    }
    let text = mail.body_text(0).unwrap_or_default().replace("\r\n", "\n");
    let html = mail.body_html(0).unwrap_or_default().replace("\r\n", "\n");
    let mut links = Vec::new();
    collect_links(&text, &mut links);
    collect_links(&html, &mut links);
    Some(CaughtMail {
        message_id,
        from,
        to: address(mail.to()),
        subject: mail.subject().unwrap_or_default().to_owned(),
        date: mail
            .date()
            .and_then(|date| DateTime::from_timestamp(date.to_timestamp(), 0))
            .unwrap_or_else(|| modified.into()),
        text,
        html,
        links,
    })
}

/// Adds the http and https links in `text`, which may be HTML, that are not yet among `links`.
fn collect_links(text: &str, links: &mut Vec<String>) {
    let mut rest = text;
    while let Some(at) = rest.find("http") {
        let (_, candidate) = rest.split_at(at);
        let end = candidate
            .find(|c: char| c.is_whitespace() || c.is_control() || "\"'<>`".contains(c))
            .unwrap_or(candidate.len());
        let (candidate, after) = candidate.split_at(end);
        let link = candidate
            .trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}'])
            .replace("&amp;", "&");
        let address = link
            .strip_prefix("https://")
            .or_else(|| link.strip_prefix("http://"));
        if address.is_some_and(|address| !address.is_empty()) && !links.contains(&link) {
            links.push(link);
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests;
