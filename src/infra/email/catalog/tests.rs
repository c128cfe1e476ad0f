use std::fs;

use tempfile::TempDir;

use super::*;

fn options(overrides: Option<&Path>) -> CatalogOptions {
    CatalogOptions {
        service: "Example Accounts".into(),
        overrides: overrides.map(Path::to_owned),
    }
}

fn site() -> SiteUrl {
    SiteUrl::parse("https://accounts.example.com").unwrap()
}

/// Loads the built-in templates and these files over them.
fn load(files: &[(&str, &str)]) -> Result<Catalog, Vec<(String, String)>> {
    let directory = TempDir::new().unwrap();
    for (file, source) in files {
        let path = directory.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, source).unwrap();
    }
    Catalog::load(&options(Some(directory.path()))).map_err(|TemplateProblems(problems)| {
        problems
            .into_iter()
            .map(|problem| (problem.file, problem.reason))
            .collect()
    })
}

fn unlocked(catalog: &Catalog, language: &str) -> Rendered {
    let values = Values::new().text("name", "Anna");
    catalog
        .render(Mail::AccountUnlocked, Some(language), &values)
        .unwrap()
}

#[test]
fn every_mail_is_rendered_as_in_its_snapshot() {
    let catalog = Catalog::load(&options(None)).unwrap();
    for mail in Mail::ALL {
        for (case, values) in mail.samples(&site()) {
            let Rendered {
                subject,
                text,
                html,
            } = catalog.render(mail, None, &values).unwrap();
            let name = format!("{}.{case}", mail.name());
            insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
                insta::assert_snapshot!(format!("{name}.text"), format!("Subject: {subject}\n\n{text}"));
                insta::assert_snapshot!(format!("{name}.html"), html);
            });
        }
    }
}

#[test]
fn every_file_of_the_templates_is_compiled_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("email_templates");
    let mut files = Vec::new();
    for entry in walk(&folder) {
        files.push(
            entry
                .strip_prefix(&folder)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
        );
    }
    files.sort();
    let built_in: Vec<_> = BUILT_IN
        .iter()
        .map(|(file, _)| (*file).to_owned())
        .collect();
    assert_eq!(files, built_in);
    for mail in Mail::ALL {
        assert!(files.contains(&file_of(mail)));
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_file_of_the_same_name_replaces_the_built_in_one() {
    let catalog = load(&[
        ("footer.md", "The people of {{ service }}\n"),
        (
            "account_unlocked.md",
            "---\r\nsubject: 'Hello: {{ name }}'\r\n---\r\n# Done, {{ name }}\r\n",
        ),
        (".hidden", "{{"),
        ("..data/account_unlocked.md", "{{"),
    ])
    .unwrap();
    let rendered = unlocked(&catalog, "en");
    assert_eq!(rendered.subject, "Hello: Anna");
    assert_eq!(
        rendered.text,
        "Example Accounts\n\nDone, Anna\n\n-- \nThe people of Example Accounts\n"
    );
}

#[test]
fn a_language_falls_back_to_the_nearest_one_that_there_is() {
    let catalog = load(&[
        (
            "de/account_unlocked.md",
            "---\nsubject: Entsperrt\n---\nHallo {{ name }}\n",
        ),
        ("de/footer.md", "Gruß\n"),
        (
            "de-AT/account_unlocked.md",
            "---\nsubject: Aufgesperrt\n---\nServus {{ name }}\n",
        ),
        ("fr/footer.md", "Au revoir\n"),
    ])
    .unwrap();
    for (language, subject, footer, lang) in [
        ("de", "Entsperrt", "Gruß", "de"),
        ("DE-ch-1996", "Entsperrt", "Gruß", "de"),
        ("de-at", "Aufgesperrt", "Gruß", "de-at"),
        ("en", "Your account is unlocked", "Example", "en"),
        // All of a mail is in one language.
        ("fr", "Your account is unlocked", "Example", "en"),
        ("", "Your account is unlocked", "Example", "en"),
        ("../../etc", "Your account is unlocked", "Example", "en"),
    ] {
        let rendered = unlocked(&catalog, language);
        assert_eq!(rendered.subject, subject, "{language}");
        assert!(
            rendered.text.contains(&format!("-- \n{footer}")),
            "{language}"
        );
        assert!(
            rendered.html.contains(&format!("<html lang=\"{lang}\">")),
            "{language}"
        );
    }
}

#[test]
fn everything_that_is_wrong_is_reported_together() {
    let problems = load(&[
        ("header.md", "{{ service }\n"),
        ("footer.md", "---\nsubject: no\n---\nx\n"),
        ("account_exists.md", "No front matter\n"),
        ("account_unlocked.md", "---\nsubject: x\nfrom: y\n---\nx\n"),
        (
            "account_locked.md",
            "---\nsubject: x\n---\n{{ name }} and\n{{ nmae }}\n",
        ),
        (
            "email_verification.md",
            "---\nsubject: x\n---\nNo link, {{ name }}\n",
        ),
        ("emial_verification.md", "---\nsubject: x\n---\nx\n"),
        (
            "de/account_exists.md",
            "---\nsubject: x\n---\n<b>{{ name }}</b>\n",
        ),
        (
            "de/account_unlocked.md",
            "---\nsubject: x\n---\n[{{ name }}]({{ name }})\n",
        ),
        ("de/layout.html", "x"),
        ("pictures/logo.md", "x"),
        (
            "fr/account_unlocked.md",
            "---\nsubject: '{{ name|upper }}'\n---\nx\n",
        ),
        ("it/account_unlocked.md", "---\nsubject: x\n"),
    ])
    .unwrap_err();
    let report: Vec<_> = problems
        .iter()
        .map(|(file, reason)| format!("{file}: {reason}"))
        .collect();
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("template_problems", report.join("\n"));
    });
}

