//! Markdown, as much of it as a mail needs, to HTML and to plain text.

use std::fmt::Write as _;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd, html};

/// `text` with each character that could mean something to Markdown or HTML written as a numeric
/// character reference. CommonMark takes those as text, never as structure.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == ' ' || !c.is_ascii() {
            escaped.push(c);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "&#{};", u32::from(c));
        }
    }
    escaped
}

/// A parsed piece of Markdown.
pub(super) struct Document<'a>(Vec<Event<'a>>);

impl<'a> Document<'a> {
    /// Parses `source`.
    ///
    /// # Errors
    ///
    /// Says what is not allowed in a mail, without repeating it: it may be secret.
    pub(super) fn parse(source: &'a str) -> Result<Self, &'static str> {
        let events: Vec<_> = Parser::new_ext(source, Options::empty()).collect();
        for event in &events {
            match event {
                Event::Html(_) | Event::InlineHtml(_) | Event::Start(Tag::HtmlBlock) => {
                    return Err("raw HTML is not allowed here: it belongs to layout.html");
                }
                Event::Start(Tag::Image { .. }) => return Err("images are not allowed"),
                Event::Start(Tag::Link {
                    dest_url,
                    link_type,
                    ..
                }) if *link_type != LinkType::Email && !is_absolute(dest_url) => {
                    return Err("a link must begin with http://, https:// or mailto:");
                }
                Event::Code(code) if code.contains("&#") => {
                    return Err("a value must not stand in code");
                }
                _ => {}
            }
        }
        Ok(Self(events))
    }

    /// Whether a paragraph begins at event `at` that is nothing but one link with a text.
    fn is_action(&self, at: usize) -> bool {
        let Some(
            [
                Event::Start(Tag::Paragraph),
                Event::Start(Tag::Link { .. }),
                rest @ ..,
            ],
        ) = self.0.get(at..)
        else {
            return false;
        };
        let mut inside = rest
            .iter()
            .skip_while(|event| matches!(event, Event::Text(_)));
        matches!(rest.first(), Some(Event::Text(_)))
            && matches!(inside.next(), Some(Event::End(TagEnd::Link)))
            && matches!(inside.next(), Some(Event::End(TagEnd::Paragraph)))
    }

    /// The document as HTML, without style: a link that is a paragraph gets the class `action`,
    /// and its address follows in a paragraph of class `address`.
    pub(super) fn to_html(&self) -> String {
        let mut events = Vec::with_capacity(self.0.len() + 8);
        let mut action = None;
        for (at, event) in self.0.iter().enumerate() {
            match event {
                Event::Start(Tag::Paragraph) if self.is_action(at) => {
                    action = self.0.get(at + 1);
                    events.push(Event::Html("<p class=\"action\">".into()));
                }
                Event::End(TagEnd::Paragraph) => {
                    events.push(event.clone());
                    if let Some(start @ Event::Start(Tag::Link { dest_url, .. })) = action.take() {
                        events.extend([
                            Event::Html("<p class=\"address\">".into()),
                            start.clone(),
                            Event::Text(dest_url.clone()),
                            Event::End(TagEnd::Link),
                            event.clone(),
                        ]);
                    }
                }
                _ => events.push(event.clone()),
            }
        }
        let mut out = String::new();
        html::push_html(&mut out, events.into_iter());
        out
    }

    /// The document as plain text: one line a paragraph, addresses of links in full.
    pub(super) fn to_text(&self) -> String {
        let mut text = Text::default();
        for (at, event) in self.0.iter().enumerate() {
            text.take(event, self.is_action(at));
        }
        text.out
    }
}

fn is_absolute(url: &str) -> bool {
    ["https://", "http://", "mailto:"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
        && !url.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Writes plain text.
#[derive(Default)]
struct Text {
    out: String,
    /// The block that is being collected.
    block: String,
    /// What stands before each line: `> ` for a quotation, spaces for a list.
    indent: Vec<&'static str>,
    /// The number of the next item of each open list, none for one with hyphens.
    lists: Vec<Option<u64>>,
    /// The mark of an item whose first line is still to come.
    mark: Option<String>,
    /// Where in the block each open link began, and where it leads.
    links: Vec<(usize, String)>,
    /// Whether the paragraph is nothing but a link.
    action: bool,
    /// Whether an empty line comes before the next block.
    gap: bool,
}

impl Text {
    fn take(&mut self, event: &Event<'_>, action: bool) {
        match event {
            Event::Start(tag) => self.start(tag, action),
            Event::End(tag) => self.end(*tag),
            Event::Text(text) | Event::Code(text) => self.block.push_str(text),
            Event::SoftBreak => self.block.push(' '),
            Event::HardBreak => self.block.push('\n'),
            Event::Rule => {
                self.block.push_str("* * *");
                self.finish_block(true);
            }
            // The parser makes no other event with the options that we give it, and HTML has
            // been refused.
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>, action: bool) {
        match tag {
            Tag::Paragraph => self.action = action,
            Tag::BlockQuote(_) => self.indent.push("> "),
            Tag::List(first) => {
                self.finish_block(false);
                self.lists.push(*first);
            }
            Tag::Item => {
                self.mark = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                });
                self.indent.push("   ");
            }
            Tag::Link { dest_url, .. } => self.links.push((self.block.len(), dest_url.to_string())),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::CodeBlock => {
                self.finish_block(true);
                self.action = false;
            }
            TagEnd::BlockQuote(_) => {
                self.indent.pop();
                self.gap = true;
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.gap |= self.lists.is_empty();
            }
            TagEnd::Item => {
                self.finish_block(false);
                self.indent.pop();
            }
            TagEnd::Link => {
                let Some((begin, address)) = self.links.pop() else {
                    return;
                };
                let label = self.block.get(begin..).unwrap_or_default();
                if label == address || address.strip_prefix("mailto:") == Some(label) {
                    return;
                }
                if self.action {
                    self.block.push_str(":\n");
                    self.block.push_str(&address);
                } else {
                    self.block.push_str(" (");
                    self.block.push_str(&address);
                    self.block.push(')');
                }
            }
            _ => {}
        }
    }

    /// Writes the block's lines. `gap` says whether an empty line follows.
    fn finish_block(&mut self, gap: bool) {
        let block = std::mem::take(&mut self.block);
        if block.is_empty() {
            return;
        }
        if self.gap && !self.out.is_empty() {
            self.out.push('\n');
        }
        for line in block.trim_end().split('\n') {
            match (self.mark.take(), self.indent.split_last()) {
                (Some(mark), Some((_, outer))) => {
                    self.out.extend(outer.iter().copied());
                    self.out.push_str(&mark);
                }
                _ => self.out.extend(self.indent.iter().copied()),
            }
            self.out.push_str(line.trim_end());
            self.out.push('\n');
        }
        self.gap = gap;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(source: &str) -> String {
        Document::parse(source).unwrap().to_text()
    }

    fn html(source: &str) -> String {
        Document::parse(source).unwrap().to_html()
    }

    #[test]
    fn plain_text_shows_structure_and_addresses() {
        let source = "# Title\n\nOne *two*\n**three** `x`.  \nNext [here](https://a.example/b).\n\n\
            [Do it](https://a.example/c_d_e)\n\n<https://a.example> <m@a.example>\n\n- one\n- two\n  \
            1. deep\n  2. deeper\n\nAfter\n\n> Quoted\n> text\n\n---\n\n    code\n      more\n\nEnd";
        assert_eq!(
            text(source),
            "Title\n\nOne two three x.\nNext here (https://a.example/b).\n\nDo it:\n\
            https://a.example/c_d_e\n\nhttps://a.example m@a.example\n\n- one\n- two\n   1. deep\n   \
            2. deeper\n\nAfter\n\n> Quoted text\n\n* * *\n\ncode\n  more\n\nEnd\n"
        );
    }

    #[test]
    fn a_link_that_is_a_paragraph_is_a_button_with_its_address_below() {
        assert_eq!(
            html("Go\n\n[Do it](https://a.example/?b=1&c=2)\n\nor [not](https://a.example)"),
            "<p>Go</p>\n<p class=\"action\"><a href=\"https://a.example/?b=1&amp;c=2\">Do it</a></p>\n\
            <p class=\"address\"><a href=\"https://a.example/?b=1&amp;c=2\">\
            https://a.example/?b=1&amp;c=2</a></p>\n<p>or <a href=\"https://a.example\">not</a></p>\n"
        );
    }

    #[test]
    fn what_a_mail_must_not_hold_is_refused() {
        for source in [
            "<b>x</b>",
            "<div>\nx\n</div>",
            "<!-- x -->",
            "a <br> b",
            "![x](https://a.example/x.png)",
            "[x](javascript:alert(1))",
            "[x](//a.example)",
            "[x](/path)",
            "[x](data:text/html,x)",
            "[x]\n\n[x]: ftp://a.example",
            "<ftp://a.example>",
            "`&#64;`",
        ] {
            assert!(Document::parse(source).is_err(), "{source}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_is_read_as_that_text_and_nothing_else(
            value in "[ -~\u{a1}-\u{2fff}\u{1f600}-\u{1f64f}]{0,40}"
        ) {
            let value = super::super::values::one_line(&value);
            prop_assume!(!value.is_empty());
            let escaped = escape(&value);
            for (before, after) in [("Hi ", ","), ("", ""), ("\n\n", "\n\n"), ("- ", "\n- b"), ("> ", "")] {
                let source = format!("{before}{escaped}{after}");
                let document = Document::parse(&source).unwrap();
                let mut seen = String::new();
                for event in &document.0 {
                    match event {
                        Event::Text(text) => seen.push_str(text),
                        Event::Start(Tag::Paragraph | Tag::List(None) | Tag::Item | Tag::BlockQuote(_))
                        | Event::End(_) => {}
                        other => prop_assert!(false, "{other:?} from {source:?}"),
                    }
                }
                prop_assert!(seen.contains(&value), "{seen:?} from {source:?}");
            }
        }
    }
}