#[test]
fn a_layout_can_be_replaced_and_is_checked() {
    let catalog = load(&[(
        "layout.html",
        "<html><head><style>p { color: red }</style></head><body>{{ body }}</body></html>",
    )])
    .unwrap();
    assert!(
        unlocked(&catalog, "en")
            .html
            .contains("<p style=\"color:red\">Hi Anna,</p>")
    );

    let problems = load(&[("layout.html", "<html>{{ body }}{{ picture }}</html>")]).unwrap_err();
    let [(file, reason)] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    assert!(
        file == "layout.html" && reason.contains("undefined"),
        "{reason}"
    );

    let linked = "<link rel=\"stylesheet\" href=\"http://127.0.0.1:9/x.css\">{{ body }}";
    let catalog = load(&[("layout.html", linked)]).unwrap();
    assert!(
        unlocked(&catalog, "en").html.contains("Hi Anna,"),
        "nothing is fetched"
    );
}

#[test]
fn a_directory_that_is_not_there_and_a_file_that_is_not_text_are_reported() {
    let missing = Path::new("/nonexistent/templates");
    let error = Catalog::load(&options(Some(missing))).unwrap_err();
    assert!(
        error.to_string().contains("/nonexistent/templates"),
        "{error}"
    );

    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("footer.md"), [0xff, 0xfe]).unwrap();
    let error = Catalog::load(&options(Some(directory.path()))).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("footer.md: stream did not contain valid UTF-8"),
        "{error}"
    );
}

#[test]
fn a_missing_value_is_an_error_and_names_the_file() {
    let catalog = Catalog::load(&options(None)).unwrap();
    let error = catalog
        .render(
            Mail::EmailVerification,
            None,
            &Values::new().text("name", "Anna"),
        )
        .unwrap_err();
    assert_eq!(error.file, "email_verification.md");
    assert!(error.reason.contains("undefined value"), "{}", error.reason);
}

/// What somebody could register as a name, and what the text of the mail then shows.
const HOSTILE: &[(&str, &str)] = &[
    ("[x](http://evil.example)", "[x](http: / / evil. example)"),
    (
        "![x](http://evil.example/p.png)",
        "![x](http: / / evil. example/ p. png)",
    ),
    (
        "<a href=\"http://evil.example\">x</a>",
        "<a href=\"http: / / evil. example\">x</ a>",
    ),
    ("<http://evil.example>", "<http: / / evil. example>"),
    ("http://evil.example", "http: / / evil. example"),
    ("www.evil.example", "www. evil. example"),
    ("x@evil.example", "x@ evil. example"),
    ("<script>alert(1)</script>", "<script>alert(1)</ script>"),
    ("</td></table><h1>x", "</ td></ table><h1>x"),
    ("</style><b>", "</ style><b>"),
    ("*x* **y** _z_ `c` ~~s~~", "*x* **y** _z_ `c` ~~s~~"),
    ("x\n\n# Heading\n\n---", "x # Heading ---"),
    ("x\r\nBcc: evil@evil.example", "x Bcc: evil@ evil. example"),
    ("{{ link }} {% if x %}", "{{ link }} {% if x %}"),
    ("&lt;b&gt; &#60;b&#62;", "&lt;b&gt; &#60;b&#62;"),
    ("\\[x\\]", "\\ [x\\ ]"),
    ("[x]: http://evil.example", "[x]: http: / / evil. example"),
    ("\u{202e}nimda\u{200b}", "nimda"),
    ("1. x", "1. x"),
    ("> x", "> x"),
    ("\"onmouseover=\"x", "\"onmouseover=\"x"),
];

#[test]
fn a_hostile_value_is_shown_as_text_in_every_mail() {
    let catalog = Catalog::load(&options(None)).unwrap();
    for mail in Mail::ALL {
        for (case, values) in mail.samples(&site()) {
            let harmless = catalog.render(mail, None, &values).unwrap();
            for (hostile, shown) in HOSTILE {
                let about = format!("{} {case} {hostile:?}", mail.name());
                let values = values.clone().text("name", hostile);
                let rendered = catalog.render(mail, None, &values).unwrap();
                assert_eq!(rendered.subject, harmless.subject, "{about}");
                assert_eq!(
                    rendered.text,
                    harmless.text.replace("Hi Anna,", &format!("Hi {shown},")),
                    "{about}"
                );
                // The HTML has the same elements and attributes, and the value as text.
                let as_html = shown
                    .replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .replace('>', "&gt;");
                assert_eq!(
                    rendered.html,
                    harmless.html.replace("Hi Anna,", &format!("Hi {as_html},")),
                    "{about}"
                );
            }
        }
    }
}

#[test]
fn a_hostile_value_stays_on_the_subject_line_and_out_of_links() {
    let catalog = load(&[(
        "account_unlocked.md",
        "---\nsubject: Hi {{ name }}\n---\n**{{ name }}**\n\n- {{ name }}\n\n[{{ name }}](https://example.com/)\n\n\
            {% autoescape false %}{{ name }}{% endautoescape %}\n",
    )])
    .unwrap();
    for (hostile, shown) in HOSTILE {
        let values = Values::new().text("name", hostile);
        let rendered = catalog
            .render(Mail::AccountUnlocked, None, &values)
            .unwrap();
        assert_eq!(rendered.subject, format!("Hi {shown}"));
        assert_eq!(rendered.html.matches("<a ").count(), 2, "{hostile}");
        assert_eq!(rendered.html.matches("<li").count(), 1, "{hostile}");
        assert!(!rendered.html.contains("<img") && !rendered.html.contains("<script"));
    }
}

#[test]
fn a_link_is_shown_whole_wherever_its_characters_mean_something_to_markdown() {
    let catalog = Catalog::load(&options(None)).unwrap();
    let link = site().link(&["verify-email", "a_b_c*d*(e)~~g~~!&'", "x<y>\"z`"]);
    let shown = link.as_str().to_owned();
    let values = Values::new()
        .text("name", "Anna")
        .link("link", link)
        .number("hours", 24);
    let rendered = catalog
        .render(Mail::EmailVerification, None, &values)
        .unwrap();
    assert!(
        rendered.text.contains(&format!("\n{shown}\n")),
        "{}",
        rendered.text
    );
    let escaped = shown.replace('&', "&amp;");
    assert!(
        rendered.html.contains(&format!("href=\"{escaped}\"")),
        "{}",
        rendered.html
    );
    assert!(
        rendered.html.contains(&format!(">{escaped}</a>")),
        "{}",
        rendered.html
    );
}

#[test]
fn the_html_loads_nothing_and_shows_its_language() {
    let catalog = Catalog::load(&options(None)).unwrap();
    for mail in Mail::ALL {
        for (_, values) in mail.samples(&site()) {
            let html = catalog.render(mail, None, &values).unwrap().html;
            assert!(html.contains("<html lang=\"en\">"));
            for word in [
                "<style",
                "<link",
                "<img",
                "<script",
                "url(",
                "src=",
                "class=\"action\">",
            ] {
                assert!(!html.contains(word), "{word} in {html}");
            }
            let links = html.matches("href=\"").count();
            let ours = html.matches("href=\"https://accounts.example.com/").count();
            assert_eq!(links, ours);
        }
    }
}
